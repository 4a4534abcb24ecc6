//! Which file of `src` imports which, from the text of the files.
//!
//! An import counts towards the file that defines the item: a re-export (`pub use`) is followed to its
//! source. Comments, strings and unit tests do not count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::LazyLock;

/// Every file of `src` that is not only a test, with its text.
pub(crate) fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(&src).sort_by_file_name() {
        let entry = entry.expect("list src");
        let path = entry.path().strip_prefix(&src).expect("a path below src");
        let name = path.to_string_lossy().into_owned();
        if name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "relay/steps.rs" {
            let text = std::fs::read_to_string(entry.path()).expect("read a source file");
            files.push((name, text));
        }
    }
    files
}

/// The text of a file without its unit tests. They are another file, which only its declaration
/// names, or a module with a body, which ends the file: clippy refuses items after it.
fn without_tests(text: &str) -> String {
    let mut parts = text.split("#[cfg(test)]\nmod ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.find([';', '{']) {
            Some(end) if part[end..].starts_with(';') => out.push_str(&part[end + 1..]),
            _ => break,
        }
    }
    out
}

/// The code of a file: without comments, strings and unit tests.
pub(crate) fn code_of(text: &str) -> String {
    identifiers_of(&without_tests(text))
}

/// A text without comments and strings, with the same lines.
pub(crate) fn identifiers_of(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['"', '/']) {
        let (before, found) = rest.split_at(at);
        code.push_str(before);
        if found.starts_with("//") {
            rest = &found[found.find('\n').unwrap_or(found.len())..];
        } else if found.starts_with('"') && !before.ends_with('\'') {
            let end = string_end(&found[1..], raw_marks(before));
            let (string, after) = found[1..].split_at(end);
            code.push('"');
            code.extend(string.chars().filter(|c| *c == '\n'));
            code.push('"');
            rest = after;
        } else {
            code.push_str(&found[..1]);
            rest = &found[1..];
        }
    }
    code + rest
}

/// The marks that a raw string ends with, from the text before its first quote: `r#` has one.
fn raw_marks(before: &str) -> Option<usize> {
    let start = before.trim_end_matches('#');
    let word = start
        .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
        .next();
    matches!(word, Some("r" | "br")).then_some(before.len() - start.len())
}

/// Where the rest of a text goes on after the string at its start.
fn string_end(text: &str, raw_marks: Option<usize>) -> usize {
    if let Some(marks) = raw_marks {
        let end = text.find(&format!("\"{}", "#".repeat(marks)));
        return end.map_or(text.len(), |at| at + 1 + marks);
    }
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// One path of an import, such as `["crate", "host", "Root"]`.
type ImportPath = Vec<String>;

/// Files and their imports.
pub(crate) struct Graph {
    edges: BTreeSet<(String, String)>,
}

struct Source {
    /// Such as `["host", "systemd"]`.
    module: Vec<String>,
    imports: Vec<ImportPath>,
    /// Names that the file re-exports, each with its path.
    exports: BTreeMap<String, ImportPath>,
    code: String,
}

impl Graph {
    pub(crate) fn of_src() -> &'static Self {
        static GRAPH: LazyLock<Graph> = LazyLock::new(|| Graph::of(sources()));
        &GRAPH
    }

    fn of(files: Vec<(String, String)>) -> Self {
        let sources: BTreeMap<String, Source> = files
            .into_iter()
            .map(|(file, text)| {
                let source = Source::read(&file, &text);
                (file, source)
            })
            .collect();
        let modules: BTreeMap<&[String], &str> = sources
            .iter()
            .map(|(file, source)| (source.module.as_slice(), file.as_str()))
            .collect();
        let mut edges = BTreeSet::new();
        for (file, source) in &sources {
            for path in &source.imports {
                let target = resolve(&sources, &modules, &source.module, path, 0);
                if let Some(target) = target.filter(|target| target != file) {
                    edges.insert((file.clone(), target));
                }
            }
        }
        Self { edges }
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        let edges = self.edges.iter();
        edges.map(|(from, to)| (from.as_str(), to.as_str()))
    }

    /// One cycle for each group of files that import each other.
    pub(crate) fn cycles(&self) -> Vec<Vec<String>> {
        let mut cycles = Vec::new();
        let mut seen = BTreeSet::new();
        for (start, _) in self.edges() {
            if seen.contains(start) {
                continue;
            }
            if let Some(cycle) = self.path(start, start) {
                seen.extend(cycle.iter().cloned());
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// The shortest path of at least one edge.
    fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut files = VecDeque::from([from]);
        while let Some(file) = files.pop_front() {
            let first = (file.to_owned(), String::new());
            let next = self.edges.range(first..).take_while(|(one, _)| one == file);
            for (_, next) in next {
                if next == to {
                    let mut path = vec![to.to_owned()];
                    let mut at = file;
                    while at != from {
                        path.push(at.to_owned());
                        at = came_from[at];
                    }
                    path.push(from.to_owned());
                    path.reverse();
                    return Some(path);
                }
                if next != from && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, file);
                    files.push_back(next);
                }
            }
        }
        None
    }
}

