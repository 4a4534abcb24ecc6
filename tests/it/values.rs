//! Every string of a manifest is data: it is refused, or it reaches the service exactly as written.
//! The oracle below reads units as systemd does and shares no code with `src/render`.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use robotctl::app::{App, Target};
use robotctl::manifest::Manifest;
use robotctl::render::render;
use robotctl::tree::Entry;

/// A reader of unit files and command lines after systemd.syntax(7), systemd.service(5)
/// ("Command lines") and systemd.unit(5) ("Specifiers"). It fails where systemd would expand.
mod oracle {
    /// `Key=value` lines of all sections, as `config_parse()` reads them.
    pub(super) fn lines(unit: &str) -> Vec<(String, String)> {
        const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];
        let mut out = Vec::new();
        let mut joined = String::new();
        for line in unit.split('\n') {
            let begun = !joined.is_empty();
            let head = line.trim_start_matches(BLANK);
            if !begun && (head.is_empty() || head.starts_with(['#', ';', '['])) {
                continue;
            }
            joined.push_str(line);
            let mut escaped = false;
            for c in line.chars() {
                escaped = !escaped && c == '\\';
            }
            if escaped {
                joined.pop();
                joined.push(' ');
                continue;
            }
            let (key, value) = joined.split_once('=').expect("a directive");
            let (key, value) = (key.trim_matches(BLANK), value.trim_matches(BLANK));
            out.push((key.to_owned(), value.to_owned()));
            joined.clear();
        }
        assert!(joined.is_empty(), "the last line is joined to nothing");
        out
    }

    /// `extract_first_word()` with quotes and C escapes, to the end.
    pub(super) fn words(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        let mut word: Option<String> = None;
        let mut quote = None;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match (quote, c) {
                (Some(end), c) if c == end => quote = None,
                (None, '"' | '\'') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (_, '\\') => {
                    let c = match chars.next().expect("something is escaped") {
                        'n' => '\n',
                        't' => '\t',
                        's' => ' ',
                        c @ ('\\' | '"' | '\'') => c,
                        c => panic!("systemd refuses `\\{c}` in `{text}`"),
                    };
                    word.get_or_insert_default().push(c);
                }
                (None, ' ' | '\t') => out.extend(word.take()),
                (None, ';') if word.is_none() && matches!(chars.peek(), None | Some(' ')) => {
                    panic!("`;` begins another command in `{text}`")
                }
                (_, c) => word.get_or_insert_default().push(c),
            }
        }
        assert!(quote.is_none(), "a quote is not closed in `{text}`");
        out.extend(word);
        out
    }

    /// A text with the values of its placeholders. A brace after `$` is the shell's.
    pub(super) fn placeholders(text: &str) -> String {
        const VALUES: [(&str, &str); 4] = [
            ("{{current}}", "{current}"),
            ("{{state}}", "{state}"),
            ("{current}", "/opt/shop/current"),
            ("{state}", "/var/lib/shop"),
        ];
        let mut out = String::new();
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let is_of_shell = text[..at].ends_with('$');
            let mut values = VALUES.iter().filter(|_| !is_of_shell);
            if let Some((name, value)) = values.find(|(name, _)| text[at..].starts_with(name)) {
                out.push_str(value);
                at += name.len();
            } else {
                out.push(c);
                at += c.len_utf8();
            }
        }
        out
    }

    /// Replaces each doubled character by one; systemd would expand a single one.
    fn single(text: &str, mark: char) -> String {
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c == mark {
                assert_eq!(chars.next(), Some(mark), "systemd expands `{text}`");
            }
            out.push(c);
        }
        out
    }

    pub(super) fn specifiers(text: &str) -> String {
        single(text, '%')
    }

    pub(super) fn command(text: &str) -> Vec<String> {
        let words = words(text).into_iter();
        words.map(|word| single(&specifiers(&word), '$')).collect()
    }

    pub(super) fn environment(text: &str) -> (String, String) {
        let words = words(text);
        assert_eq!(words.len(), 1, "several assignments in `{text}`");
        let word = specifiers(&words[0]);
        let (name, value) = word.split_once('=').expect("an assignment");
        (name.to_owned(), value.to_owned())
    }
}

