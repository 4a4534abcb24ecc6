use super::{LINTS, lint};
use crate::app::{App, Target};
use crate::manifest::parse;

fn findings(service: &str) -> Vec<&'static str> {
    let text = format!(
        "[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\nexec = [\"/usr/bin/w\"]\n{service}"
    );
    let text = if service.contains("exec =") {
        text.replace("exec = [\"/usr/bin/w\"]\n", "")
    } else {
        text
    };
    let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
    let findings = lint(&app, Some(Target::Version(252)));
    findings.iter().map(|finding| finding.lint).collect()
}

#[test]
fn each_lint_finds_its_mistake() {
    let listen = "listen = [\"127.0.0.1:1\"]\n";
    for (service, expected) in [
        (
            format!("exec = [\"/bin/sh\", \"-c\", \"x\"]\n{listen}"),
            "wrapped-socket",
        ),
        ("exec = [\"/usr/bin/node\", \"x.js\"]\n".into(), "runtime"),
        (
            "exec = [\"/usr/bin/env\", \"A=1\", \"java\"]\n".into(),
            "runtime",
        ),
        (
            "exec = [\"/usr/sbin/php-fpm8.2\"]\nsandbox.allow = [\"jit\"]\n".into(),
            "runtime",
        ),
        ("exec = [\"/usr/bin/gunicorn\", \"x\"]\n".into(), "runtime"),
        ("exec = [\"/usr/bin/npm\", \"start\"]\n".into(), "wrapper"),
        ("exec = [\"/bin/sh\", \"-c\", \"w\"]\n".into(), "wrapper"),
        (
            "exec = [\"/bin/sh\", \"-c\", \"w --exec execute\"]\n".into(),
            "wrapper",
        ),
        (
            "exec = [\"/bin/sh\", \"w.sh\", \"exec x\"]\n".into(),
            "wrapper",
        ),
        (
            "exec = [\"/usr/bin/timeout\", \"5\", \"sh\", \"-c\", \"exec w\"]\n".into(),
            "wrapper",
        ),
        (
            format!(
                "exec = [\"/usr/bin/python3\", \"-m\", \"uvicorn\", \"--fd\", \"3\"]\n{listen}"
            ),
            "uvicorn-stops",
        ),
        (
            "type = \"notify\"\nsandbox.directives.RestrictAddressFamilies = \"none\"".into(),
            "families-notify",
        ),
        (
            "sandbox = { allow = [\"net-admin\"], directives = { PrivateUsers = \"yes\" } }".into(),
            "private-capabilities",
        ),
        (
            "sandbox.read-write = [\"/opt/a/releases\"]".into(),
            "writable-code",
        ),
        ("exec = [\"/home/me/venv/bin/w\"]".into(), "home-path"),
        (
            "exec = [\"/usr/bin/w\", \"--port=$PORT\"]".into(),
            "unexpanded",
        ),
        ("env = { DB_PASSWORD = \"x\" }".into(), "secret-in-env"),
        ("listen = [\":80\"]".into(), "public-address"),
        ("user = \"root\"".into(), "root"),
        (
            "sandbox.directives.RestrictFileSystems = \"ext4\"".into(),
            "unenforced",
        ),
    ] {
        assert_eq!(findings(&service), [expected], "{service}");
    }
}

#[test]
fn a_build_that_cannot_download_is_reported() {
    for (release, expected) in [
        (" }", true),
        (", wheels = \"w\" }", false),
        (" }\nsandbox = { allow = [\"outbound\"] }", false),
        (" }\nsandbox = { outbound = [\"192.0.2.7\"] }", false),
    ] {
        let keys = format!("[release]\npython = {{ requirements = [\"r\"]{release}\n");
        assert_eq!(
            findings(&keys).contains(&"build-network"),
            expected,
            "{keys}"
        );
    }
}

