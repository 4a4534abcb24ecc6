//! Files of a source that look private. In a release, every service of the app can read them.
//!
//! | what | why |
//! |---|---|
//! | the mode of a file lets neither its group nor other users read it | its owner made it so |
//! | the mode of a directory lets neither its group nor other users enter it | the same for all files in it |
//! | a name of [`NAMES`] | such files hold keys and passwords |
//!
//! Where most files and directories have such a mode, umask(2) made it and says nothing. A `.pem` or `.key`
//! file with nothing but certificates or public keys is not private, and neither is a Keynote document.

use crate::app::Text;
use crate::payload::{Kind, Payload};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Names of files with keys and passwords, in the syntax of `release.exclude`. Case does not matter.
const NAMES: &[&str] = &[
    ".env",
    ".env.*",
    ".envrc",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ovpn",
    "id_*",
    "credentials.json",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".pypirc",
    ".git-credentials",
    ".vault-token",
    ".ssh/",
    ".gnupg/",
    ".aws/",
    ".docker/",
    ".kube/",
];

/// Names that match [`NAMES`] and are not private: templates.
const PUBLIC_NAMES: &[&str] = &[".env.example", ".env.sample", ".env.template", ".env.dist"];

/// The ends of names that match `id_*` and are not private: public keys, code such as `id_map.py`, and
/// what belongs to it.
const PUBLIC_ENDS: &[&str] = &[
    "pub", "c", "cc", "cpp", "cs", "css", "csv", "erb", "ex", "exs", "gif", "go", "h", "hpp",
    "html", "java", "jpg", "js", "json", "jsx", "kt", "map", "md", "mjs", "php", "png", "py",
    "pyc", "pyi", "rb", "rs", "scss", "so", "sql", "svg", "swift", "toml", "ts", "tsx", "txt",
    "vue", "xml", "yaml", "yml",
];

/// How much of a file is read to see whether it is private.
pub(super) const MAX_READ_BYTES: u64 = 1024 * 1024;

/// How many files a warning names.
const MAX_NAMED: usize = 10;

/// The bits that let a group and other users read a file.
const READABLE: u32 = 0o044;

/// The bits that let a group and other users enter a directory.
const ENTERABLE: u32 = 0o011;

/// What a scan has seen.
#[derive(Debug, Default)]
pub(super) struct SeenFiles {
    /// How many files and directories.
    count: usize,
    /// Files with a private mode or name, with their modes.
    candidates: Vec<(String, u32)>,
    /// Directories with a private mode, with their modes.
    dirs: Vec<(String, u32)>,
    /// Files whose content is public.
    public: BTreeSet<String>,
}

impl SeenFiles {
    pub(super) fn add_file(&mut self, path: &str, mode: u32) {
        self.count += 1;
        if is_private_mode(mode) || has_private_name(path) {
            self.candidates.push((path.to_owned(), mode));
        }
    }

    pub(super) fn add_dir(&mut self, path: &str, mode: u32) {
        self.count += 1;
        if mode & ENTERABLE == 0 {
            self.dirs.push((path.to_owned(), mode));
        }
    }

    /// Adds what the content of a file says.
    pub(super) fn add_text(&mut self, path: &str, text: &[u8], is_whole: bool) {
        if is_public_text(path, text, is_whole) {
            self.public.insert(path.to_owned());
        }
    }

    /// Adds what the content of another name of the same file says.
    pub(super) fn add_same_text(&mut self, path: &str, other: &str) {
        if self.public.contains(other) {
            self.public.insert(path.to_owned());
        }
    }

    /// The files that look private, by path. A directory with a private mode stands for all files in it.
    pub(super) fn private(
        self,
        payload: &Payload,
        is_public: impl Fn(&str) -> bool,
    ) -> Vec<PrivateFile> {
        let modes = self.candidates.iter().map(|(_, mode)| *mode);
        let private = modes.filter(|mode| is_private_mode(*mode)).count() + self.dirs.len();
        let modes_matter = 2 * private <= self.count;
        let mut dirs: BTreeMap<String, u32> = BTreeMap::new();
        if modes_matter {
            let mut all = self.dirs;
            // A directory comes before those in it.
            all.sort();
            for (path, mode) in all {
                let path = format!("{path}/");
                if !is_below_one(&dirs, &path) && has_file_below(payload, &path) {
                    dirs.insert(path, mode & 0o7777);
                }
            }
        }
        let files = self.candidates.into_iter().filter_map(|(path, mode)| {
            if is_below_one(&dirs, &path) {
                return None;
            }
            let by_mode = modes_matter && is_private_mode(mode);
            let by_name =
                has_private_name(&path) && !self.public.contains(&path) && !is_public(&path);
            (by_mode || by_name).then_some(PrivateFile {
                mode: by_mode.then_some(mode & 0o7777),
                path,
            })
        });
        let mut found: Vec<PrivateFile> = files.collect();
        found.extend(dirs.into_iter().map(|(path, mode)| PrivateFile {
            path,
            mode: Some(mode),
        }));
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }
}

