//! What to do about a command of a build that failed.

use super::build_step::{BuildStep, Purpose};
use crate::app::{Python, Release, Text};
use crate::command_line::CommandLine;
use crate::error::Hint;

/// "Command not found" (env(1), sh(1)).
const NOT_FOUND: i32 = 127;
/// The exit code of make(1) when a command of a rule fails, and what it says of one that was not found.
const OF_MAKE: (i32, &str) = (2, "Error 127");

/// Programs that builds run, and the package of Debian that has each.
const PACKAGES: &[(&str, &str)] = &[
    ("cargo", "cargo"),
    ("cmake", "cmake"),
    ("composer", "composer"),
    ("g++", "g++"),
    ("gcc", "gcc"),
    ("git", "git"),
    ("go", "golang-go"),
    ("java", "default-jdk-headless"),
    ("javac", "default-jdk-headless"),
    ("make", "make"),
    ("mvn", "maven"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("npx", "npm"),
    ("php", "php-cli"),
    ("pip", "python3-pip"),
    ("pip3", "python3-pip"),
    ("python", "python-is-python3"),
    ("python3", "python3"),
    ("ruby", "ruby"),
    ("rustc", "rustc"),
];

/// What a message of pip or of venv shows, and what to do about it.
struct Advice {
    purpose: &'static [Purpose],
    /// One of these is in the output.
    words: &'static [&'static str],
    hint: fn(&Python) -> Hint,
}

/// What the commands of a build can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// Nothing.
    Closed,
    /// What the manifest lists.
    Listed,
    /// Every address but those of this host, which has its resolver there.
    WithoutResolver,
    /// Every address that they need.
    Open,
}

/// What pip, npm, yarn, curl, wget, git, cargo, Go, Composer, Maven, Ruby and .NET say without a network.
const NO_NETWORK: &[&str] = &[
    "Temporary failure in name resolution",
    "Temporary failure resolving",
    "Name or service not known",
    "NewConnectionError",
    "Network is unreachable",
    "network is unreachable",
    "Network unreachable",
    "Connection refused",
    "connection refused",
    "ConnectTimeout",
    "Could not resolve host",
    "Couldn't resolve host",
    "Could not resolve proxy",
    "unable to resolve host",
    "failed to lookup address",
    "failed to resolve address",
    "Failed to open TCP connection",
    "no such host",
    "Unknown host",
    "UnknownHostException",
    "EAI_AGAIN",
    "ENOTFOUND",
    "ENETUNREACH",
    "ECONNREFUSED",
];

/// What to write into the manifest for a build that failed without a network, if more can be allowed.
fn of_network(network: Network, purpose: Purpose) -> Option<Hint> {
    let text = match network {
        Network::Closed => {
            "a build has no network unless the manifest allows it: in `[release]`, write \
             `sandbox = { allow = [\"outbound\"] }`"
        }
        Network::Listed => {
            "the build reaches only what the manifest lists: add the address that it needs, and that of the resolver in \
             /etc/resolv.conf, to `outbound` of `[release.sandbox]`; `allow = [\"outbound\"]` allows every address"
        }
        Network::WithoutResolver => {
            "the resolver of this host has the address of all local programs, which are closed to a build: in \
             `[release]`, write `sandbox = { allow = [\"loopback\", \"outbound\"] }`"
        }
        Network::Open => return None,
    };
    Some(match (network, purpose) {
        (Network::Closed, Purpose::Packages) => format!(
            "{text}, or put the wheels into the source and set `wheels` in `release.python`"
        )
        .into(),
        _ => text.into(),
    })
}