#[test]
fn a_service_that_may_not_open_its_port_is_reported() {
    for (keys, expected) in [
        ("socket = \"direct\"\nlisten = [\"127.0.0.1:80\"]", true),
        ("socket = \"direct\"\nlisten = [\":8080\", \":1023\"]", true),
        ("socket = \"proxy\"\nlisten = [\"127.0.0.1:443\"]", true),
        (
            "user = \"root\"\nsocket = \"direct\"\nlisten = [\":80\"]",
            true,
        ),
        ("listen = [\":80\"]", false),
        ("socket = \"direct\"\nlisten = [\":1024\"]", false),
        (
            "socket = \"direct\"\nlisten = [\"unix:/run/w.sock\"]",
            false,
        ),
        (
            "socket = \"direct\"\nlisten = [\":80\"]\nsandbox.allow = [\"low-port\"]",
            false,
        ),
        (
            "socket = \"direct\"\nlisten = [\":80\"]\nsandbox.capabilities = [\"CAP_NET_BIND_SERVICE\"]",
            false,
        ),
    ] {
        assert_eq!(findings(keys).contains(&"low-port"), expected, "{keys}");
    }
}

#[test]
fn a_proxy_is_recommended_where_it_can_open_the_port() {
    for (keys, expected) in [
        ("listen = [\"127.0.0.1:1\"]", true),
        ("listen = [\"[::1]:1\"]", true),
        ("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]", false),
        ("listen = [\"192.0.2.1:1\"]", false),
        ("listen = [\"unix:/run/w.sock\"]", false),
        (
            "listen = [\"127.0.0.1:1\"]\nsandbox.allow = [\"jit\"]",
            true,
        ),
        (
            "listen = [\"127.0.0.1:1\"]\nsandbox.allow = [\"loopback\"]",
            false,
        ),
        (
            "listen = [\"127.0.0.1:1\"]\nsandbox.allow = [\"bind-any\"]",
            false,
        ),
        (
            "listen = [\"127.0.0.1:1\"]\nsandbox.outbound = [\"192.0.2.7\"]",
            false,
        ),
    ] {
        let found = findings(&format!("socket = \"direct\"\n{keys}"));
        assert_eq!(found.contains(&"direct-socket"), expected, "{keys}");
    }
}

#[test]
fn good_settings_are_not_reported() {
    for service in [
        "listen = [\"127.0.0.1:1\"]\nenv = { TOKENS = \"1\", A = \"$B\" }",
        "exec = [\"/bin/sh\", \"-c\", \"cd x && exec w $PORT\"]",
        "exec = [\"/bin/sh\", \"-c\", \"x\"]\ntype = \"oneshot\"",
        // The shell replaces itself, wherever the script says so.
        "exec = [\"/bin/sh\", \"-c\", \"exec w\"]",
        "exec = [\"/bin/bash\", \"-ec\", \"umask 7;exec w\"]",
        "exec = [\"/bin/sh\", \"-c\", \"if x; then exec w; fi; A=1 exec w\"]",
        "exec = [\"/bin/sh\", \"-c\", \"test -e /x || exec w\"]\nlisten = [\"127.0.0.1:1\"]",
        "sandbox.read-write = [\"/srv/a\"]",
        "listen = [\":80\"]\nsandbox.allow-from = [\"192.0.2.0/24\"]",
        "listen = [\"127.0.0.1:8080\"]\nsocket = \"proxy\"",
        "exec = [\"/home/me/w\"]\nsandbox.allow = [\"home\"]",
    ] {
        assert_eq!(findings(service), [""; 0], "{service}");
    }
    let mut ids: Vec<&str> = LINTS.iter().map(|lint| lint.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), LINTS.len());
}

#[test]
fn a_runtime_is_suggested_only_where_it_is_missing() {
    for service in [
        "exec = [\"/usr/bin/node\", \"x.js\"]\nruntime = \"node\"",
        "exec = [\"/usr/bin/java\"]\nruntime = \"java\"",
        "exec = [\"/opt/a/current/.venv/bin/gunicorn\", \"x\"]",
        "exec = [\"/usr/bin/gunicorn\"]\nsandbox.allow = [\"setuid-self\"]",
        "exec = [\"/usr/bin/luajit\"]\nsandbox.allow = [\"jit\"]",
        "exec = [\"/usr/bin/php\"]\nsandbox.allow = [\"host-files\"]",
        "exec = [\"/usr/bin/nodetool\"]",
    ] {
        let found = findings(service);
        assert!(!found.contains(&"runtime"), "{service}: {found:?}");
    }
}
