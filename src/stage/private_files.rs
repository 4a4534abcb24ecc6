//! Files of a source that look private. In a release, every service of the app can read them.
//!
//! | file | why |
//! |---|---|
//! | its mode lets neither its group nor other users read it | its owner made it so |
//! | a name of [`NAMES`] | such files hold keys and passwords |
//!
//! Where most files have such a mode, umask(2) made it and says nothing. A `.pem` file with nothing but
//! certificates or public keys is not private.

use crate::app::Text;
use std::path::Path;

/// Names of files with keys and passwords, in the syntax of `release.exclude`.
const NAMES: &[&str] = &[
    ".env",
    ".env.*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_*",
    ".netrc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".pypirc",
    ".git-credentials",
    ".ssh/",
    ".gnupg/",
    ".aws/",
];

/// Names that match [`NAMES`] and are not private: templates, public keys, sources such as `id_map.py`,
/// and the certificates of authorities.
const PUBLIC_NAMES: &[&str] = &[
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    "id_*.*",
    "cacert.pem",
];

/// How many files a warning names.
const MAX_NAMED: usize = 10;

/// The bits that let a group and other users read a file.
const READABLE: u32 = 0o044;

/// What a scan has seen.
#[derive(Debug, Default)]
pub(super) struct SeenFiles {
    /// How many files.
    count: usize,
    /// Those with a private mode or name, with their modes.
    candidates: Vec<(String, u32)>,
}

impl SeenFiles {
    pub(super) fn add(&mut self, path: &str, mode: u32) {
        self.count += 1;
        if is_private_mode(mode) || has_private_name(path) {
            self.candidates.push((path.to_owned(), mode));
        }
    }

    /// The files that look private, by path.
    pub(super) fn private(mut self, is_public: impl Fn(&str) -> bool) -> Vec<PrivateFile> {
        let modes = self.candidates.iter().map(|(_, mode)| *mode);
        let private = modes.filter(|mode| is_private_mode(*mode)).count();
        let modes_matter = 2 * private <= self.count;
        self.candidates.sort();
        let found = self.candidates.into_iter().filter_map(|(path, mode)| {
            let by_mode = modes_matter && is_private_mode(mode);
            let by_name = has_private_name(&path) && !is_public(&path);
            (by_mode || by_name).then_some(PrivateFile {
                mode: by_mode.then_some(mode & 0o7777),
                path,
            })
        });
        found.collect()
    }
}

fn is_private_mode(mode: u32) -> bool {
    mode & READABLE == 0
}

/// A file that looks private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PrivateFile {
    path: String,
    /// Its mode, if that is why.
    mode: Option<u32>,
}

/// Whether its name says that a file is private.
pub(super) fn has_private_name(path: &str) -> bool {
    let matches = |pattern: &&str| match pattern.strip_suffix('/') {
        Some(dir) => {
            let mut parents = path.split('/').rev().skip(1);
            parents.any(|part| part == dir)
        }
        None => {
            let name = path.rsplit('/').next().unwrap_or(path);
            match pattern.split_once('*') {
                None => name == *pattern,
                Some((start, end)) => {
                    let rest = name.strip_prefix(start);
                    rest.is_some_and(|rest| matches_end(rest, end))
                }
            }
        }
    };
    NAMES.iter().any(&matches) && !PUBLIC_NAMES.iter().any(matches)
}

/// Whether the rest of a name matches what follows the first `*` of a pattern.
fn matches_end(rest: &str, end: &str) -> bool {
    match end.strip_suffix('*') {
        Some(middle) => rest.contains(middle),
        None => rest.ends_with(end),
    }
}

/// Whether the text of a `.pem` file holds nothing secret.
pub(super) fn is_public_pem(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let mut blocks = text.lines().filter_map(|line| {
        let kind = line.trim().strip_prefix("-----BEGIN ")?;
        kind.strip_suffix("-----")
    });
    let Some(first) = blocks.next() else {
        return false;
    };
    let is_public = |kind: &str| !kind.contains("PRIVATE");
    is_public(first) && blocks.all(is_public)
}

/// The warning about private files, with the line for the manifest that leaves them out. `exclude` is
/// what the manifest leaves out already.
pub(super) fn warning(files: &[PrivateFile], exclude: &[Text]) -> Option<String> {
    let named = files.get(..files.len().min(MAX_NAMED)).unwrap_or(files);
    let first = named.first()?;
    let shown = |file: &PrivateFile| match file.mode {
        Some(mode) => format!("`{}` (mode {mode:04o})", file.path),
        None => format!("`{}`", file.path),
    };
    let list: Vec<String> = named.iter().map(shown).collect();
    let what = match files.len() {
        1 => format!("{} looks", shown(first)),
        count if count > named.len() => {
            let more = count - named.len();
            format!("{} and {more} more files look", list.join(", "))
        }
        _ => format!("{} look", list.join(", ")),
    };
    let own = exclude.iter().map(ToString::to_string);
    let patterns = own.chain(named.iter().map(|file| pattern(&file.path)));
    let quoted: Vec<String> = patterns
        .map(|text| toml::Value::from(text).to_string())
        .collect();
    Some(format!(
        "{what} private, and every service of the app can read a release; to leave out what they need \
         not read, write below `[release]`: exclude = [{}]",
        quoted.join(", ")
    ))
}

