//! How to write what a manifest says in another form: keys of other tools, and values of another type.

/// Keys that other tools have: the key of a manifest that takes their place, and how to write it.
const OTHER_KEYS: &[(&[&str], &str, &str)] = &[
    (
        &["address", "bind", "expose", "host", "port", "ports"],
        "listen",
        "listen = [\"127.0.0.1:8080\"]",
    ),
    (
        &[
            "cmd",
            "command",
            "entrypoint",
            "exec-start",
            "execstart",
            "program",
            "run",
            "script",
            "start",
        ],
        "exec",
        "exec = [\"{current}/bin/app\", \"ARGUMENT\"]",
    ),
    (
        &["environ", "environment", "variables", "vars"],
        "env",
        "env = { KEY = \"value\" }",
    ),
    (
        &["cwd", "directory", "workdir", "working-dir"],
        "working-directory",
        "working-directory = \"{current}\"",
    ),
    (
        &["depends", "depends-on", "needs"],
        "requires",
        "requires = [\"SERVICE\"]",
    ),
    (
        &["health", "health-check", "healthcheck"],
        "check",
        "check = [{ http = \"/healthz\" }]",
    ),
    (
        &["calendar", "cron", "interval", "on-calendar", "schedule"],
        "timer",
        "timer = { calendar = \"daily\" }",
    ),
    (
        &[
            "mounts",
            "read-write",
            "read-write-paths",
            "volumes",
            "writable",
        ],
        "sandbox",
        "sandbox = { read-write = [\"/srv/data\"] }",
    ),
    (
        &["mem-limit", "memory", "memory-limit", "memory-max"],
        "limits",
        "limits = { memory-max = \"512M\" }",
    ),
    (&["restart-policy"], "restart", "restart = \"on-failure\""),
    (
        &["before-start", "pre-start"],
        "exec-start-pre",
        "exec-start-pre = [[\"{current}/bin/prepare\"]]",
    ),
];

/// Keys that belong to another place, and where.
const OTHER_PLACES: &[(&[&str], &str)] = &[
    (
        &[
            "allow",
            "capabilities",
            "devices",
            "directives",
            "outbound",
            "read-only",
        ],
        "it belongs to the table `sandbox` of the service",
    ),
    (
        &["stop-timeout", "timeout"],
        "write `timeout-start = \"60s\"` or `timeout-stop = \"10s\"`",
    ),
    (
        &["secrets"],
        "write a table `[[secret]]` with `name` and `services`",
    ),
    (
        &["env-file", "environment-file"],
        "systemd reads `/etc/APP/env` for every service; `[env]` is for values that are not secret",
    ),
    (
        &["artifact", "build", "exclude", "source"],
        "it belongs to the table `[release]`",
    ),
    (
        &["hooks", "migrate", "post-deploy", "pre-deploy"],
        "write a table `[hooks]` with `before-switch` or `after-switch`",
    ),
    (
        &["instances", "processes", "replicas", "scale", "workers"],
        "a service is one unit: let its program start workers, or write one service for each",
    ),
];

/// Keys with a time span, and the most seconds that they take.
const SPANS: &[(&str, u64)] = &[
    ("drain", 7 * 24 * 3600),
    ("on-boot", u64::MAX),
    ("on-unit-active", u64::MAX),
    ("randomized-delay", u64::MAX),
    ("restart-sec", u64::MAX),
    ("settle", u64::MAX),
    ("soak", u64::MAX),
    ("start-limit-interval", u64::MAX),
    ("timeout", u64::MAX),
    ("timeout-start", 3600),
    ("timeout-stop", 3600),
    ("watchdog", u64::MAX),
    ("within", u64::MAX),
];

/// Keys with a time that robotctl waits for, so that it needs an end.
const LIMITED_SPANS: &[&str] = &["timeout-start", "timeout-stop"];

/// What to write in place of zero for one of [`LIMITED_SPANS`].
pub(crate) const NO_TIMEOUT: &str = "write a time from `1ms` to `1h`: zero means no limit to systemd, and a deploy and a \
rollback wait for the service";

/// Keys whose text is a name, a path, an address or a word. A number or `true` is none of them.
const NAMES: &[&str] = &[
    "calendar",
    "group",
    "http",
    "maintainer",
    "name",
    "reader-group",
    "runtime",
    "socket",
    "source",
    "target",
    "type",
    "unix",
    "upgrade",
    "user",
    "wheels",
    "working-directory",
];

