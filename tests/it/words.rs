//! Retired words: the code and the documents use one plain, standard term for each thing
//! (`docs/glossary.md`). This list holds the terms that were replaced, and what to write instead.

use crate::imports::identifiers_of;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a retired word is found.
enum Rule {
    /// These words in a row, in any case, in text and in identifiers: `put back` also finds
    /// `put_back`, `PutBack` and a phrase that continues on the next line of a comment. A `*` at the
    /// end of a word stands for any ending.
    Phrase(&'static str),
    /// The same, unless one of these words follows.
    PhraseBefore(&'static str, &'static [&'static str]),
    /// The same, unless one of these words precedes.
    PhraseAfter(&'static str, &'static [&'static str]),
    /// This text, exactly.
    Text(&'static str),
    /// A type, variant, function, constant or module that is defined by this name below `src`.
    Definition(&'static str),
    /// The same, in these directories only.
    DefinitionIn(&'static str, &'static [&'static str]),
    /// Identifiers that consist of this word or have it as a part, in Rust code: `nameless` finds
    /// `is_nameless` and `NamelessDir`, and not the word in a comment or a string.
    Identifier(&'static str),
    /// A line that begins with this word and two spaces, as in a table.
    Column(&'static str),
    /// A file by this path.
    File(&'static str),
}

use Rule::{
    Column, Definition, DefinitionIn, File, Identifier, Phrase, PhraseAfter, PhraseBefore, Text,
};

/// Each retired word, and what to write instead.
#[rustfmt::skip]
const RETIRED: &[(Rule, &str)] = &[
    // Words that a user reads.
    (Phrase("put back"), "restored"),
    (Phrase("puts back"), "restores"),
    (Phrase("putting back"), "restoring"),
    (Phrase("put it back"), "restore it"),
    (Phrase("puts it back"), "restores it"),
    (Phrase("putting it back"), "restoring it"),
    (Phrase("is live again"), "restored: ID is live"),
    (Phrase("mend"), "fix"),
    (Phrase("mends"), "fixes"),
    (Phrase("mended"), "fixed"),
    (Phrase("mending"), "fixing"),
    (Phrase("taken away"), "removed"),
    (Phrase("take away"), "remove"),
    (Phrase("takes away"), "removes"),
    (Phrase("took away"), "removed"),
    (Phrase("taking away"), "removing"),
    (Phrase("takes it away"), "removes it"),
    (Phrase("takes the app away"), "removes the app"),
    (Phrase("not looked"), "skipped"),
    (Phrase("looked at"), "checked"),
    (Text("\"looked\""), "\"checked\""),
    (Phrase("blind"), "skipped"),
    (Column("keep"), "unchanged"),
    (Phrase("put right"), "repair"),
    (Phrase("puts right"), "repairs"),
    (PhraseBefore("the release before", &["the", "you", "any", "a", "an", "they", "anything"]), "the previous release"),
    (PhraseBefore("the one before", &["the", "you", "any", "a", "an", "they", "anything"]), "the previous one"),
    (Phrase("no release before"), "no previous release"),
    (Phrase("trial"), "pre-check instance"),
    (Phrase("trials"), "pre-check instances"),
    (Phrase("second copy"), "pre-check instance"),
    (Phrase("second copies"), "pre-check instances"),
    (Phrase("stand-in*"), "the previous release, or a pre-check instance"),
    (Phrase("standin*"), "the previous release, or a pre-check instance"),
    (Phrase("stranger*"), "another app's or the system's"),
    (Phrase("robotctl remembers"), "state"),
    (Phrase("what is remembered"), "the records"),
    (Phrase("is remembered"), "is recorded"),
    (Text("is there where"), "expected a …, found a …"),
    // Figures of speech.
    (PhraseAfter("nobody", &["owner", "user", "group"]), "name who, or use the passive"),
    (Phrase("whoever"), "you, or name who"),
    (Phrase("told"), "reported, printed, recorded"),
    (Phrase("tells of"), "reports, describes"),
    (Phrase("tell of"), "report, describe"),
    (Phrase("way out"), "hint, fix"),
    (Phrase(", last word"), "overrides everything else"),
    (Phrase("each opening"), "what the service needs"),
    (Phrase("goes further back"), "goes back one more release"),
    (Phrase("nothing of others"), "files that robotctl does not own"),
    (Phrase("a hand that"), "manual edits"),
    (Phrase("gave itself away"), "failed later"),
    // The store.
    (PhraseAfter("book", &["rust"]), "store, records"),
    (Phrase("books"), "stores, records"),
    (Phrase("burn"), "delete"),
    (Phrase("burns"), "deletes"),
    (Phrase("burned"), "deleted"),
    (Phrase("burning"), "deleting"),
    (Phrase("sweep"), "clean up, delete"),
    (Phrase("sweeps"), "cleans up, deletes"),
    (Phrase("swept"), "cleaned up, deleted"),
    (Phrase("sweeping"), "cleaning up, deleting"),
    (Definition("Book"), "Store"),
    (Definition("told"), "reconstructed_state"),
    (Definition("recorded"), "saved_state"),
    (Definition("Newer"), "UnsupportedFormat"),
    (Definition("way_out"), "recovery_hint"),
    (File("src/record/hold.rs"), "lock.rs"),
    (File("src/store/hold.rs"), "lock.rs"),
    (Phrase("spend reserve"), "release_reserve"),
    // Use cases.
    (Definition("Work"), "Session"),
    (Definition("tell"), "emit"),
    (Definition("About"), "Subject"),
    (DefinitionIn("settle", &["src/cli", "src/ops"]), "recover_and_clean"),
    (DefinitionIn("Settled", &["src/cli", "src/ops"]), "a name of what was done"),
    (Definition("Adopted"), "StateRebuild"),
    (Definition("meant"), "resolve_app"),
    (Definition("may_change"), "check_privileges"),
    (Definition("newcomer"), "check_ownership"),
    (Definition("strangers"), "check_ownership"),
    (File("src/apply/owners.rs"), "a name for the check of ownership"),
    (File("src/ops/target.rs"), "choose_release.rs"),
    (File("src/ops/wait.rs"), "unit_commands.rs"),
    (File("src/ops/known.rs"), "completion_candidates.rs"),
    (Definition("old_releases"), "remove_old_releases"),
    (Definition("every_app"), "all_apps"),
    (Definition("future_programs"), "check_planned_programs"),
    (Definition("forget"), "remove_release_record"),
    (Definition("partly_recorded"), "releases_with_any_record"),
    (Definition("give_to"), "chown_tree"),
    (Definition("plain_umask"), "set_standard_umask"),
    (Definition("willing"), "check_pins, check_failed"),
    (Definition("permitted"), "check_pins, check_failed"),
    (Definition("unmarked"), "check_failed"),
    (Phrase("foresee*"), "preflight, expect"),
    (Phrase("foresaw"), "expected"),
    (Phrase("unforesee*"), "unexpected"),
    (Definition("understood"), "verify_units"),
    (Definition("invite"), "print_apply_command"),
    // Doctor and lints.
    (Definition("Patient"), "CheckContext"),
    (Definition("Blind"), "Skipped"),
    (Definition("examine"), "run_checks"),
    (Definition("Found"), "Finding"),
    (Definition("Hit"), "LintFinding"),
    (Definition("Weight"), "Severity"),
    // Transactions.
    (Definition("Between"), "Interrupted"),
    (Definition("Sick"), "UnhealthyRelease"),
    (Definition("Blamed"), "UnhealthyRelease"),
    (Definition("Back"), "Reverted, RevertOutcome"),
    (Definition("Unrecorded"), "StateNotSaved"),
    (Phrase("turn back"), "begin_revert"),
    (Phrase("doomed"), "removal_set"),
    (Definition("take_away"), "remove"),
    (Phrase("nobody left"), "ensure_no_leftovers"),
    (Definition("guarded"), "defer_signals"),
    (Phrase("heeding signals"), "interruptible"),
    // Staging.
    (Definition("Draft"), "ScannedSource"),
    (Definition("Head"), "IndexHeader"),
    (Definition("Older"), "PreviousIndex"),
    (Definition("There"), "PreviousEntry"),
    (Definition("Traces"), "Fingerprints"),
    (Definition("Placed"), "InstalledStat"),
    (Definition("Stamp"), "FileStat"),
    (Definition("Frame"), "DirCreator"),
    (Definition("Nameless"), "StagingDir"),
    (Definition("Filled"), "Stage"),
    (Definition("recall"), "reuse_hashes"),
    (Definition("recognise"), "is_unchanged"),
    (Definition("hurry"), "request_sync"),
    (Definition("Rationed"), "LimitedReader"),
    (Definition("Below"), "WalkEntry"),
    // Transient units and health.
    (Definition("Second"), "PreCheckInstance"),
    (Phrase("errand*"), "transient job"),
    (Definition("stranger_to_sockets"), "check_job"),
    (Definition("Mount"), "ReleaseMount"),
    (Phrase("acquaint*"), "reload_if_needed"),
    (Definition("bring_down"), "stop_and_confirm"),
    (Definition("accepting"), "wait_ready"),
    (Definition("waiting"), "acceptors"),
    (Phrase("unlooked"), "warn_unchecked"),
    (Definition("Look"), "UnitPlanner"),
    // The host and the relay.
    (Definition("Line"), "Connection, UnitLine"),
    (Definition("Inherited"), "ActivatedSockets"),
    (Definition("Peer"), "Stream"),
    (Definition("Held"), "SignalGuard"),
    (Definition("Talk"), "Exchange"),
    (Definition("Turn"), "TurnContext"),
    (Definition("End"), "Watched"),
    (Definition("Away"), "Backoff"),
    (Definition("Called"), "Connecting"),
    (Definition("Here"), "Open"),
    (Definition("Gone"), "Draining"),
    (Definition("on_every_processor"), "par_run"),
    (Definition("each"), "par_map"),
    (Definition("both"), "join"),
    (Definition("beside"), "temp_path"),
    (Definition("temporary_for"), "temp_target"),
    // Constants are named by what they bound, with the unit.
    (Definition("LOOK"), "such as PROBE_TIMEOUT"),
    (Definition("SHOWS"), "such as PROBE_TIMEOUT"),
    (Definition("LOOKS"), "such as PROBE_TIMEOUT"),
    (Definition("BETWEEN"), "such as PROBE_INTERVAL"),
    (Definition("STEADY"), "such as SETTLE_TIME"),
    (Definition("SAYS"), "such as HOLDER_TIMEOUT"),
    (Definition("ENDS"), "such as STOP_TIMEOUT"),
    (Definition("MANY"), "such as MAX_FDS"),
    (Definition("MOST"), "such as MAX_FDS"),
    (Definition("WAYS"), "such as MAX_BRANCHES"),
    (Definition("LAST"), "such as MAX_LINES"),
    // Words that no identifier needs, also as a part of it.
    (Identifier("told"), "reconstructed, reported"),
    (Identifier("adopted"), "StateRebuild"),
    (Identifier("newcomer"), "check_ownership"),
    (Identifier("willing"), "check_pins, check_failed"),
    (Identifier("unmarked"), "check_failed"),
    (Identifier("understood"), "verify_units"),
    (Identifier("patient"), "CheckContext"),
    (Identifier("sick"), "UnhealthyRelease"),
    (Identifier("blamed"), "UnhealthyRelease"),
    (Identifier("guarded"), "defer_signals"),
    (Identifier("draft"), "ScannedSource"),
    (Identifier("traces"), "Fingerprints"),
    (Identifier("nameless"), "StagingDir"),
    (Identifier("recall"), "reuse_hashes"),
    (Identifier("recognise"), "is_unchanged"),
    (Identifier("hurry"), "request_sync"),
    (Identifier("rationed"), "LimitedReader"),
    // Tests.
    (File("tests/faults/halfway.rs"), "midway.rs"),
    (File("tests/faults/seen.rs"), "state.rs"),
    (File("tests/faults/keeps.rs"), "invariants.rs"),
    (File("tests/faults/ends.rs"), "after_commit.rs"),
    (File("tests/faults/crowd.rs"), "concurrency.rs"),
];

/// Everything that is read.
const TOP: &[&str] = &[
    "src",
    "tests",
    "docs",
    "packaging",
    "scripts",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "clippy.toml",
];

/// What is not: this list, the files of earlier versions, and the text of other projects.
const NOT: &[&str] = &[
    "tests/it/words.rs",
    "tests/formats",
    "tests/it/formats",
    "tests/it/scorer_units",
    "tests/system/service-packages.txt",
    "docs/examples/wiki-platform/.venv",
    "docs/examples/wiki-platform/wheels",
];

/// A word in lower case, or a character that is neither a part of a word nor space.
struct Token {
    text: String,
    line: usize,
}

/// The tokens of a text, and where each of them is.
struct Tokens {
    all: Vec<Token>,
    places: BTreeMap<String, Vec<usize>>,
}

/// The tokens of a text. The marks of comments and of continued strings are left out, so that a
/// phrase is found across lines. Parts of an identifier are words of their own.
fn tokens(text: &str) -> Tokens {
    let is_word = |c: char| c.is_alphanumeric();
    let mut all: Vec<Token> = Vec::new();
    for (index, whole) in text.lines().enumerate() {
        let trimmed = whole.trim_start();
        let body = trimmed.trim_start_matches(['/', '#', '!', '*', '>']);
        let mut rest = body.trim_end().trim_end_matches('\\');
        while let Some(c) = rest.chars().next() {
            let len = match is_word(c) {
                true => word_len(rest),
                false => c.len_utf8(),
            };
            let (text, after) = rest.split_at(len);
            // Within `put_back` and `put-back`, the mark stands for a space.
            let joins = matches!(c, '_' | '-') && after.starts_with(is_word);
            if !c.is_whitespace() && !joins {
                all.push(Token {
                    text: text.to_lowercase(),
                    line: index + 1,
                });
            }
            rest = after;
        }
    }
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, token) in all.iter().enumerate() {
        match places.get_mut(&token.text) {
            Some(list) => list.push(at),
            None => drop(places.insert(token.text.clone(), vec![at])),
        }
    }
    Tokens { all, places }
}

/// The length of the word that a text begins with. A word of an identifier ends before a capital
/// letter that follows a small one.
fn word_len(text: &str) -> usize {
    let mut last = None;
    for (at, c) in text.char_indices() {
        let begins = c.is_uppercase() && last.is_some_and(char::is_lowercase);
        if !c.is_alphanumeric() || begins {
            return at;
        }
        last = Some(c);
    }
    text.len()
}

impl Tokens {
    /// Where a word of a phrase is.
    fn of(&self, word: &str) -> Vec<usize> {
        let Some(stem) = word.strip_suffix('*') else {
            return self.places.get(word).cloned().unwrap_or_default();
        };
        let all = self.places.range(stem.to_owned()..);
        let all = all.take_while(|(word, _)| word.starts_with(stem));
        all.flat_map(|(_, list)| list.iter().copied()).collect()
    }

    /// Whether a word of a phrase is at a place.
    fn has(&self, at: usize, word: &str) -> bool {
        let text = self.all.get(at).map(|token| token.text.as_str());
        match word.strip_suffix('*') {
            Some(stem) => text.is_some_and(|text| text.starts_with(stem)),
            None => text == Some(word),
        }
    }

    /// The lines on which a phrase begins, unless a listed word is next to it.
    fn phrase(&self, phrase: &str, before: &[&str], after: &[&str]) -> Vec<usize> {
        let words: Vec<&str> = phrase.split(' ').collect();
        let whole = |at: &usize| (0..words.len()).all(|n| self.has(at + n, words[n]));
        let excepted = |at: &usize| {
            // A single mark may stand before it, as in `--owner=nobody`.
            let left = before.iter().any(|word| {
                (1..=2).any(|back| at.checked_sub(back).is_some_and(|at| self.has(at, word)))
            });
            left || after.iter().any(|word| self.has(at + words.len(), word))
        };
        let found = self.of(words[0]).into_iter();
        let found = found.filter(|at| whole(at) && !excepted(at));
        found.map(|at| self.all[at].line).collect()
    }
}

/// The lines on which an item of a name is defined.
fn definitions(text: &str, name: &str) -> Vec<usize> {
    const KINDS: [&str; 8] = [
        "struct ", "enum ", "type ", "trait ", "fn ", "const ", "static ", "mod ",
    ];
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        let defined = KINDS.iter().any(|kind| {
            code.match_indices(kind).any(|(at, _)| {
                let begins = code[..at].chars().next_back().is_none_or(|c| !is_part(c));
                let rest = code[at + kind.len()..].strip_prefix(name);
                begins && rest.is_some_and(|rest| !rest.starts_with(is_part))
            })
        });
        if defined {
            out.push(index + 1);
        }
    }
    out.extend(variants(text, name));
    out
}

/// The lines on which a variant of an enum has a name, in text that rustfmt wrote.
fn variants(text: &str, name: &str) -> Vec<usize> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    // The indent of the enum that is read.
    let mut inside: Option<usize> = None;
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.trim_start();
        match inside {
            Some(start) if indent(line) == start && code == "}" => inside = None,
            Some(start) if indent(line) == start + 4 => {
                let rest = code.strip_prefix(name);
                if rest.is_some_and(|rest| rest.starts_with([',', '(', ' '])) {
                    out.push(index + 1);
                }
            }
            None if code.ends_with('{') && code.split(' ').any(|word| word == "enum") => {
                inside = Some(indent(line));
            }
            _ => {}
        }
    }
    out
}

/// The lines for which something holds.
fn lines(text: &str, holds: impl Fn(&str) -> bool) -> Vec<usize> {
    let numbered = text.lines().enumerate();
    let found = numbered.filter(|(_, line)| holds(line));
    found.map(|(index, _)| index + 1).collect()
}

/// A file that is read.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
    words: Tokens,
    /// Those of its code, for a Rust file.
    identifiers: Option<Tokens>,
}

impl<'a> Source<'a> {
    fn new(path: &'a str, text: &'a str) -> Self {
        let code = path.ends_with(".rs").then(|| identifiers_of(text));
        Self {
            path,
            text,
            words: tokens(text),
            identifiers: code.map(|code| tokens(&code)),
        }
    }

    /// Where it breaks a rule: its lines.
    fn hits(&self, rule: &Rule) -> Vec<usize> {
        let &Self { path, text, .. } = self;
        let is_source = path.starts_with("src/") && path.ends_with(".rs");
        match rule {
            Phrase(words) => self.words.phrase(words, &[], &[]),
            PhraseBefore(words, unless) => self.words.phrase(words, &[], unless),
            PhraseAfter(words, unless) => self.words.phrase(words, unless, &[]),
            Text(part) => lines(text, |line| line.contains(part)),
            Column(word) => {
                let begin = format!("{word}  ");
                lines(text, |line| line.trim_start().starts_with(&begin))
            }
            Identifier(word) => match &self.identifiers {
                Some(identifiers) => identifiers.phrase(word, &[], &[]),
                None => Vec::new(),
            },
            Definition(name) if is_source => definitions(text, name),
            DefinitionIn(name, dirs) if dirs.iter().any(|dir| path.starts_with(dir)) => {
                definitions(text, name)
            }
            File(file) if *file == path => vec![1],
            Definition(_) | DefinitionIn(..) | File(_) => Vec::new(),
        }
    }
}

/// The rule as a person reads it.
fn shown(rule: &Rule) -> &'static str {
    match rule {
        Phrase(text)
        | PhraseBefore(text, _)
        | PhraseAfter(text, _)
        | Text(text)
        | Definition(text)
        | DefinitionIn(text, _)
        | Identifier(text)
        | Column(text)
        | File(text) => text,
    }
}

/// Files in which a word means something else.
const ALLOWED: &[(&str, &str)] = &[
    // The system user of that name.
    ("src/app/reserved.rs", "nobody"),
    ("src/exposure/grades.rs", "nobody"),
    ("src/host/tmpfiles.rs", "nobody"),
    ("src/sandbox/exceptions.rs", "nobody"),
    ("docs/reference/exceptions.md", "nobody"),
    ("tests/system/journald.rs", "nobody"),
    // Variants that say what they are together with their enum.
    ("src/host/lock.rs", "Held"),
    ("src/relay/responses.rs", "Head"),
    ("src/sandbox/shape.rs", "Inherited"),
    // What libtest-mimic calls a test.
    ("tests/faults/main.rs", "trial"),
    ("tests/faults/main.rs", "trials"),
    ("tests/system/main.rs", "trial"),
    ("tests/system/main.rs", "trials"),
];

/// The files to read, relative to the repository.
fn files(base: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for top in TOP {
        for entry in walkdir::WalkDir::new(base.join(top)).sort_by_file_name() {
            // A document that is not written yet has no words.
            let Ok(entry) = entry else { continue };
            let path = entry.path().strip_prefix(base).expect("below");
            let skipped = NOT.iter().any(|not| path.starts_with(not));
            if entry.file_type().is_file() && !skipped {
                out.push(path.to_owned());
            }
        }
    }
    out
}

#[test]
fn no_retired_word_is_used() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut wrong, mut counts) = (Vec::new(), BTreeMap::new());
    let files = files(base);
    assert!(files.len() > 300, "only {} files were read", files.len());
    for path in files {
        // What is not text has no words.
        let Ok(text) = std::fs::read_to_string(base.join(&path)) else {
            continue;
        };
        let path = path.to_str().expect("UTF-8");
        let source = Source::new(path, &text);
        let mut found: Vec<(usize, &str, &str)> = Vec::new();
        for (rule, instead) in RETIRED {
            if ALLOWED.contains(&(path, shown(rule))) {
                continue;
            }
            for line in source.hits(rule) {
                found.push((line, shown(rule), instead));
            }
        }
        found.sort_unstable();
        for (line, word, instead) in found {
            *counts.entry(word).or_insert(0) += 1;
            wrong.push(format!("{path}:{line}: `{word}`; write: {instead}"));
        }
    }
    let mut counts: Vec<(usize, &str)> = counts.into_iter().map(|(word, n)| (n, word)).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let counts: Vec<String> = counts
        .iter()
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    assert!(
        wrong.is_empty(),
        "{}\n\n{} retired words: {}",
        wrong.join("\n"),
        wrong.len(),
        counts.join(", ")
    );
}

#[test]
fn retired_words_are_found_and_others_are_not() {
    let find = |rule: Rule, path: &str, text: &str| Source::new(path, text).hits(&rule);
    let put_back = || Phrase("put back");
    for text in [
        "It is put back.",
        "Put back",
        "//! It is put\n//! back.",
        "    \"it is put \\\n     back\"",
        "fn put_back() {}",
        "struct PutBack;",
        "event put-back",
    ] {
        assert_eq!(find(put_back(), "a.md", text), [1], "{text}");
    }
    for text in ["put. Back", "input back", "put it back", "put backs"] {
        assert_eq!(find(put_back(), "a.md", text), [0; 0], "{text}");
    }
    assert_eq!(find(Phrase("stranger*"), "a", "\n\na stranger's"), [3]);
    let before = || PhraseBefore("the release before", &["the"]);
    assert_eq!(find(before(), "a", "the release before it"), [1]);
    assert_eq!(find(before(), "a", "the release before the"), [0; 0]);
    let nobody = || PhraseAfter("nobody", &["owner"]);
    assert_eq!(find(nobody(), "a", "nobody reads it"), [1]);
    assert_eq!(find(nobody(), "a", "--owner=nobody"), [0; 0]);
    assert_eq!(find(Column("keep"), "a", "  keep     a.service"), [1]);
    assert_eq!(find(Column("keep"), "a", "keep = 5"), [0; 0]);
    let code = "// struct Book\npub struct Book {\nlet book = Book::new();\nstruct Bookshelf;\n";
    assert_eq!(find(Definition("Book"), "src/a.rs", code), [2]);
    assert_eq!(find(Definition("Book"), "tests/a.rs", code), [0; 0]);
    let code = "pub enum Outcome {\n    /// Back\n    Back {\n        Done: u8,\n    },\n    \
                Done(u8),\n    Gone,\n}\nfn a() {\n    Done(1)\n}\n";
    assert_eq!(find(Definition("Back"), "src/a.rs", code), [3]);
    assert_eq!(find(Definition("Done"), "src/a.rs", code), [6]);
    assert_eq!(find(Definition("Gone"), "src/a.rs", code), [7]);
    assert_eq!(find(Definition("Ba"), "src/a.rs", code), [0; 0]);
    let nameless = || Identifier("nameless");
    let code = "// nameless\nlet a = \"nameless \\\n b\";\nis_nameless(NamelessDir)\nnamelessly\n";
    assert_eq!(find(nameless(), "tests/a.rs", code), [4, 4]);
    assert_eq!(find(nameless(), "a.md", code), [0; 0]);
    let settle = || DefinitionIn("settle", &["src/cli"]);
    assert_eq!(find(settle(), "src/cli/a.rs", "pub(super) fn settle("), [1]);
    assert_eq!(find(settle(), "src/health/a.rs", "fn settle("), [0; 0]);
    assert_eq!(find(File("src/a.rs"), "src/a.rs", ""), [1]);
}
