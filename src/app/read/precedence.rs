//! Which layer wins: every pair of layers, for every kind of key.

use crate::app::{App, Service};
use crate::manifest::{HostOverlay, parse};

/// The layers, the weakest first: what stands in front of the keys of a service, and whether it is in the file
/// of the host.
const LAYERS: [(&str, &str, bool); 5] = [
    ("service", "[service.web]", false),
    ("environment", "[environment.staging]", false),
    (
        "service of the environment",
        "[environment.staging.service.web]",
        false,
    ),
    ("host", "", true),
    ("service of the host", "[service.web]", true),
];

/// A kind of key: what a layer writes, with `#` as its number, and what the service then has.
struct Kind {
    key: &'static str,
    written: &'static str,
    found: fn(&Service) -> String,
    expected: &'static str,
}

/// The variables of a service, as `A=1 B=2`.
fn env(service: &Service) -> String {
    let pairs = service
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}

/// One row for each kind of value that a service has: maps, words, numbers, switches, times, lists and tables.
const KINDS: &[Kind] = &[
    Kind {
        key: "env",
        written: "env = { NAME = \"#\" }",
        found: env,
        expected: "NAME=#",
    },
    Kind {
        key: "limits",
        written: "limits.memory-max = \"1#M\"",
        found: |service| service.limits.memory_max.clone().unwrap_or_default(),
        expected: "1#M",
    },
    Kind {
        key: "enable",
        written: "enable = EVEN",
        found: |service| service.enable.to_string(),
        expected: "EVEN",
    },
    Kind {
        key: "check",
        written: "check = [{ settle = \"1#s\" }]",
        found: |service| {
            format!(
                "{} {:?}",
                service.checks.len(),
                service.checks.first().map(|one| &one.probe)
            )
        },
        expected: "1 Some(Settle(Span { text: \"1#s\", duration: 1#s }))",
    },
    Kind {
        key: "sandbox.read-write",
        written: "sandbox.read-write = [\"/srv/#\"]",
        found: |service| format!("{:?}", service.sandbox.read_write),
        expected: "[AbsPath(\"/srv/#\")]",
    },
    Kind {
        key: "sandbox.directives",
        written: "sandbox.directives.UMask = \"002#\"",
        found: |service| format!("{:?}", service.sandbox.directives),
        expected: "[(\"UMask\", Line(\"002#\"))]",
    },
    Kind {
        key: "timer",
        written: "timer.on-boot = \"1#s\"",
        found: |service| {
            let timer = service.timer.as_ref();
            let on_boot = timer.and_then(|timer| timer.on_boot.clone());
            on_boot.map_or(String::new(), |span| span.text)
        },
        expected: "1#s",
    },
    Kind {
        key: "restart-sec",
        written: "restart-sec = \"1#s\"",
        found: |service| service.restart.after.text.clone(),
        expected: "1#s",
    },
    Kind {
        key: "condition",
        written: "condition.path-exists = \"/srv/#\"",
        found: |service| {
            service
                .conditions
                .iter()
                .map(|one| one.value.to_string())
                .collect()
        },
        expected: "/srv/#",
    },
    Kind {
        key: "required-env",
        written: "required-env = [\"A#\"]",
        found: |service| {
            service
                .required_env
                .iter()
                .map(ToString::to_string)
                .collect()
        },
        expected: "A#",
    },
    Kind {
        key: "working-directory",
        written: "working-directory = \"/srv/#\"",
        found: |service| service.working_directory.to_string(),
        expected: "/srv/#",
    },
];

/// Keys that only one service can have: the layers for every service cannot set them in this way.
const OF_ONE_SERVICE: &[Kind] = &[
    Kind {
        key: "listen",
        written: "listen = [\"127.0.0.1:808#\"]",
        found: |service| service.listen.iter().map(ToString::to_string).collect(),
        expected: "127.0.0.1:808#",
    },
    Kind {
        key: "exec",
        written: "exec = [\"/bin/#\"]",
        found: |service| service.exec.iter().map(ToString::to_string).collect(),
        expected: "/bin/#",
    },
    Kind {
        key: "description",
        written: "description = \"#\"",
        found: |service| service.description.to_string(),
        expected: "#",
    },
];

