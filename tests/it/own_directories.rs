//! Root owns the parent of every path that root uses for an app: a service cannot replace it.

use std::collections::BTreeSet;
use std::path::Path;

/// The files that the golden manifests produce, each with its text.
fn generated() -> Vec<(String, String)> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = walkdir::WalkDir::new(golden).into_iter().flatten();
    let files = files.filter(|file| file.file_type().is_file());
    let texts = files.filter_map(|file| {
        let path = file.path().to_str()?.to_owned();
        let text = std::fs::read_to_string(&path).ok()?;
        path.contains("/expected/").then_some((path, text))
    });
    texts.collect()
}

/// The manifest that a file was generated from.
fn tree_of(path: &str) -> &str {
    path.split("/expected/").next().unwrap_or_default()
}

/// The directories of a tree that belong to another user than root.
fn owned_by_services(tree: &str, all: &[(String, String)]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (path, text) in all.iter().filter(|(path, _)| tree_of(path) == tree) {
        if !path.contains("/tmpfiles.d/") {
            continue;
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let [_, path, _, user, ..] = *line.split(' ').collect::<Vec<_>>()
                && user != "root"
            {
                out.insert(path.to_owned());
            }
        }
    }
    out
}

/// The paths that systemd uses as root for one line of a unit or of tmpfiles.d.
fn used_by_root(line: &str) -> Vec<String> {
    const DIRECTORIES: [(&str, &str); 4] = [
        ("RuntimeDirectory=", "/run"),
        ("StateDirectory=", "/var/lib"),
        ("CacheDirectory=", "/var/cache"),
        ("LogsDirectory=", "/var/log"),
    ];
    for (directive, parent) in DIRECTORIES {
        if let Some(names) = line.strip_prefix(directive) {
            let names = names.split(' ');
            return names.map(|name| format!("{parent}/{name}")).collect();
        }
    }
    for directive in ["BindPaths=", "BindReadOnlyPaths=", "LoadCredential="] {
        if let Some(paths) = line.strip_prefix(directive) {
            let paths = paths.split([' ', ':']);
            return paths
                .map(|path| path.trim_start_matches(['-', '+']).to_owned())
                .collect();
        }
    }
    for directive in ["ListenStream=", "EnvironmentFile=-"] {
        if let Some(path) = line.strip_prefix(directive) {
            return vec![path.to_owned()];
        }
    }
    match *line.split(' ').collect::<Vec<_>>() {
        ["d" | "f", path, ..] => vec![path.to_owned()],
        _ => Vec::new(),
    }
}

#[test]
fn no_path_that_root_uses_is_in_a_directory_of_a_service() {
    let all = generated();
    let mut seen = 0;
    for (path, text) in &all {
        let owned = owned_by_services(tree_of(path), &all);
        // The services of one manifest run as root.
        if owned.is_empty() {
            continue;
        }
        for used in text.lines().flat_map(used_by_root) {
            // Only systemd-tmpfiles(8) uses it: neither a start nor a rollback needs it.
            if path.contains("/tmpfiles.d/") && used.ends_with("/locks") {
                continue;
            }
            let inside = owned
                .iter()
                .find(|dir| used.starts_with(&format!("{dir}/")));
            assert_eq!(inside, None, "{path}: {used}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} paths");
}

#[test]
fn a_nested_path_would_be_found() {
    assert_eq!(
        used_by_root("RuntimeDirectory=shop shop/locks"),
        ["/run/shop", "/run/shop/locks"]
    );
    assert_eq!(
        used_by_root("BindReadOnlyPaths=-/srv/www:/var/lib/shop/www"),
        ["/srv/www", "/var/lib/shop/www"]
    );
    assert_eq!(used_by_root("d /run/shop/locks 0750 shop shop -").len(), 1);
}
