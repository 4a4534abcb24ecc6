//! The examples of the manual pages. A test parses each.

/// A command line, and what it does.
type Example = (&'static str, &'static str);

/// The examples of a command; for any other name, those of `robotctl` as a whole.
pub(super) fn examples(command: &str) -> &'static [Example] {
    let of_command = EXAMPLES.iter().find(|(name, _)| *name == command);
    of_command.map_or(GENERAL, |(_, examples)| *examples)
}

const GENERAL: &[Example] = &[
    ("sudo robotctl deploy", "Show what a deploy would do."),
    ("sudo robotctl deploy --apply", "Deploy."),
    ("robotctl status", "Show what is live."),
    (
        "robotctl doctor",
        "Find what is wrong, and what to type to fix it.",
    ),
    ("sudo robotctl rollback", "Restore the previous release."),
];

/// By command, in the order of `robotctl --help`.
const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "generate",
        &[
            ("robotctl generate", "Print every generated file."),
            (
                "robotctl generate --output build/units",
                "Write the files below a directory.",
            ),
            (
                "robotctl generate --check",
                "Compare them with the files on this host.",
            ),
        ],
    ),
    (
        "deploy",
        &[
            ("sudo robotctl deploy", "Show the plan."),
            (
                "sudo robotctl deploy --apply --plan 4ffc95b177adabbc",
                "Apply the plan, unless it has changed since it was shown.",
            ),
            (
                "sudo robotctl deploy --apply shop-1.4.2.tar.zst",
                "Deploy an archive.",
            ),
            (
                "sudo robotctl --environment staging deploy --apply",
                "Deploy the app a second time, beside the first.",
            ),
            (
                "robotctl --root /mnt/image deploy --apply",
                "Install the app into an image.",
            ),
        ],
    ),
    (
        "rollback",
        &[
            ("sudo robotctl rollback --dry-run", "Show the plan."),
            ("sudo robotctl rollback", "Restore the previous release."),
            ("sudo robotctl rollback 1.4.1", "Restore a named release."),
            (
                "sudo robotctl rollback --service web",
                "Restore one service only.",
            ),
        ],
    ),
    (
        "restart",
        &[
            ("sudo robotctl restart", "Restart every service that runs."),
            ("sudo robotctl restart web worker", "Restart two services."),
        ],
    ),
    (
        "start",
        &[
            ("sudo robotctl start", "Start what you have stopped."),
            ("sudo robotctl start backup", "Run a job now."),
        ],
    ),
    (
        "stop",
        &[
            ("sudo robotctl stop", "Stop the whole app."),
            (
                "sudo robotctl stop web --dry-run",
                "Show what stops with a service.",
            ),
        ],
    ),
    (
        "env",
        &[
            ("sudo robotctl env list", "Show the variables."),
            (
                "sudo robotctl env set LOG_LEVEL=debug --apply",
                "Set one, and restart the services that get it.",
            ),
            ("sudo robotctl env unset LOG_LEVEL", "Remove it."),
        ],
    ),
    (
        "secret",
        &[
            (
                "sudo robotctl secret set API_KEY",
                "Ask for a value and write it.",
            ),
            (
                "sudo robotctl secret list",
                "Compare the values of two hosts by their fingerprints.",
            ),
            (
                "sudo robotctl secret rotate API_KEY --apply",
                "Write another value and restart the services that use it.",
            ),
            (
                "sudo robotctl secret restore API_KEY --apply",
                "Return to the previous value.",
            ),
        ],
    ),
    (
        "package",
        &[
            ("robotctl package", "Make a package in this directory."),
            (
                "robotctl package --output dist --verify --lint",
                "Make it elsewhere, and check it.",
            ),
        ],
    ),
    (
        "recover",
        &[(
            "sudo robotctl recover",
            "Complete or undo interrupted changes.",
        )],
    ),
    (
        "status",
        &[
            ("robotctl status", "Show every app on this host."),
            (
                "robotctl --format json status",
                "The same for a program, as lines of JSON.",
            ),
        ],
    ),
    (
        "releases",
        &[(
            "robotctl --app shop releases",
            "List the releases of one app.",
        )],
    ),
    (
        "history",
        &[
            ("robotctl --app shop history", "Show the events of one app."),
            (
                "robotctl --format json history",
                "The same for a program, and of every app.",
            ),
        ],
    ),
    (
        "logs",
        &[
            (
                "sudo robotctl logs",
                "The last 100 entries of all services.",
            ),
            ("sudo robotctl logs web -f", "Follow one service."),
            (
                "sudo robotctl logs --release 1.4.2 -g timeout",
                "What the processes of a release said about timeouts.",
            ),
            (
                "sudo robotctl logs --trace 4bf92f3577b34da6",
                "One request in every service.",
            ),
        ],
    ),
    (
        "run",
        &[
            (
                "sudo robotctl run web -- ./manage.py migrate",
                "Run a program of the release.",
            ),
            (
                "sudo robotctl run db -- pg_dump shop > shop.sql",
                "Write its output to a file of your own.",
            ),
            ("sudo robotctl run --shell web", "Look around."),
        ],
    ),
    ("check", &[("sudo robotctl check", "Run the checks.")]),
    (
        "score",
        &[
            ("robotctl score", "Score the services of ./robot.toml."),
            (
                "robotctl score --threshold 0.2",
                "Fail, in CI for example, if a service scores higher.",
            ),
            (
                "robotctl score --unit /usr/lib/systemd/system/cron.service",
                "Score any unit file.",
            ),
        ],
    ),
    (
        "doctor",
        &[
            ("robotctl doctor", "Check this host and every app on it."),
            ("robotctl --app shop doctor", "Check one app."),
            ("robotctl doctor --list", "List the checks."),
            (
                "robotctl doctor --explain tmpfiles",
                "Say why a check matters, and how to fix what it finds.",
            ),
            (
                "robotctl doctor --fail-on error",
                "Fail only if something does not work.",
            ),
            (
                "sudo robotctl doctor --trace web",
                "List the system calls that the sandbox denies a service.",
            ),
            (
                "sudo robotctl doctor --probe",
                "Also try what the sandboxes prevent on this host.",
            ),
        ],
    ),
    (
        "prune",
        &[
            (
                "sudo robotctl prune",
                "Show which releases would go, and why.",
            ),
            (
                "sudo robotctl prune --apply --keep 3",
                "Remove them, and keep three good ones.",
            ),
            (
                "sudo robotctl prune --all --apply",
                "Prune every app on this host.",
            ),
        ],
    ),
    (
        "remove",
        &[
            ("sudo robotctl remove", "Show what would be removed."),
            (
                "sudo robotctl remove --apply",
                "Remove the app, and keep its state and settings.",
            ),
            (
                "sudo robotctl --app shop remove --purge --apply",
                "Remove these too. They cannot be restored.",
            ),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::{GENERAL, examples};
    use clap::Parser as _;

    /// Commands that any user can run.
    const UNPRIVILEGED: [&str; 7] = [
        "doctor", "generate", "history", "package", "releases", "score", "status",
    ];

    #[test]
    fn every_example_can_be_typed() {
        let command = crate::cli::command();
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let name = sub.get_name();
            let shown = examples(name);
            assert_ne!(shown, GENERAL, "{name} has no example of its own");
            for (typed, _) in shown.iter().chain(GENERAL) {
                let words = typed.split(' ').skip_while(|word| *word == "sudo");
                let parsed = crate::cli::Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{typed}: {parsed:?}");
                let any_user = typed.split(' ').any(|word| UNPRIVILEGED.contains(&word));
                let any_user = any_user && !typed.contains("--probe") && !typed.contains("--trace");
                let needs_root = !any_user && !typed.contains("--root");
                assert_eq!(typed.starts_with("sudo "), needs_root, "{typed}");
            }
        }
    }
}