/// Whether a path is below one of these directories, whose paths end with `/`. The number of directories hardly matters:
/// a path has few above it.
fn is_below_one(dirs: &BTreeMap<String, u32>, path: &str) -> bool {
    let mut above = path
        .match_indices('/')
        .filter_map(|(at, _)| path.get(..=at));
    above.any(|dir| dirs.contains_key(dir))
}

/// Whether a release would hold a file below a directory, whose path ends with `/`.
fn has_file_below(payload: &Payload, dir: &str) -> bool {
    let first = payload
        .items
        .partition_point(|item| item.path.as_str() < dir);
    let below = payload.items.iter().skip(first);
    let mut below = below.take_while(|item| item.path.starts_with(dir));
    below.any(|item| matches!(item.kind, Kind::File { .. }))
}

fn is_private_mode(mode: u32) -> bool {
    mode & READABLE == 0
}

/// A file that looks private, or a directory with such files, whose path ends with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PrivateFile {
    pub(super) path: String,
    /// Its mode, if that is why.
    mode: Option<u32>,
}

/// Whether its name says that a file is private.
fn has_private_name(path: &str) -> bool {
    let path = path.to_lowercase();
    let name = path.rsplit('/').next().unwrap_or(&path);
    let matches = |pattern: &&&str| match pattern.strip_suffix('/') {
        Some(dir) => {
            let mut parents = path.split('/').rev().skip(1);
            parents.any(|part| part == dir)
        }
        None => match pattern.split_once('*') {
            None => name == **pattern,
            Some((start, end)) => {
                let rest = name.strip_prefix(start);
                rest.is_some_and(|rest| matches_end(rest, end))
            }
        },
    };
    let is_public = |pattern: &str| {
        let end = Path::new(name).extension().and_then(|end| end.to_str());
        PUBLIC_NAMES.contains(&name)
            || pattern == "id_*" && end.is_some_and(|end| PUBLIC_ENDS.contains(&end))
    };
    let mut patterns = NAMES.iter().filter(matches);
    patterns.any(|pattern| !is_public(pattern))
}

/// Whether the rest of a name matches what follows the first `*` of a pattern.
fn matches_end(rest: &str, end: &str) -> bool {
    match end.strip_suffix('*') {
        Some(middle) => rest.contains(middle),
        None => rest.ends_with(end),
    }
}

/// Whether a file is worth a look at its content: its name says that it is private, and its content may
/// say that it is not.
pub(super) fn needs_look(path: &str) -> bool {
    let end = Path::new(path).extension().and_then(|end| end.to_str());
    has_private_name(path) && end.is_some_and(|end| is_pem(end) || is_key(end))
}

fn is_pem(end: &str) -> bool {
    end.eq_ignore_ascii_case("pem")
}

fn is_key(end: &str) -> bool {
    end.eq_ignore_ascii_case("key")
}

/// Whether the content of a file shows that it is not private. `text` is its start.
pub(super) fn is_public_text(path: &str, text: &[u8], is_whole: bool) -> bool {
    let end = Path::new(path).extension().and_then(|end| end.to_str());
    // A Keynote document is a zip archive.
    let is_keynote = end.is_some_and(is_key) && text.starts_with(b"PK\x03\x04");
    is_keynote || needs_look(path) && is_whole && is_public_pem(text)
}