/// What the service has when these layers write the key, each with its number.
fn found(kind: &Kind, layers: &[usize]) -> String {
    let number = |text: &str, layer: usize| {
        let even = if layer.is_multiple_of(2) {
            "true"
        } else {
            "false"
        };
        text.replace("EVEN", even).replace('#', &layer.to_string())
    };
    let (mut manifest, mut host) = (String::new(), String::new());
    for (layer, (_, header, is_host)) in LAYERS.iter().enumerate() {
        let text = if *is_host { &mut host } else { &mut manifest };
        text.push_str(&format!("{header}\n"));
        if layer == 0 && (kind.key != "exec" || !layers.contains(&0)) {
            text.push_str("exec = [\"/bin/web\"]\n");
        }
        if layer == 0 && kind.key == "timer" && !layers.contains(&0) {
            text.push_str("timer.calendar = \"daily\"\n");
        }
        if layers.contains(&layer) {
            text.push_str(&number(kind.written, layer));
            text.push('\n');
        }
    }
    let text = format!("[app]\nname = \"shop\"\nversion = \"1\"\n{manifest}");
    let host = HostOverlay::parse("/etc/shop-staging/robot.local.toml", &host).unwrap();
    let manifest = parse(&text).unwrap();
    let app = App::on_host(&manifest, Some("staging"), Some(&host));
    let app = app.unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    (kind.found)(app.service("web").unwrap())
}

/// What the service has when this layer wins.
fn expected(kind: &Kind, layer: usize) -> String {
    let even = if layer.is_multiple_of(2) {
        "true"
    } else {
        "false"
    };
    kind.expected
        .replace("EVEN", even)
        .replace('#', &layer.to_string())
}

