//! The how-to pages name the files to touch. A page that names a file that was moved or renamed
//! misleads, so every path must exist.

use std::path::Path;

/// The heading of the list.
const HEADING: &str = "## Files to touch";

/// How many pages there are at least, and how many paths each of them names.
const MIN_PAGES: usize = 4;
const MIN_PATHS: usize = 3;

/// The paths in the list of a page: lines such as "- `src/main.rs`: why". `None` when the page has
/// no such list.
fn paths(page: &str) -> Option<Vec<&str>> {
    let mut lines = page.lines().skip_while(|line| line.trim_end() != HEADING);
    lines.next()?;
    let section = lines.take_while(|line| !line.starts_with('#'));
    let named = section.filter_map(|line| line.strip_prefix("- `")?.split_once('`'));
    Some(named.map(|(path, _)| path).collect())
}

#[test]
fn files_that_the_how_to_pages_name_exist() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_dir(base.join("docs/how-to")).expect("list docs/how-to");
    let mut wrong = Vec::new();
    let mut pages = 0;
    for entry in list {
        let path = entry.expect("list docs/how-to").path();
        if path.extension().is_none_or(|end| end != "md") {
            continue;
        }
        pages += 1;
        let page = path.strip_prefix(base).expect("below").display();
        let text = std::fs::read_to_string(&path).expect("read a page");
        let Some(named) = paths(&text) else {
            wrong.push(format!("{page}: no section `{HEADING}`"));
            continue;
        };
        if named.len() < MIN_PATHS {
            wrong.push(format!(
                "{page}: names {} files, expected at least {MIN_PATHS}",
                named.len()
            ));
        }
        for one in named {
            if !base.join(one).exists() {
                wrong.push(format!("{page}: `{one}` does not exist"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        pages >= MIN_PAGES,
        "{pages} pages, expected at least {MIN_PAGES}"
    );
}

#[test]
fn only_paths_of_the_list_are_read() {
    let page = "# Add a verb\n- `before.rs`\n## Files to touch\n\n- `src/a.rs`: the verb\n\
                - `docs/b.md`\nText with `c.rs`.\n- no path\n## Then\n- `after.rs`\n";
    assert_eq!(paths(page), Some(vec!["src/a.rs", "docs/b.md"]));
    assert_eq!(paths("# Add a verb\n- `src/a.rs`\n"), None);
}
