//! Words that other tools have for commands, and what to type instead.

/// Words, and the tip that a person gets who types one of them.
const TIPS: &[(&[&str], &str)] = &[
    (
        &[
            "apply", "install", "push", "release", "ship", "update", "upgrade",
        ],
        "to install a new release: `sudo robotctl deploy --apply`",
    ),
    (
        &["diff", "dry-run", "plan", "preview"],
        "to see what a deploy would do: `robotctl deploy`",
    ),
    (
        &["lint", "validate", "verify"],
        "to check the manifest: `robotctl generate`; to check what is live: `robotctl check`",
    ),
    (
        &["config", "edit", "init", "new", "create"],
        "you write the manifest, `robot.toml`: robot.toml(5) describes it",
    ),
    (
        &["boot", "enable", "up"],
        "to start an app that is deployed: `sudo robotctl start`; to deploy one: `robotctl deploy`",
    ),
    (
        &["disable", "down", "halt", "kill"],
        "to stop an app until the next boot: `sudo robotctl stop`",
    ),
    (
        &["bounce", "reload"],
        "to restart services without losing a request: `sudo robotctl restart`",
    ),
    (
        &["info", "list", "ls", "ps", "show", "top"],
        "to see what is live and what runs: `robotctl status`",
    ),
    (
        &["journal", "log", "tail"],
        "to read what the services of an app log: `sudo robotctl logs`; to follow them: `sudo robotctl logs -f`",
    ),
    (
        &["events", "audit", "audit-log"],
        "to see what happened: `robotctl history`",
    ),
    (
        &["revert", "restore", "undo"],
        "to restore the previous release: `sudo robotctl rollback`",
    ),
    (
        &["delete", "destroy", "purge", "rm", "uninstall"],
        "to remove an app: `robotctl remove`",
    ),
    (
        &["clean", "cleanup", "gc"],
        "to remove old releases: `robotctl prune`",
    ),
    (
        &["analyze", "harden", "security"],
        "to see how exposed each service is: `robotctl score`",
    ),
    (
        &["build", "render", "template", "units"],
        "to print the generated files: `robotctl generate`; a deploy runs the `build` of the manifest",
    ),
    (
        &["diagnose", "health", "healthcheck"],
        "to find what is wrong: `robotctl doctor`; to run the checks of an app: `robotctl check`",
    ),
    (
        &["continue", "repair", "resume", "unlock"],
        "to complete or undo an interrupted change: `sudo robotctl recover`",
    ),
    (
        &[
            "config:get",
            "config:set",
            "config:unset",
            "printenv",
            "set",
            "setenv",
        ],
        "for variables: `sudo robotctl env list`, `sudo robotctl env set NAME=VALUE`; for secrets: `robotctl secret list`",
    ),
    (
        &["secrets", "credential", "credentials", "rotate"],
        "to write and list secrets: `robotctl secret list`",
    ),
    (
        &["bash", "console", "exec", "sh", "shell", "ssh"],
        "to run a command as a service runs: `sudo robotctl run SERVICE -- COMMAND`; a shell: `sudo robotctl run --shell SERVICE`",
    ),
    (
        &["remote", "host", "hosts"],
        "robotctl works on the host where it runs: `ssh HOST robotctl status`",
    ),
    (
        &["version"],
        "to see the version of robotctl: `robotctl --version`; that of each app: `robotctl status`",
    ),
    (&["versions"], "to list the releases: `robotctl releases`"),
];

/// The tip for a word, if it is one of [`TIPS`].
pub(super) fn tip(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let found = TIPS
        .iter()
        .find(|(words, _)| words.contains(&word.as_str()));
    found.map(|(_, tip)| *tip)
}

#[cfg(test)]
mod tests {
    use super::{TIPS, tip};
    use crate::cli::parser;

    /// The text in backticks.
    fn commands(tip: &str) -> impl Iterator<Item = &str> {
        tip.split('`').skip(1).step_by(2)
    }

    /// Whether a command changes the host or reads what only root can read.
    fn needs_root(command: &str) -> bool {
        let words: Vec<&str> = command.split(' ').collect();
        match words.as_slice() {
            ["robotctl", "env" | "logs" | "run", ..] | ["journalctl", ..] => true,
            [
                "robotctl",
                "rollback" | "recover" | "restart" | "start" | "stop",
                ..,
            ] => !words.contains(&"--dry-run"),
            ["robotctl", ..] => words.contains(&"--apply"),
            ["systemctl", verb, ..] => ["start", "stop", "restart", "reload"].contains(verb),
            _ => false,
        }
    }

    #[test]
    fn a_command_of_a_tip_has_sudo_where_it_needs_root() {
        let mut count = 0;
        for (words, tip) in TIPS {
            for command in commands(tip) {
                let plain = command.strip_prefix("sudo ");
                let needs = needs_root(plain.unwrap_or(command));
                assert_eq!(plain.is_some(), needs, "{words:?}: {command}");
                count += usize::from(needs);
            }
        }
        assert!(count >= 7, "only {count} commands need root");
        for command in [
            "robotctl deploy --apply",
            "robotctl remove --apply",
            "robotctl prune --apply",
            "robotctl rollback",
            "robotctl recover",
            "robotctl stop",
            "robotctl logs -f",
            "robotctl run SERVICE -- COMMAND",
        ] {
            assert!(needs_root(command), "{command}");
        }
        for command in [
            "robotctl deploy",
            "robotctl remove",
            "robotctl prune",
            "robot.toml",
        ] {
            assert!(!needs_root(command), "{command}");
        }
    }

    #[test]
    fn no_word_is_a_command_and_each_is_in_one_row() {
        let parser = parser();
        let words = TIPS.iter().flat_map(|(words, _)| *words);
        let mut seen = std::collections::BTreeSet::new();
        for word in words {
            assert!(parser.find_subcommand(word).is_none(), "{word}");
            assert!(seen.insert(*word), "{word}");
        }
    }

    /// The commands that the tips name exist.
    #[test]
    fn every_tip_names_commands_that_exist() {
        for (words, tip) in TIPS {
            for command in commands(tip) {
                let plain = command.strip_prefix("sudo ").unwrap_or(command);
                let Some(line) = plain.strip_prefix("robotctl ") else {
                    continue;
                };
                let argv = ["robotctl"].into_iter().chain(line.split(' '));
                let parsed = parser().try_get_matches_from(argv);
                let is_version = line == "--version";
                assert!(parsed.is_ok() || is_version, "{words:?}: {line}");
            }
        }
    }

    #[test]
    fn a_word_has_its_tip_in_any_case() {
        assert_eq!(tip("Upgrade"), tip("upgrade"));
        assert!(tip("Upgrade").is_some());
        assert_eq!(tip("deploy"), None);
    }
}