/// Keys with a command: the program and its arguments.
const COMMANDS: &[&str] = &["command", "exec", "exec-reload"];

/// Characters that mean something to a shell. A service runs without a shell.
const SHELL_CHARACTERS: &[char] = &[
    '|', '&', ';', '<', '>', '$', '*', '?', '~', '(', ')', '`', '"', '\'', '\\',
];

/// The most of `memory-max` that a number without a unit means in MiB.
const MAX_MEBIBYTES: u64 = 64 * 1024;

/// The least of `memory-max` that a number without a unit means in bytes.
const MIN_BYTES: u64 = 1024 * 1024;

/// The least of `cpu-quota` that a number means in percent. A smaller one may be a number of processors.
const MIN_PERCENT: u64 = 10;

/// What to write in place of an unknown key. `known` are the keys that its table has, and `value` is what is written
/// after it.
pub(super) fn of_unknown_key(unknown: &str, known: &[&str], value: Option<&str>) -> Option<String> {
    let plain = unknown.to_lowercase().replace('_', "-");
    let plain = plain.as_str();
    let mut keys = OTHER_KEYS.iter();
    if let Some((_, key, form)) =
        keys.find(|(words, key, _)| words.contains(&plain) && known.contains(key))
    {
        let is_list = form.starts_with(&format!("{key} = ["));
        let of_value = value.filter(|_| is_list);
        let of_value = of_value.and_then(|value| of_value_of(key, value));
        return Some(of_value.unwrap_or_else(|| format!("write `{form}`")));
    }
    let is_service = known.contains(&"exec");
    let mut places = OTHER_PLACES.iter();
    let place = places.find(|(words, _)| is_service && words.contains(&plain));
    place.map(|(_, hint)| (*hint).to_owned())
}

/// The value of a key of another tool as the list of the key that takes its place.
fn of_value_of(key: &str, value: &str) -> Option<String> {
    match (key, value.starts_with('[')) {
        // A list of words is one here too.
        ("exec" | "requires", true) if !value.contains('\n') => {
            Some(format!("write `{key} = {value}`"))
        }
        (_, true) => None,
        ("listen", false) => {
            let port = text_of(value).unwrap_or_else(|| value.to_owned());
            of_value(key, &port, "a list")
        }
        (_, false) => of_value(key, value, "a list"),
    }
}

/// How to write the value of `key` in the type that is expected, if that can be said. The manifest
/// accepts the line, unless the value itself is wrong.
pub(super) fn of_value(key: &str, value: &str, expected: &str) -> Option<String> {
    if value.contains('\n') {
        return None;
    }
    let text = text_of(value);
    let form = match (expected, text.as_deref()) {
        (_, Some("")) => return None,
        ("a list", Some(words)) if COMMANDS.contains(&key) => command(words)?,
        (_, Some(text)) if text.contains('`') => return None,
        ("a list", text) => list(key, value, text)?,
        ("a table", Some(_)) if key == "timer" => format!("{{ calendar = {value} }}"),
        ("a table", _) if key == "env" => "{ KEY = \"value\" }".to_owned(),
        ("a string", None) if NAMES.contains(&key) && is_plain(value) => {
            return Some("write text in quotes, not a number or `true`".to_owned());
        }
        ("a string", None) if value == "0" && LIMITED_SPANS.contains(&key) => {
            return Some(NO_TIMEOUT.to_owned());
        }
        ("a string", None) => string(key, value)?,
        ("true or false", Some("yes" | "true" | "on")) => "true".to_owned(),
        ("true or false", Some("no" | "false" | "off")) => "false".to_owned(),
        ("a number", Some(digits)) => {
            let number: u64 = digits.parse().ok()?;
            let is_allowed = match key {
                "keep" => number >= 2,
                "status" => (100..=599).contains(&number),
                _ => number > 0,
            };
            is_allowed.then(|| number.to_string())?
        }
        _ => return None,
    };
    Some(format!("write `{key} = {form}`"))
}

/// The text of a string as TOML writes it.
fn text_of(value: &str) -> Option<String> {
    if !value.starts_with(['"', '\'']) {
        return None;
    }
    let table: toml::Table = format!("text = {value}").parse().ok()?;
    Some(table.get("text")?.as_str()?.to_owned())
}