const ADVICE: &[Advice] = &[
    Advice {
        purpose: &[Purpose::Environment],
        words: &["ensurepip is not", "python3-venv", "No module named venv"],
        hint: |_| install("python3-venv"),
    },
    Advice {
        purpose: &[Purpose::Packages, Purpose::PackagesOffline],
        words: &["Could not open requirements file"],
        hint: |_| {
            "a requirements file names a file that the release does not have: add it to the source, and see \
             `release.exclude`"
                .into()
        },
    },
    Advice {
        purpose: &[Purpose::PackagesOffline],
        words: &["No matching distribution found", "Could not find a version"],
        hint: download,
    },
    Advice {
        purpose: &[Purpose::Packages],
        words: NO_NETWORK,
        hint: |_| {
            "pip cannot reach the package index: check the network of this host, or put the wheels into the source \
             and set `wheels` in `release.python`"
                .into()
        },
    },
];

/// What to do about a command that failed with an exit code, this log and these last lines of it.
pub(super) fn of_failure(
    release: &Release,
    network: Network,
    step: &BuildStep,
    code: i32,
    log: &[String],
    lines: &[String],
) -> Hint {
    // venv prints a long help after the cause. A warning of pip counts only near the end.
    let searched = match step.purpose {
        Purpose::Environment => log,
        _ => lines,
    };
    let mut advice = ADVICE
        .iter()
        .filter(|one| one.purpose.contains(&step.purpose));
    let says = |words: &[&str]| {
        searched
            .iter()
            .any(|line| words.iter().any(|word| line.contains(word)))
    };
    if [Purpose::Packages, Purpose::Command].contains(&step.purpose)
        && says(NO_NETWORK)
        && let Some(hint) = of_network(network, step.purpose)
    {
        return hint;
    }
    if let Some(python) = &release.python
        && let Some(known) = advice.find(|one| says(one.words))
    {
        return (known.hint)(python);
    }
    let (failed, words) = OF_MAKE;
    let is_missing =
        code == NOT_FOUND || (code == failed && lines.iter().any(|line| line.contains(words)));
    if is_missing && step.purpose == Purpose::Environment {
        return install("python3-venv");
    }
    if is_missing && let Some(program) = not_found(lines) {
        return missing_program(program);
    }
    match step.purpose {
        Purpose::Packages | Purpose::PackagesOffline => {
            "pip says what is wrong: correct the requirements or the wheels and deploy again".into()
        }
        Purpose::Environment | Purpose::Compile | Purpose::Command => {
            "fix the command and deploy again; it runs as an unprivileged user that can write only to the release \
             and to /tmp"
                .into()
        }
    }
}

/// What to do about a program that was not found.
fn missing_program(program: &str) -> Hint {
    // env(1) prints a carriage return as `\r`.
    if program.ends_with('\r') || program.ends_with("\\r") {
        return "the script has the line ends of Windows, and the name of a program in it ends with one: save it with \
                the line ends of Unix"
            .into();
    }
    let name = program.strip_prefix("/usr/bin/").unwrap_or(program);
    let mut packages = PACKAGES.iter();
    if let Some((_, package)) = packages.find(|(known, _)| *known == name) {
        return install(package);
    }
    if program.contains('/') {
        return format!(
            "the release does not have `{program}`, or its `#!` line is wrong, as with the line ends of Windows"
        )
        .into();
    }
    format!(
        "`{program}` is not in a directory of the `PATH` of a build (/usr/local/bin, /usr/bin, /bin): install \
         the package that has it, or write its whole path"
    )
    .into()
}

/// How to add wheels to the source.
fn download(python: &Python) -> Hint {
    let wheels = python.wheels.iter().map(Text::as_str);
    let files = python.requirements.iter();
    let files = files.flat_map(|file| ["-r".to_owned(), file.to_string()]);
    let packages = python.install.iter().map(|one| match &one.path {
        Some(path) if path.as_str() == "." => format!(".{}", one.name),
        Some(path) => format!("./{path}{}", one.name),
        None => one.name.to_string(),
    });
    // Unlike `pip download`, it makes a wheel of what is published only as source.
    let words = ["python3", "-m", "pip", "wheel", "-w"].map(str::to_owned);
    let wheels = wheels.map(str::to_owned);
    Hint::to(
        "pip reads only the wheels of the release: in the source, add what is missing and all that it needs, with the \
         Python version of this host",
        CommandLine::new(words.into_iter().chain(wheels).chain(files).chain(packages)),
    )
}