/// What a person, or an attacker, could put between quotes.
fn strings() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        6 => proptest::sample::select(vec![
            "%", "%%", "%n", "%i", "$", "$$", "$HOME", "${HOME}", "\\", "\\\\", "\"", "'", " ",
            "  ", ";", "\\;", "@", "-", "!", "+", ":", "|", "#", "[Service]", "=", "ExecStart=",
            "\\x41", "\\n", "\\d", "{current}", "{state}", "{", "}", "é", "\u{a0}", "\u{2028}",
            "\u{200b}", "👋", "a", "bc", "0", "/", ".", "*", "~",
        ]).prop_map(str::to_owned),
        1 => proptest::sample::select(vec![
            "\n", "\r", "\t", "\0", "\u{7f}", "\u{85}", "\u{fffe}", "\u{fdd0}", "\u{1b}",
        ]).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
    ];
    prop_oneof![
        8 => proptest::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat()),
        1 => any::<String>(),
        1 => Just(String::new()),
    ]
}

/// The values of one case.
#[derive(Debug, Clone)]
struct Case {
    argument: String,
    env: String,
    description: String,
    directive: String,
}

fn cases() -> impl Strategy<Value = Case> {
    let plain = || "[ -~]{0,12}";
    // One value is arbitrary, so that a refusal is about it; in the last case all are.
    prop_oneof![
        (strings(), plain(), plain(), plain()),
        (plain(), strings(), plain(), plain()),
        (plain(), plain(), strings(), plain()),
        (plain(), plain(), plain(), strings()),
        (strings(), strings(), strings(), strings()),
    ]
    .prop_map(|(argument, env, description, directive)| Case {
        argument,
        env,
        description,
        directive,
    })
}

fn manifest(case: &Case) -> Manifest {
    let text = "[app]\nname = \"shop\"\nversion = \"1.0\"\n\
                [service.web]\nexec = [\"{current}/bin/web\", \"first\", \"VALUE\", \"last\"]\n\
                exec-start-pre = [[\"/bin/true\", \"VALUE\"]]\n\
                [service.web.sandbox.directives]\nSyslogIdentifier = \"VALUE\"\n";
    let mut manifest = robotctl::manifest::parse(text).expect("the frame is valid");
    let web = manifest.service.get_mut("web").expect("it is there");
    web.exec.as_mut().expect("a command")[2].clone_from(&case.argument);
    web.exec_start_pre[0][1].clone_from(&case.argument);
    web.env.insert("VALUE".into(), case.env.clone());
    web.env.insert("ZLAST".into(), "last".into());
    web.description = Some(case.description.clone());
    let directives = &mut web.sandbox.directives;
    directives.insert("SyslogIdentifier".into(), case.directive.clone());
    manifest
}

/// Whether systemd accepts every character.
fn is_text(text: &str) -> bool {
    text.chars().all(|c| {
        let code = u32::from(c);
        let noncharacter = (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe;
        let directs = (0x202a..=0x202e).contains(&code) || (0x2066..=0x2069).contains(&code);
        code >= 0x20 && !(0x7f..=0x9f).contains(&code) && !noncharacter && !directs
    })
}

/// Whether it can be the rest of a line.
fn is_line(text: &str) -> bool {
    is_text(text) && !text.starts_with(' ') && !text.ends_with([' ', '\\'])
}

fn values<'a>(lines: &'a [(String, String)], key: &str) -> Vec<&'a str> {
    let found = lines.iter().filter(|(found, _)| found == key);
    found.map(|(_, value)| value.as_str()).collect()
}

fn keys(lines: &[(String, String)]) -> Vec<&str> {
    lines.iter().map(|(key, _)| key.as_str()).collect()
}