/// The pattern of `release.exclude` (gitignore(5)) that matches only this path.
fn pattern(path: &str) -> String {
    let mut out = String::from("/");
    for character in path.chars() {
        if matches!(character, '\\' | '*' | '?' | '[') {
            out.push('\\');
        }
        out.push(character);
    }
    if let Some(start) = out.strip_suffix(' ') {
        out = format!("{start}\\ ");
    }
    out
}

/// Whether a file is worth a look at its text.
pub(super) fn is_pem(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "pem")
}

#[cfg(test)]
mod tests {
    use super::{PrivateFile, SeenFiles, has_private_name, is_public_pem, pattern, warning};
    use crate::app::Text;
    use crate::stage::exclude::Exclude;

    fn paths(files: &[(&str, u32)]) -> Vec<String> {
        let mut seen = SeenFiles::default();
        for (path, mode) in files {
            seen.add(path, *mode);
        }
        let found = seen.private(|_| false).into_iter();
        found.map(|file| file.path).collect()
    }

    #[test]
    fn private_names_are_those_of_keys_and_passwords() {
        for private in [
            ".env",
            "a/.env",
            ".env.production",
            "tls/server.pem",
            "x.key",
            "id_rsa",
            "keys/id_ed25519",
            ".netrc",
            ".ssh/config",
            "a/.aws/b/c",
        ] {
            assert!(has_private_name(private), "{private}");
        }
        for public in [
            "env",
            "a.env",
            ".env.example",
            ".envrc",
            "id_rsa.pub",
            "id_map.py",
            "lib/certifi/cacert.pem",
            "pem",
            "a.pem.py",
            "valid_a",
            "ssh/config",
            ".ssh",
        ] {
            assert!(!has_private_name(public), "{public}");
        }
    }

    #[test]
    fn a_mode_counts_where_most_files_are_readable() {
        let readable = [("a", 0o644), ("b", 0o755), ("c", 0o600), ("d", 0o640)];
        assert_eq!(paths(&readable), ["c"]);
        // umask 077 made all of them private.
        assert_eq!(
            paths(&[("a", 0o600), ("b", 0o700), (".env", 0o600)]),
            [".env"]
        );
        assert_eq!(paths(&[("b", 0o644), ("a", 0o400)]), ["a"]);
    }

    #[test]
    fn a_pem_file_is_public_only_if_all_of_it_is() {
        let block = |kind: &str| format!("-----BEGIN {kind}-----\nAA==\n-----END {kind}-----\n");
        let (certificate, key) = (block("CERTIFICATE"), block("RSA PRIVATE KEY"));
        assert!(is_public_pem(certificate.as_bytes()));
        assert!(is_public_pem(block("PUBLIC KEY").as_bytes()));
        for secret in [key.clone(), certificate + &key, String::new(), "x".into()] {
            assert!(!is_public_pem(secret.as_bytes()), "{secret}");
        }
    }

    #[test]
    fn the_line_of_the_warning_leaves_out_just_these_files() {
        let odd = ["a b ", "[x]*?", "!a", "#b", "d/e\\f", "\"q\""];
        let files: Vec<PrivateFile> = odd.map(str::to_owned).into_iter().map(of).collect();
        let text = warning(&files, &[Text::parse("*.log").unwrap()]).unwrap();
        let (_, line) = text.split_once("`[release]`: ").unwrap();
        let manifest = format!(
            "[app]\nname = \"shop\"\nversion = \"1\"\n[release]\n{line}\n[service.web]\nexec = [\"/w\"]\n"
        );
        let manifest = crate::manifest::parse(&manifest).unwrap();
        let app = crate::app::App::from_manifest(&manifest, None).unwrap();
        let exclude = Exclude::new(&app.release).unwrap();
        let excludes = |path: &str| exclude.excludes(std::path::Path::new(path), false);
        assert!(odd.iter().all(|path| excludes(path)), "{line}");
        assert!(excludes("x.log"));
        assert!(!excludes("x*?") && !excludes("z/!a") && !excludes("a"));
        assert_eq!(pattern(".env"), "/.env");
        assert_eq!(warning(&[], &[]), None);
    }

    fn of(path: String) -> PrivateFile {
        PrivateFile { path, mode: None }
    }

    #[test]
    fn a_warning_names_ten_files() {
        let files: Vec<PrivateFile> = (0..12).map(|number| of(format!("{number}.key"))).collect();
        let text = warning(&files, &[]).unwrap();
        assert!(
            text.contains("`9.key` and 2 more files look private"),
            "{text}"
        );
        let file = PrivateFile {
            path: "a".into(),
            mode: Some(0o600),
        };
        let text = warning(&[file], &[]).unwrap();
        assert!(text.starts_with("`a` (mode 0600) looks private"), "{text}");
    }
}