/// Whether a text has PEM blocks, and none with a private key.
fn is_public_pem(text: &[u8]) -> bool {
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
        "{what} private. Every service of the app can read the files of a release. To leave out what they \
         need not read, write below `[release]`: exclude = [{}]",
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

#[cfg(test)]
mod tests {
    use super::{
        PrivateFile, SeenFiles, has_private_name, is_public_pem, is_public_text, needs_look,
        pattern, warning,
    };
    use crate::app::Text;
    use crate::payload::{ContentHash, Item, Kind, Payload};
    use crate::stage::exclude::Exclude;

    /// What looks private in files and directories with these modes. The path of a directory ends with `/`.
    fn paths(entries: &[(&str, u32)]) -> Vec<String> {
        let mut seen = SeenFiles::default();
        let mut items = Vec::new();
        for (path, mode) in entries {
            let kind = match path.strip_suffix('/') {
                Some(dir) => {
                    seen.add_dir(dir, *mode);
                    Kind::Dir
                }
                None => {
                    seen.add_file(path, *mode);
                    Kind::File {
                        hash: ContentHash::default(),
                        exec: false,
                        len: 0,
                    }
                }
            };
            items.push(Item::new(path.trim_end_matches('/').to_owned(), kind));
        }
        items.sort_by(|a, b| a.path.cmp(&b.path));
        let found = seen.private(&Payload::new(items), |_| false).into_iter();
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
            ".envrc",
            ".npmrc",
            ".vault-token",
            ".docker/config.json",
            "a/.kube/config",
            "a.jks",
            "a.keystore",
            "a.kdbx",
            "a.ovpn",
            "credentials.json",
            // In any case.
            "server.KEY",
            "tls/Server.Pem",
            "ID_RSA",
            ".Env",
            ".SSH/config",
            // Copies of a key.
            "id_rsa.bak",
            "id_rsa.old",
            "id_rsa.1",
            "id_rsa.pem",
            "lib/certifi/cacert.pem",
        ] {
            assert!(has_private_name(private), "{private}");
        }
        for public in [
            "env",
            "a.env",
            ".env.example",
            ".ENV.example",
            "id_rsa.pub",
            "id_map.py",
            "id_list.TS",
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
    fn a_private_directory_stands_for_the_files_in_it() {
        let tree = [
            ("bin/", 0o755),
            ("bin/web", 0o755),
            ("keys/", 0o700),
            ("keys/.env", 0o600),
            ("keys/a", 0o644),
            ("keys/deep/", 0o700),
            ("keys/deep/b", 0o644),
            ("keys-2", 0o644),
            ("none/", 0o700),
            ("x", 0o600),
            ("y", 0o644),
            ("z", 0o644),
        ];
        assert_eq!(paths(&tree), ["keys/", "x"]);
        let group = [("keys/", 0o750), ("keys/a", 0o644), ("b", 0o644)];
        assert_eq!(paths(&group), [""; 0]);
        // umask 077 made all of them private.
        let all = [("keys/", 0o700), ("keys/a", 0o600), ("b", 0o600)];
        assert_eq!(paths(&all), [""; 0]);
        let text = warning(
            &[PrivateFile {
                path: "keys/".to_owned(),
                mode: Some(0o700),
            }],
            &[],
        );
        let text = text.unwrap();
        assert!(
            text.starts_with("`keys/` (mode 0700) looks private. "),
            "{text}"
        );
        assert!(text.ends_with(": exclude = [\"/keys/\"]"), "{text}");
    }

    /// As many as an archive may have. Each with each other would be some billion comparisons: minutes.
    #[test]
    fn many_private_directories_take_no_long_time() {
        const COUNT: usize = 60_000;
        let names: Vec<(String, String)> = (0..COUNT)
            .map(|at| (format!("d{at}/"), format!("d{at}/x")))
            .collect();
        let public: Vec<String> = (0..2 * COUNT).map(|at| format!("p{at}")).collect();
        let mut entries: Vec<(&str, u32)> = Vec::new();
        for (dir, file) in &names {
            entries.extend([(dir.as_str(), 0o700), (file.as_str(), 0o600)]);
        }
        entries.extend(public.iter().map(|path| (path.as_str(), 0o644)));
        let watch = crate::host::Stopwatch::start();
        assert_eq!(paths(&entries).len(), COUNT);
        let time = watch.elapsed();
        assert!(time < std::time::Duration::from_secs(20), "{time:?}");
    }

    #[test]
    fn the_content_shows_what_is_public() {
        let block = |kind: &str| format!("-----BEGIN {kind}-----\nAA==\n-----END {kind}-----\n");
        let (certificate, key) = (block("CERTIFICATE"), block("PRIVATE KEY"));
        assert!(is_public_text("cacert.pem", certificate.as_bytes(), true));
        let both = certificate.clone() + &key;
        assert!(!is_public_text("cacert.pem", both.as_bytes(), true));
        // The rest may hold a key.
        assert!(!is_public_text("a.pem", certificate.as_bytes(), false));
        assert!(is_public_text("talk.key", b"PK\x03\x04...", false));
        assert!(!is_public_text("talk.pem", b"PK\x03\x04...", true));
        let signer = block("PGP PUBLIC KEY BLOCK");
        assert!(is_public_text("archive.KEY", signer.as_bytes(), true));
        assert!(!is_public_text("server.key", key.as_bytes(), true));
        assert!(!is_public_text(".env", certificate.as_bytes(), true));
        assert!(needs_look("a/B.PEM") && needs_look("a.key"));
        assert!(!needs_look("a.p12") && !needs_look("a"));
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
        // One idea in each sentence.
        let sentences: Vec<&str> = text.split(". ").collect();
        let [what, why, fix] = sentences.as_slice() else {
            panic!("{text}");
        };
        assert!(!what.contains(" and ") && !why.contains(" and ") && !text.contains(';'));
        assert!(fix.ends_with("exclude = [\"/a\"]"), "{text}");
    }
}