/// Whether a value is a number, `true` or `false`.
fn is_plain(value: &str) -> bool {
    let is_number = value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number || ["true", "false"].contains(&value)
}

/// A command as a list. Only a shell knows where the words of its own syntax end.
fn command(text: &str) -> Option<String> {
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let first = words.first_mut()?;
    if text.contains(SHELL_CHARACTERS) || first.contains('=') {
        words = ["/bin/sh", "-c", text].map(str::to_owned).into();
    } else if !first.starts_with(['/', '{']) {
        *first = match first.strip_prefix("./") {
            None if !first.contains('/') => format!("/usr/bin/{first}"),
            path => format!("{{current}}/{}", path.unwrap_or(first)),
        };
    }
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    Some(format!("[{}]", words.join(", ")))
}

/// The list with one value, as it is written or as a text.
fn list(key: &str, value: &str, text: Option<&str>) -> Option<String> {
    match (key, text) {
        ("check", Some(path)) => path
            .starts_with('/')
            .then(|| format!("[{{ http = {value} }}]")),
        ("check", None) => value.starts_with('{').then(|| format!("[{value}]")),
        ("listen", None) => {
            let port = value.parse::<u16>().ok().filter(|port| *port > 0)?;
            Some(format!("[\"127.0.0.1:{port}\"]"))
        }
        // Several values in one text.
        (_, Some(text)) if text.contains(|c: char| c == ',' || c.is_whitespace()) => None,
        (_, Some(_)) => Some(format!("[{value}]")),
        (_, None) => None,
    }
}

/// A number, `true` or `false` as a text.
fn string(key: &str, value: &str) -> Option<String> {
    let number = value.parse::<u64>().ok();
    let mut spans = SPANS.iter();
    if let Some((_, max)) = spans.find(|(span, _)| *span == key) {
        let seconds = number.filter(|seconds| (1..=*max).contains(seconds))?;
        return Some(format!("\"{seconds}s\""));
    }
    let form = match (key, number) {
        ("restart", None) if value == "true" => "always".to_owned(),
        ("restart", None) if value == "false" => "no".to_owned(),
        ("memory-max", Some(number @ 1..=MAX_MEBIBYTES)) => format!("{number}M"),
        ("memory-max", Some(number @ MIN_BYTES..)) => number.to_string(),
        ("cpu-quota", Some(number @ MIN_PERCENT..)) => format!("{number}%"),
        ("generate", Some(number @ 16..=1024)) => format!("hex:{number}"),
        ("tcp", Some(port @ 1..=65535)) => format!("127.0.0.1:{port}"),
        ("restart" | "memory-max" | "cpu-quota" | "generate" | "tcp", _) => return None,
        ("version", _) if value == "true" || value == "false" => return None,
        _ if is_plain(value) => value.to_owned(),
        _ => return None,
    };
    Some(quoted(form))
}