impl Source {
    fn read(file: &str, text: &str) -> Self {
        let code = code_of(text);
        let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
        let module = match path {
            "lib" | "main" => Vec::new(),
            path => path.split('/').map(str::to_owned).collect(),
        };
        let (mut imports, mut exports) = (Vec::new(), BTreeMap::new());
        let mut others = String::new();
        let mut rest = code.as_str();
        while let Some((before, tree, after)) = next_use(rest) {
            others.push_str(before);
            let mut paths = Vec::new();
            use_tree(&mut Vec::new(), tree, &mut paths);
            if is_reexport(before) {
                for (name, path) in paths {
                    exports.insert(name, path);
                }
            } else {
                imports.extend(paths.into_iter().map(|(_, path)| path));
            }
            rest = after;
        }
        others.push_str(rest);
        imports.extend(inline_paths(&others));
        Self {
            module,
            imports,
            exports,
            code: others,
        }
    }

    /// Whether the file defines an item.
    fn defines(&self, name: &str) -> bool {
        [
            "fn", "struct", "enum", "trait", "type", "const", "static", "union",
        ]
        .iter()
        .any(|kind| {
            let item = format!("{kind} {name}");
            self.code.match_indices(&item).any(|(at, _)| {
                let next = self.code[at + item.len()..].chars().next();
                next.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            })
        })
    }
}

/// The next `use` of a text: what is before it, its tree, what is after it.
fn next_use(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find("use ")?;
        let before = text[..at].chars().next_back();
        if before.is_none_or(char::is_whitespace) {
            let tree = &text[at + 4..];
            let end = tree.find(';')?;
            return Some((&text[..at], &tree[..end], &tree[end + 1..]));
        }
        from = at + 4;
    }
}

fn is_reexport(before: &str) -> bool {
    let word = before.trim_end().rsplit(['\n', ';', '}']).next();
    word.is_some_and(|word| word.trim_start().starts_with("pub"))
}

/// The paths of a use tree, each with the name that it gets.
fn use_tree(prefix: &mut ImportPath, tree: &str, paths: &mut Vec<(String, ImportPath)>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let count = prefix.len();
        prefix.extend(
            head.split("::")
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .map(str::to_owned),
        );
        let group = group.trim_end().trim_end_matches('}');
        for part in split_group(group) {
            use_tree(prefix, part, paths);
        }
        prefix.truncate(count);
        return;
    }
    let (path, alias) = match tree.split_once(" as ") {
        Some((path, alias)) => (path, Some(alias.trim())),
        None => (tree, None),
    };
    let mut full = prefix.clone();
    full.extend(path.split("::").map(|it| it.trim().to_owned()));
    if full.last().is_some_and(|last| last == "self") && full.len() > 1 {
        full.pop();
    }
    if let Some(last) = full.last() {
        let name = alias.unwrap_or(last).to_owned();
        paths.push((name, full));
    }
}

/// The parts of a group, at the commas outside of inner groups.
fn split_group(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .collect()
}

/// Paths that the code itself names, such as `crate::host::now()`.
fn inline_paths(code: &str) -> Vec<ImportPath> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            // `pub(in crate::x)` is no import.
            if before.is_some_and(|c| c.is_alphanumeric() || c == ':' || c == '_')
                || code[..at].ends_with("(in ")
            {
                continue;
            }
            let end = code[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            let path = &code[at..end.map_or(code.len(), |end| at + end)];
            let path = path.split("::").filter(|it| !it.is_empty());
            paths.push(path.map(str::to_owned).collect());
        }
    }
    paths
}