fn install(package: &str) -> Hint {
    Hint::to(
        "install it and deploy again",
        CommandLine::sudo(["apt", "install", package]),
    )
}

/// The program that env(1), a shell or make(1) did not find: `/usr/bin/env: ‘npm’: No such file or directory`,
/// `sh: 1: npm: not found`, `bash: line 1: npm: command not found`, `make: npm: No such file or directory`.
fn not_found(lines: &[String]) -> Option<&str> {
    const NOT_FOUND_SUFFIXES: [&str; 3] = [
        ": not found",
        ": command not found",
        ": No such file or directory",
    ];
    let mut lines = lines.iter().rev();
    lines.find_map(|line| {
        let rest = NOT_FOUND_SUFFIXES
            .iter()
            .find_map(|end| line.trim_end().strip_suffix(end))?;
        let (_, name) = rest.rsplit_once(": ")?;
        let name = name.trim_matches(['\'', '"', '‘', '’']);
        let is_name = !name.is_empty() && !name.trim_end().contains(char::is_whitespace);
        is_name.then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::{Network, of_failure};
    use crate::app::App;
    use crate::manifest::parse;
    use crate::transient::build_step::{BuildStep, Purpose};

    /// The hint about a command that wrote this line, and others before and after it.
    fn hint(purpose: Purpose, code: i32, line: &str) -> String {
        let lines = ["first", line, "last"].map(str::to_owned);
        hint_of(purpose, code, &lines, &lines)
    }

    fn hint_of(purpose: Purpose, code: i32, log: &[String], lines: &[String]) -> String {
        hint_in(Network::Open, purpose, code, log, lines)
    }

    fn hint_in(
        network: Network,
        purpose: Purpose,
        code: i32,
        log: &[String],
        lines: &[String],
    ) -> String {
        let step = BuildStep {
            argv: Vec::new(),
            purpose,
            is_offline: false,
            input: None,
        };
        let text = "[app]\nname = \"shop\"\nversion = \"1\"\n\
                    [release]\npython = { requirements = [\"req.txt\"], wheels = \"lib\" }\n\
                    [service.web]\nexec = [\"/bin/w\"]\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        of_failure(&app.release, network, &step, code, log, lines).to_string()
    }

    #[test]
    fn a_program_that_is_not_installed_names_its_package() {
        for line in [
            "/usr/bin/env: ‘npm’: No such file or directory",
            "/usr/bin/env: 'npm': No such file or directory",
            "sh: 1: npm: not found",
            "bash: line 1: npm: command not found",
            "/usr/bin/env: ‘/usr/bin/npm’: No such file or directory",
        ] {
            let hint = hint(Purpose::Command, 127, line);
            assert_eq!(
                hint, "install it and deploy again: sudo apt install npm",
                "{line}"
            );
        }
        let other = hint(Purpose::Command, 127, "sh: 1: frobnicate: not found");
        assert!(
            other.starts_with("`frobnicate` is not in a directory of the `PATH`"),
            "{other}"
        );
        let make = [
            "make: npm: No such file or directory",
            "make: *** [Makefile:2: all] Error 127",
        ];
        let make = make.map(str::to_owned);
        assert_eq!(
            hint_of(Purpose::Command, 2, &make, &make),
            "install it and deploy again: sudo apt install npm"
        );
        for name in ["./build.sh", "/opt/shop/current/build.sh"] {
            let line = format!("/usr/bin/env: ‘{name}’: No such file or directory");
            let expected = format!(
                "the release does not have `{name}`, or its `#!` line is wrong, as with the line ends of Windows"
            );
            assert_eq!(hint(Purpose::Command, 127, &line), expected);
        }
        for line in [
            "/usr/bin/env: ‘node\\r’: No such file or directory",
            "./build.sh: line 2: npm\r: command not found",
        ] {
            let hint = hint(Purpose::Command, 127, line);
            assert!(
                hint.starts_with("the script has the line ends of Windows"),
                "{hint}"
            );
        }
        // The file is missing for the command, and not the command.
        let file = hint(Purpose::Command, 1, "cat: npm: No such file or directory");
        assert!(file.starts_with("fix the command"), "{file}");
    }

    #[test]
    fn a_build_without_a_network_says_what_to_write() {
        const CLOSED: &str = "a build has no network unless the manifest allows it";
        let of = |network, purpose, line: &str| {
            let lines = [line.to_owned()];
            hint_in(network, purpose, 1, &lines, &lines)
        };
        for line in [
            "npm ERR! request to https://registry.npmjs.org/x failed, reason: getaddrinfo EAI_AGAIN registry.npmjs.org",
            "npm error code ENOTFOUND",
            "curl: (6) Could not resolve host: example.org",
            "wget: unable to resolve host address 'example.org'",
            "fatal: unable to access 'https://x/': Could not resolve host: x",
            "  [6] Couldn't resolve host name (Could not resolve host: index.crates.io)",
            "go: x: Get \"https://proxy.golang.org/x\": dial tcp: lookup proxy.golang.org on [::1]:53: read: connection refused",
            "OSError: [Errno 101] Network is unreachable",
        ] {
            let hint = of(Network::Closed, Purpose::Command, line);
            assert!(hint.starts_with(CLOSED), "{line}: {hint}");
            assert!(
                hint.ends_with("write `sandbox = { allow = [\"outbound\"] }`"),
                "{hint}"
            );
        }
        let none = "NewConnectionError: Failed to establish a new connection";
        let pip = of(Network::Closed, Purpose::Packages, none);
        assert!(
            pip.starts_with(CLOSED) && pip.contains("set `wheels`"),
            "{pip}"
        );
        let listed = of(Network::Listed, Purpose::Packages, none);
        assert!(
            listed.contains("to `outbound` of `[release.sandbox]`"),
            "{listed}"
        );
        let local = of(Network::WithoutResolver, Purpose::Command, "EAI_AGAIN");
        assert!(local.contains("[\"loopback\", \"outbound\"]"), "{local}");
        let open = of(Network::Open, Purpose::Command, "EAI_AGAIN");
        assert!(open.starts_with("fix the command"), "{open}");
    }

    #[test]
    fn a_failure_of_pip_says_where_pip_looks() {
        const NONE: &str = "ERROR: No matching distribution found for flask==3";
        for (purpose, line, expected) in [
            (
                Purpose::PackagesOffline,
                NONE,
                "pip reads only the wheels of the release",
            ),
            (Purpose::Packages, NONE, "pip says what is wrong"),
            (
                Purpose::Packages,
                "[Errno -3] Temporary failure in name resolution",
                "pip cannot reach the package index",
            ),
            (
                Purpose::PackagesOffline,
                "ERROR: Could not open requirements file: [Errno 2] No such file or directory: 'x.txt'",
                "a requirements file names a file that the release does not have",
            ),
            (
                Purpose::Environment,
                "The virtual environment was not created successfully because ensurepip is not",
                "install it and deploy again: sudo apt install python3-venv",
            ),
            (
                Purpose::Environment,
                "Error: [Errno 2] No such file or directory: '/opt/shop/current/.venv/lib'",
                "fix the command",
            ),
        ] {
            let hint = hint(purpose, 1, line);
            assert!(hint.starts_with(expected), "{hint}");
        }
        let offline = hint(Purpose::PackagesOffline, 1, NONE);
        let command = ": python3 -m pip wheel -w lib -r req.txt";
        assert!(offline.ends_with(command), "{offline}");
        // The help of venv is longer than what an error shows.
        let log = ["ensurepip is not available", "help"].map(str::to_owned);
        let venv = hint_of(Purpose::Environment, 1, &log, &log[1..]);
        assert!(venv.ends_with("apt install python3-venv"), "{venv}");
        let none = hint(
            Purpose::Environment,
            127,
            "/usr/bin/env: ‘/usr/bin/python3’: No such file or directory",
        );
        assert!(none.ends_with("apt install python3-venv"), "{none}");
    }
}
