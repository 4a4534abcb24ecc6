//! The id of a release.

use crate::app::App;

/// How many hexadecimal digits of the digest an id has.
const DIGEST_DIGITS: usize = 12;

/// The id of a release: its version and a digest, so that the same content has the same id.
///
/// The digest covers the payload, every file rendered for the host, and the manifest as JSON
/// ([`crate::app::Canonical`]): the commands to run and the checks are part of a release too.
pub fn release_id(app: &App, payload: &blake3::Hash, rendered: &blake3::Hash) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(payload.as_bytes());
    hasher.update(rendered.as_bytes());
    hasher.update(app.manifest.json().as_bytes());
    let digest = hasher.finalize().to_hex();
    let short: String = digest.chars().take(DIGEST_DIGITS).collect();
    // Ids must not change, so this stays.
    let version = app.version.as_str().replace(['+', '~'], "_");
    format!("{version}-{short}")
}

#[cfg(test)]
mod tests {
    use super::release_id;
    use crate::app::App;
    use crate::manifest::parse;
    use crate::payload::{Item, Kind, Payload};

    /// If ids change, the next deploy of every app on every host stages a new release and restarts
    /// every service, although nothing changed.
    #[test]
    fn equal_content_always_has_the_same_id() {
        let text = "[app]\nname = \"shop\"\nversion = \"1.0+2\"\n[release]\nkeep = 3\n\
                    build = [[\"make\"]]\npython = { requirements = [\"r.txt\"] }\n\
                    [service.web]\nexec = [\"{current}/web\"]\nlisten = [\"127.0.0.1:80\"]\n\
                    check = [{ http = \"/\", json = { \"/a\" = [1, 2.5, true] } }]\n";
        let id = |text: &str| {
            let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
            let file = Kind::File {
                hash: blake3::hash(b"web").into(),
                exec: true,
                len: 3,
            };
            let payload = Payload::new(vec![Item::new("web".to_owned(), file)]);
            release_id(&app, &payload.digest(), &blake3::hash(b"rendered"))
        };
        assert_eq!(id(text), "1.0_2-f32052d504c2");
        assert_eq!(id(&text.replace("\n[", "\n\n# Words.\n[")), id(text));
        // Both versions are written as `1.0_2`, but the content differs.
        assert_ne!(id(&text.replace('+', "~")), id(text));
    }
}
