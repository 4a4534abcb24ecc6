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
        &["artifact", "build", "exclude", "files", "source"],
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

/// Keys with a time span.
const SPANS: &[&str] = &[
    "drain",
    "settle",
    "soak",
    "timeout",
    "timeout-start",
    "timeout-stop",
    "watchdog",
    "within",
];

/// What to write in place of an unknown key. `known` are the keys that its table has.
pub(super) fn of_unknown_key(unknown: &str, known: &[&str]) -> Option<String> {
    let plain = unknown.to_lowercase().replace('_', "-");
    let plain = plain.as_str();
    let mut keys = OTHER_KEYS.iter();
    if let Some((.., form)) =
        keys.find(|(words, key, _)| words.contains(&plain) && known.contains(key))
    {
        return Some(format!("write `{form}`"));
    }
    let is_service = known.contains(&"exec");
    let mut places = OTHER_PLACES.iter();
    let place = places.find(|(words, _)| is_service && words.contains(&plain));
    place.map(|(_, hint)| (*hint).to_owned())
}

/// The line with the value of `key` in the type that is expected, if that can be said.
pub(super) fn of_value(key: &str, value: &str, expected: &str) -> Option<String> {
    if value.contains(['\n', '`']) {
        return None;
    }
    let text = ["\"", "'"]
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let is_number = value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let form = match (expected, key, text) {
        ("a list", "exec" | "exec-reload", Some(words)) if !words.contains(['"', '\'', '\\']) => {
            let words: Vec<String> = words
                .split(' ')
                .filter(|word| !word.is_empty())
                .map(quoted)
                .collect();
            format!("[{}]", words.join(", "))
        }
        ("a list", "check" | "pre-check", Some(path)) if path.starts_with('/') => {
            format!("[{{ http = {value} }}]")
        }
        ("a list", "listen", None) if is_number => format!("[\"127.0.0.1:{value}\"]"),
        ("a list", _, Some(_)) => format!("[{value}]"),
        ("a list", _, None) if value.starts_with('{') => format!("[{value}]"),
        ("a table", "timer", Some(_)) => format!("{{ calendar = {value} }}"),
        ("a table", "env", _) => "{ KEY = \"value\" }".to_owned(),
        ("a string", _, None) if is_number && SPANS.contains(&key) => format!("\"{value}s\""),
        ("a string", "restart", None) if value == "true" => "\"always\"".to_owned(),
        ("a string", "restart", None) if value == "false" => "\"no\"".to_owned(),
        ("a string", _, None) if is_number || ["true", "false"].contains(&value) => quoted(value),
        ("true or false", _, Some("yes" | "true" | "on")) => "true".to_owned(),
        ("true or false", _, Some("no" | "false" | "off")) => "false".to_owned(),
        ("a number", _, Some(digits))
            if digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() =>
        {
            digits.to_owned()
        }
        _ => return None,
    };
    Some(format!("{key} = {form}"))
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::{OTHER_KEYS, OTHER_PLACES, SPANS};
    use crate::manifest::parse;

    const HEAD: &str = "[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\n";

    fn hint(rest: &str) -> String {
        let text = format!("{HEAD}{rest}");
        parse(&text).unwrap_err().hint
    }

    #[test]
    fn a_value_of_another_type_gets_the_line_to_write() {
        for (wrong, right) in [
            (
                "listen = \"127.0.0.1:7000\"",
                "listen = [\"127.0.0.1:7000\"]",
            ),
            ("listen = 7000", "listen = [\"127.0.0.1:7000\"]"),
            ("check = \"/up\"", "check = [{ http = \"/up\" }]"),
            ("check = { http = \"/\" }", "check = [{ http = \"/\" }]"),
            ("groups = 'adm'", "groups = ['adm']"),
            ("timer = \"daily\"", "timer = { calendar = \"daily\" }"),
            ("env = [\"A=1\"]", "env = { KEY = \"value\" }"),
            ("timeout-start = 5", "timeout-start = \"5s\""),
            ("restart = true", "restart = \"always\""),
            ("user = 5", "user = \"5\""),
            ("enable = \"no\"", "enable = false"),
            ("limits.nofile = \"1024\"", "nofile = 1024"),
        ] {
            let hint = hint(&format!("exec = [\"/w\"]\n{wrong}\n"));
            assert_eq!(hint, format!("write `{right}`"), "{wrong}");
        }
        let exec = hint("exec = \"{current}/app  --port 1\"");
        assert_eq!(
            exec,
            "write `exec = [\"{current}/app\", \"--port\", \"1\"]`"
        );
        // Quotes inside are a matter of a shell.
        let exec = hint("exec = \"/bin/sh -c 'a b'\"");
        assert!(
            exec.starts_with("write `exec = [\"/bin/sh -c 'a b'\"]`"),
            "{exec}"
        );
    }

    #[test]
    fn a_key_of_another_tool_gets_the_key_of_a_manifest() {
        for (words, key, form) in OTHER_KEYS {
            for word in *words {
                let found = hint(&format!("exec = [\"/w\"]\n{word} = 1\n"));
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

    /// A span without a unit is a number of seconds (systemd.time(7)).
    #[test]
    fn the_keys_with_a_span_are_keys() {
        let tables = include_str!("tables.rs");
        for key in SPANS {
            let field = format!("pub {}: ", key.replace('-', "_"));
            assert!(tables.contains(&field), "{key}");
        }
    }
}