#[test]
fn the_stronger_of_two_layers_wins_for_every_kind_of_key() {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for kind in KINDS.iter().chain(OF_ONE_SERVICE) {
        let is_of_one = OF_ONE_SERVICE.iter().any(|one| one.key == kind.key);
        let layers: Vec<usize> = (0..LAYERS.len())
            .filter(|layer| !is_of_one || LAYERS[*layer].1.contains("service"))
            .collect();
        for weak in &layers {
            for strong in layers.iter().filter(|strong| *strong > weak) {
                let (found, expected) = (found(kind, &[*weak, *strong]), expected(kind, *strong));
                compared += 1;
                if found != expected {
                    let names = (LAYERS[*weak].0, LAYERS[*strong].0);
                    wrong.push((kind.key, names, found, expected));
                }
            }
            let (found, expected) = (found(kind, &[*weak]), expected(kind, *weak));
            if found != expected {
                wrong.push((kind.key, (LAYERS[*weak].0, "alone"), found, expected));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(compared, KINDS.len() * 10 + OF_ONE_SERVICE.len() * 3);
}

#[test]
fn variables_of_the_app_are_weaker_than_all_layers() {
    let head = "[app]\nname = \"shop\"\nversion = \"1\"\n[env]\nNAME = \"app\"\nONLY = \"app\"\n\
                [service.web]\nexec = [\"/bin/web\"]\n";
    for (rest, host, wins) in [
        ("", "", "app"),
        ("env.NAME = \"s\"\n", "", "s"),
        ("[environment.staging]\nenv.NAME = \"e\"\n", "", "e"),
        (
            "[environment.staging.service.web.env]\nNAME = \"es\"\n",
            "",
            "es",
        ),
        ("", "env.NAME = \"h\"\n", "h"),
        ("", "[service.web.env]\nNAME = \"hs\"\n", "hs"),
    ] {
        let manifest = parse(&format!("{head}{rest}")).unwrap();
        let host = HostOverlay::parse("/etc/x", host).unwrap();
        let environment = rest.contains("staging").then_some("staging");
        let app = App::on_host(&manifest, environment, Some(&host)).unwrap();
        let found = env(app.service("web").unwrap());
        assert_eq!(found, format!("NAME={wins} ONLY=app"), "{rest}{host:?}");
    }
}

/// A staging deploy that reaches production, because a service has a variable of its own.
#[test]
fn an_environment_wins_over_a_service() {
    let text = "[app]\nname = \"shop\"\nversion = \"1\"\n[service.gateway]\nexec = [\"/bin/g\"]\n\
                env = { API = \"https://api.example.com\" }\n\
                [environment.staging]\nenv = { API = \"https://staging.example.com\" }\n";
    let manifest = parse(text).unwrap();
    let api = |environment| {
        let app = App::from_manifest(&manifest, environment).unwrap();
        env(app.service("gateway").unwrap())
    };
    assert_eq!(api(Some("staging")), "API=https://staging.example.com");
    assert_eq!(api(None), "API=https://api.example.com");
}

#[test]
fn tables_merge_and_lists_replace() {
    let text = "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/g\"]\n\
                limits = { memory-max = \"1M\", tasks-max = 7 }\n\
                sandbox = { allow = [\"outbound\"], read-write = [\"/srv/a\"] }\n\
                [service.job]\nexec = [\"/bin/j\"]\ntimer = { calendar = \"daily\" }\n\
                [environment.staging]\nlimits.memory-max = \"2M\"\nsandbox.allow = [\"loopback\"]\n\
                timer.calendar = \"weekly\"\n";
    let app = App::from_manifest(&parse(text).unwrap(), Some("staging")).unwrap();
    let web = app.service("web").unwrap();
    assert_eq!(web.limits.memory_max.as_deref(), Some("2M"));
    assert_eq!(web.limits.tasks_max, Some(7));
    assert_eq!(
        web.sandbox.allow.iter().copied().collect::<Vec<_>>(),
        ["loopback"]
    );
    assert_eq!(web.sandbox.read_write.len(), 1);
    // A timer for every service makes no job of a daemon.
    assert!(web.timer.is_none());
    let job = app.service("job").unwrap();
    let calendar = job.timer.as_ref().and_then(|timer| timer.calendar.clone());
    assert_eq!(calendar.unwrap().as_str(), "weekly");
    // An empty list removes what a list had.
    let none = text.replace("[\"loopback\"]", "[]");
    let app = App::from_manifest(&parse(&none).unwrap(), Some("staging")).unwrap();
    assert!(app.service("web").unwrap().sandbox.allow.is_empty());
}

#[test]
fn a_problem_names_the_layer_that_has_the_value() {
    let text = "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/g\"]\n\
                restart-sec = \"1s\"\n[environment.staging]\nlisten.web = [\"127.0.0.1:1\"]\n\
                [environment.staging.service.web]\nrestart-sec = \"1s\"\n";
    for (old, new, host, expected) in [
        ("", "", "", None),
        ("sec = \"1s\"\n[e", "sec = \"x\"\n[e", "", None),
        (
            "web]\nrestart-sec = \"1s\"",
            "web]\nrestart-sec = \"x\"",
            "",
            Some("line 10: "),
        ),
        ("0.0.1:1\"", "0.0.1:x\"", "", Some("line 8: ")),
        (
            "",
            "",
            "\n[service.web]\nrestart-sec = \"x\"\n",
            Some("/etc/l.toml:3: `x`"),
        ),
        (
            "",
            "",
            "env = { \"1\" = \"x\" }",
            Some("/etc/l.toml:1: `1`"),
        ),
        ("", "", "restart-sec = \"x\"", Some("/etc/l.toml:1: `x`")),
    ] {
        let manifest = parse(&text.replace(old, new)).unwrap();
        let host = HostOverlay::parse("/etc/l.toml", host).unwrap();
        let app = App::on_host(&manifest, Some("staging"), Some(&host));
        let message = app
            .err()
            .map(|problem| problem.at(&text.replace(old, new)).to_string());
        match expected {
            None => assert_eq!(message, None),
            Some(begin) => assert!(
                message.as_ref().is_some_and(|text| text.starts_with(begin)),
                "{begin} {message:?}"
            ),
        }
    }
}

#[test]
fn an_overlay_that_makes_no_sense_is_refused() {
    let text = "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/g\"]\n\
                [environment.staging]\n";
    for (rest, expected) in [
        (
            "exec = [\"/bin/x\"]",
            "`exec` here would be that of every service",
        ),
        (
            "description = \"x\"",
            "`description` here would be that of every service",
        ),
        ("service.wbe.enable = false", "there is no service `wbe`"),
        ("listen.wbe = []", "there is no service `wbe`"),
        (
            "listen.web = [\":1\"]\nservice.web.listen = [\":2\"]",
            "the addresses of service `web` are given twice",
        ),
    ] {
        let manifest = parse(&format!("{text}{rest}\n")).unwrap();
        let problem = App::from_manifest(&manifest, Some("staging")).unwrap_err();
        assert_eq!(problem.message, expected);
        assert_eq!(
            problem.at(&format!("{text}{rest}\n")).line,
            Some(7),
            "{rest}"
        );
    }
    for (rest, expected) in [
        ("[app]\nname = \"x\"", "a host cannot change `app`"),
        ("[[secret]]\nname = \"X\"", "a host cannot change `secret`"),
        ("[release]\nkeep = 3", "a host cannot change `release`"),
        ("[hooks]", "a host cannot change `hooks`"),
        ("[environment.x]", "a host cannot change `environment`"),
        ("user = \"x\"", "a host cannot change `user`"),
        (
            "[service.web]\ngroup = \"x\"",
            "a host cannot change `group`",
        ),
        (
            "[service.web]\ngroups = [\"x\"]",
            "a host cannot change `groups`",
        ),
        ("enabel = true", "unknown key `enabel`"),
    ] {
        let problem = HostOverlay::parse("/etc/l.toml", rest).unwrap_err();
        assert!(problem.message.starts_with(expected), "{problem}");
        assert!(problem.to_string().starts_with("/etc/l.toml:"), "{problem}");
    }
}