/// The unit, its `05-execstart.conf` and its `40-directives.conf`, read by the oracle.
fn units(app: &App) -> [Vec<(String, String)>; 3] {
    let tree = render(app, Target::Version(252)).expect("what is valid can be rendered");
    let unit = "/usr/local/lib/systemd/system/shop-web.service";
    ["", ".d/05-execstart.conf", ".d/40-directives.conf"].map(|end| {
        let entry = tree.get(&format!("{unit}{end}"));
        let Some(Entry::File { bytes, .. }) = entry else {
            panic!("no {unit}{end}");
        };
        oracle::lines(std::str::from_utf8(bytes).expect("UTF-8"))
    })
}

fn check_case(case: &Case, plain: &[Vec<(String, String)>; 3]) {
    let expanded = |text: &str| oracle::placeholders(text);
    let good = is_text(&case.argument)
        && is_text(&case.env)
        && is_line(&expanded(&case.description))
        && is_line(&case.directive);
    let app = match App::from_manifest(&manifest(case), None) {
        Ok(app) => app,
        Err(problem) => return assert!(!good, "refused for no reason: {problem}"),
    };
    assert!(good, "must be refused");
    let [unit, execstart, directives] = units(&app);
    assert_eq!(keys(&unit), keys(&plain[0]), "another set of directives");
    assert_eq!(keys(&execstart), keys(&plain[1]));
    assert_eq!(keys(&directives), keys(&plain[2]));
    let argument = expanded(&case.argument);
    for lines in [&unit, &execstart] {
        let start = values(lines, "ExecStart");
        let argv = oracle::command(start.last().expect("a command"));
        let wanted = ["/opt/shop/current/bin/web", "first", &argument, "last"];
        assert_eq!(argv, wanted);
        let pre = values(lines, "ExecStartPre");
        let argv = oracle::command(pre.last().expect("a command"));
        assert_eq!(argv, ["/bin/true", &argument]);
    }
    let env = values(&unit, "Environment").into_iter();
    let env: Vec<(String, String)> = env.map(oracle::environment).collect();
    let wanted = [
        ("VALUE".to_owned(), expanded(&case.env)),
        ("ZLAST".to_owned(), "last".to_owned()),
    ];
    assert_eq!(env, wanted);
    let description = values(&unit, "Description");
    assert_eq!(
        oracle::specifiers(description[0]),
        expanded(&case.description)
    );
    // Raw directives are written unchanged, so that specifiers work.
    assert_eq!(values(&directives, "SyslogIdentifier"), [&case.directive]);
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    })
}

#[test]
fn a_value_is_refused_or_reaches_the_service_unchanged() {
    let benign = Case {
        argument: "a".into(),
        env: "b".into(),
        description: "c".into(),
        directive: "d".into(),
    };
    let app = App::from_manifest(&manifest(&benign), None).expect("the frame is valid");
    let plain = units(&app);
    runner(10_000)
        .run(&cases(), |case| {
            check_case(&case, &plain);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_oracle_reads_units_as_systemd_does() {
    let unit = "[Service]\n# no\nExecStart=/bin/a \\\n  b\nX= y \n\nEmpty=\n";
    let lines = oracle::lines(unit);
    let shown: Vec<String> = lines
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(shown, ["ExecStart=/bin/a    b", "X=y", "Empty="]);
    assert_eq!(
        oracle::command(r#"/bin/a "" 'b c' d\se "x\"y\\" 100%% $$HOME ";""#),
        ["/bin/a", "", "b c", "d e", "x\"y\\", "100%", "$HOME", ";"]
    );
    assert_eq!(
        oracle::environment("\"A=x y\""),
        ("A".to_owned(), "x y".to_owned())
    );
    for bad in ["a ; b", "a %n", "a $HOME", "a \\d", "a \"b"] {
        let read = std::panic::catch_unwind(|| oracle::command(bad));
        assert!(read.is_err(), "{bad}");
    }
}