/// The file that defines what a path names; none for other crates.
fn resolve(
    sources: &BTreeMap<String, Source>,
    modules: &BTreeMap<&[String], &str>,
    from: &[String],
    path: &[String],
    depth: usize,
) -> Option<String> {
    assert!(depth < 20, "a re-export leads to itself: {path:?}");
    let mut at: Vec<String> = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "super" | "self" => from.to_vec(),
        child => {
            let mut inner = from.to_vec();
            inner.push(child.to_owned());
            modules.get(inner.as_slice())?;
            from.to_vec()
        }
    };
    let mut names = path.iter().peekable();
    while let Some(name) = names.peek() {
        match name.as_str() {
            "crate" | "self" => {}
            "super" => {
                at.pop();
            }
            _ => break,
        }
        names.next();
    }
    while let Some(name) = names.peek() {
        at.push((*name).clone());
        if !modules.contains_key(at.as_slice()) {
            at.pop();
            break;
        }
        names.next();
    }
    let file = *modules.get(at.as_slice())?;
    let source = sources.get(file)?;
    let Some(name) = names.next() else {
        return Some(file.to_owned());
    };
    if source.defines(name) {
        return Some(file.to_owned());
    }
    match source.exports.get(name) {
        Some(path) => resolve(sources, modules, &source.module, path, depth + 1),
        None => Some(file.to_owned()),
    }
}

#[test]
fn only_unit_tests_are_cut_from_the_code_of_a_file() {
    let declared = "mod a;\n#[cfg(test)]\nmod steps;\n#[cfg(test)]\nmod tests;\nmod b;\n";
    assert_eq!(code_of(declared), "mod a;\n\n\nmod b;\n");
    let inside = "use a::A; // a\n#[cfg(test)]\nmod tests {\n    use b::B;\n}\n";
    assert_eq!(code_of(inside), "use a::A; \n");
    let both = declared.to_owned() + inside;
    assert_eq!(code_of(&both), "mod a;\n\n\nmod b;\nuse a::A; \n");
}

#[test]
fn comments_and_strings_are_no_code() {
    for (text, code) in [
        ("a(\"#[cfg(\"); b(\"//\")", "a(\"\"); b(\"\")"),
        ("a(\"b \\\n  c\"); // d\ne()", "a(\"\n\"); \ne()"),
        ("a(r\"\\\"); b()", "a(r\"\"); b()"),
        ("a(r#\"\"b\"\"#); c()", "a(r#\"\"); c()"),
        ("a('\"'); b / c", "a('\"'); b / c"),
    ] {
        assert_eq!(identifiers_of(text), code);
    }
}

#[test]
fn imports_lead_to_the_file_that_defines_the_item() {
    let files = [
        ("lib.rs", "pub mod a;\npub mod b;\n"),
        (
            "a/mod.rs",
            "mod one;\nmod two;\npub use one::One;\npub use two::{Two as Renamed, help};\n",
        ),
        (
            "a/one.rs",
            "//! As [`crate::b`]\nuse super::help;\npub struct One;\n",
        ),
        (
            "a/two.rs",
            "pub struct Two;\npub fn help() { crate::b::run(\"use crate::c\") }\n",
        ),
        (
            "b.rs",
            "use crate::a::{self, One, Renamed};\npub fn run() {}\n#[cfg(test)]\nmod tests { use crate::z; }\n",
        ),
    ];
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    let graph = Graph::of(files.into());
    let edges: Vec<(&str, &str)> = graph.edges().collect();
    assert_eq!(
        edges,
        [
            ("a/one.rs", "a/two.rs"),
            ("a/two.rs", "b.rs"),
            ("b.rs", "a/mod.rs"),
            ("b.rs", "a/one.rs"),
            ("b.rs", "a/two.rs"),
        ]
    );
    let cycles = graph.cycles();
    assert_eq!(cycles.len(), 1, "{cycles:?}");
    assert!(cycles[0].contains(&"b.rs".to_owned()), "{cycles:?}");
}