fn quoted(text: String) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::{
        LIMITED_SPANS, NAMES, NO_TIMEOUT, OTHER_KEYS, OTHER_PLACES, SHELL_CHARACTERS, SPANS,
    };
    use crate::app::App;
    use crate::manifest::parse;

    const HEAD: &str = "[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\n";

    fn hint(rest: &str) -> String {
        let text = format!("{HEAD}{rest}");
        parse(&text).unwrap_err().hint
    }

    /// The part of a manifest before a line, the line with a value of another type, and what to write.
    const LINES: &[(&str, &str, &str)] = &[
        (
            WEB,
            "listen = \"127.0.0.1:7000\"",
            "listen = [\"127.0.0.1:7000\"]",
        ),
        (WEB, "listen = 7000", "listen = [\"127.0.0.1:7000\"]"),
        (LISTEN, "check = \"/up\"", "check = [{ http = \"/up\" }]"),
        (
            LISTEN,
            "check = { http = \"/\" }",
            "check = [{ http = \"/\" }]",
        ),
        (WEB, "groups = 'adm'", "groups = ['adm']"),
        (WEB, "timer = \"daily\"", "timer = { calendar = \"daily\" }"),
        (WEB, "env = [\"A=1\"]", "env = { KEY = \"value\" }"),
        (WEB, "env.PORT = 80", "PORT = \"80\""),
        (WEB, "timeout-start = 5", "timeout-start = \"5s\""),
        (WEB, "timeout-stop = 3600", "timeout-stop = \"3600s\""),
        (WEB, "drain = 604800", "drain = \"604800s\""),
        (WEB, "timer.on-boot = 60", "on-boot = \"60s\""),
        (WEB, "restart = true", "restart = \"always\""),
        (WEB, "restart = false", "restart = \"no\""),
        (WEB, "description = 5", "description = \"5\""),
        (WEB, "enable = \"no\"", "enable = false"),
        (WEB, "limits.nofile = \"01024\"", "nofile = 1024"),
        (WEB, "limits.memory-max = 350", "memory-max = \"350M\""),
        (
            WEB,
            "limits.memory-max = 367001600",
            "memory-max = \"367001600\"",
        ),
        (WEB, "limits.cpu-quota = 50", "cpu-quota = \"50%\""),
        (HEAD, "exec = \"/w\"", "exec = [\"/w\"]"),
        (
            HEAD,
            "exec = \"{current}/app  --port 1\"",
            "exec = [\"{current}/app\", \"--port\", \"1\"]",
        ),
        (
            HEAD,
            "exec = \"bin/app --port 1\"",
            "exec = [\"{current}/bin/app\", \"--port\", \"1\"]",
        ),
        (HEAD, "exec = './app'", "exec = [\"{current}/app\"]"),
        (
            HEAD,
            "exec = 'python3 app.py'",
            "exec = [\"/usr/bin/python3\", \"app.py\"]",
        ),
        // Words of a shell.
        (
            HEAD,
            "exec = \"/x --name=$HOME | tee\"",
            "exec = [\"/bin/sh\", \"-c\", \"/x --name=$HOME | tee\"]",
        ),
        (
            HEAD,
            "exec = \"/bin/sh -c 'a b'\"",
            "exec = [\"/bin/sh\", \"-c\", \"/bin/sh -c 'a b'\"]",
        ),
        (
            HEAD,
            "exec = '/x \"a b\"'",
            "exec = [\"/bin/sh\", \"-c\", '/x \"a b\"']",
        ),
        (
            HEAD,
            "exec = 'A=1 /x'",
            "exec = [\"/bin/sh\", \"-c\", \"A=1 /x\"]",
        ),
    ];

    const WEB: &str = "[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\nexec = [\"/w\"]\n";
    const LISTEN: &str = "[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\nexec = [\"/w\"]\n\
                          listen = [\"127.0.0.1:7000\"]\n";

    /// The hint for a line with a value of another type.
    fn hint_after(before: &str, line: &str) -> String {
        parse(&format!("{before}{line}\n")).unwrap_err().hint
    }

    /// The manifest with the line that a hint says, in the place of `wrong`.
    fn accepted(before: &str, wrong: &str, hint: &str) -> Result<(), String> {
        let line = hint
            .strip_prefix("write `")
            .and_then(|rest| rest.strip_suffix('`'));
        let line = line.ok_or("no line")?;
        let (key, _) = wrong.split_once(" = ").unwrap();
        let table = key.rsplit_once('.').map(|(table, _)| format!("{table}."));
        let text = format!("{before}{}{line}\n", table.unwrap_or_default());
        let app = parse(&text).and_then(|manifest| App::from_manifest(&manifest, None));
        app.map(drop).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_value_of_another_type_gets_the_line_to_write() {
        for (before, wrong, right) in LINES {
            let hint = hint_after(before, wrong);
            assert_eq!(hint, format!("write `{right}`"), "{wrong}");
        }
    }

    #[test]
    fn a_manifest_with_the_line_to_write_is_accepted() {
        for (before, wrong, _) in LINES {
            let hint = hint_after(before, wrong);
            assert_eq!(accepted(before, wrong, &hint), Ok(()), "{wrong}: {hint}");
        }
        // Each character of a shell, and each of them alone in a word.
        for character in SHELL_CHARACTERS {
            let text = toml::Value::from(format!("/x a{character}b {character}"));
            let wrong = format!("exec = {text}");
            let hint = hint_after(HEAD, &wrong);
            let shell = "write `exec = [\"/bin/sh\", \"-c\", ";
            assert!(hint.starts_with(shell), "{wrong}: {hint}");
            assert_eq!(accepted(HEAD, &wrong, &hint), Ok(()), "{wrong}: {hint}");
        }
        // Each key with a time, up to the longest.
        for (key, max) in SPANS {
            let seconds = (*max).min(1_000_000);
            let form = super::of_value(key, &seconds.to_string(), "a string");
            assert_eq!(form, Some(format!("write `{key} = \"{seconds}s\"`")));
            let form = LIMITED_SPANS.contains(key).then(|| NO_TIMEOUT.to_owned());
            assert_eq!(super::of_value(key, "0", "a string"), form, "{key}");
            assert_eq!(super::of_value(key, "1.5", "a string"), None, "{key}");
        }
    }

    #[test]
    fn a_value_without_an_accepted_form_gets_no_line() {
        for wrong in [
            "user = 1000",
            "user = true",
            "groups = \"adm, disk\"",
            "groups = 4",
            "timeout-stop = 0",
            "timeout-stop = 3601",
            "drain = 604801",
            "timeout-start = 1.5",
            "restart = 1",
            "limits.memory-max = 0",
            "limits.memory-max = 0.5",
            "limits.memory-max = 100000",
            "limits.cpu-quota = 2",
            "limits.cpu-quota = 0.5",
            "limits.nofile = \"0\"",
            "listen = 0",
            "listen = 70000",
            "listen = \"\"",
            "listen = \"127.0.0.1:80, 127.0.0.1:81\"",
            "working-directory = 5",
            "runtime = 3.11",
        ] {
            let hint = hint_after(WEB, wrong);
            let key = wrong.split([' ', '.']).next().unwrap();
            let has_line = hint.contains(&format!("`{key} =")) || hint.contains("-max =");
            assert!(!has_line && !hint.contains("quota ="), "{wrong}: {hint}");
        }
        for wrong in ["exec = \"\"", "exec = \" \""] {
            let hint = hint_after(HEAD, wrong);
            assert!(!hint.contains("exec ="), "{wrong}: {hint}");
        }
    }

    #[test]
    fn a_key_of_another_tool_gets_the_key_of_a_manifest() {
        for (words, key, form) in OTHER_KEYS {
            for word in *words {
                let found = hint(&format!("exec = [\"/w\"]\n{word} = true\n"));
                assert_eq!(found, format!("write `{form}`"), "{word}");
            }
            assert!(form.starts_with(key), "{form}");
        }
        for (words, place) in OTHER_PLACES {
            for word in *words {
                let found = hint(&format!("exec = [\"/w\"]\n{word} = 1\n"));
                assert_eq!(found, *place, "{word}");
            }
        }
        assert!(hint("exec = [\"/w\"]\nExecStart = 1\n").contains("exec = ["));
        assert!(hint("exec = [\"/w\"]\ndepends_on = 1\n").contains("requires"));
        // Elsewhere the word has no such meaning.
        let elsewhere = parse(&HEAD.replace("version", "port = 1\nversion")).unwrap_err();
        assert!(!elsewhere.hint.contains("listen"), "{elsewhere}");
    }

    #[test]
    fn a_key_of_another_tool_keeps_its_value() {
        for (line, right) in [
            ("port = 9120", "listen = [\"127.0.0.1:9120\"]"),
            ("port = \"9120\" # web", "listen = [\"127.0.0.1:9120\"]"),
            ("ports = [80]", "listen = [\"127.0.0.1:8080\"]"),
            (
                "command = \"bin/web --all\"",
                "exec = [\"{current}/bin/web\", \"--all\"]",
            ),
            ("command = [\"/bin/web\"]", "exec = [\"/bin/web\"]"),
            ("healthcheck = \"/up\"", "check = [{ http = \"/up\" }]"),
            ("depends-on = \"db\"", "requires = [\"db\"]"),
        ] {
            assert_eq!(
                hint(&format!("{line}\n")),
                format!("write `{right}`"),
                "{line}"
            );
        }
    }

    /// A span without a unit is a number of seconds (systemd.time(7)).
    #[test]
    fn the_keys_with_a_span_or_a_name_are_keys() {
        let tables = include_str!("tables.rs");
        for key in SPANS.iter().map(|(key, _)| key).chain(NAMES) {
            let key = key.replace('-', "_");
            let field = match key.as_str() {
                "type" => "pub r#type: ".to_owned(),
                key => format!("pub {key}: "),
            };
            assert!(tables.contains(&field), "{key}");
        }
    }
}
