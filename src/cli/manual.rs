//! What a man page has besides the options: exit status, files, examples, where to read on.

use super::Exit;

/// Files that every page names.
const FILES: [(&str, &str); 7] = [
    ("./robot.toml", "the manifest of the app in this directory"),
    ("/opt/APP/releases/ID", "a release"),
    ("/opt/APP/current", "link to the live release"),
    ("/etc/APP/env", "the administrator's environment of the app"),
    ("/etc/APP/credentials/", "secrets, one file each"),
    (
        "/usr/local/lib/systemd/system/",
        "generated units and drop-ins",
    ),
    (
        "/var/lib/robotctl/APP/",
        "what robotctl remembers of the app",
    ),
];

/// What is typed with a command, and what for.
fn examples(command: &str) -> &'static [(&'static str, &'static str)] {
    match command {
        "generate" => &[
            ("robotctl generate", "Prints all units of the app."),
            (
                "sudo robotctl generate --check",
                "Compares them with this host.",
            ),
        ],
        "deploy" => &[
            ("sudo robotctl deploy", "Shows the plan."),
            ("sudo robotctl deploy --apply", "Does it."),
            (
                "robotctl --root /mnt/image deploy --apply",
                "Installs the app into an image.",
            ),
        ],
        "rollback" => &[
            (
                "sudo robotctl rollback --dry-run",
                "Shows what would come back.",
            ),
            ("sudo robotctl rollback", "Goes back to the release before."),
            (
                "sudo robotctl rollback 1.4.1 --service web",
                "Takes one service back alone.",
            ),
        ],
        "recover" => &[("sudo robotctl recover", "Ends what was interrupted.")],
        "status" => &[("sudo robotctl status", "All apps of this host.")],
        "releases" => &[(
            "sudo robotctl releases --app shop",
            "The releases of one app.",
        )],
        "history" => &[(
            "sudo robotctl history --format json",
            "All events, for a program.",
        )],
        "check" => &[(
            "sudo robotctl check",
            "Runs the checks of the app that is live.",
        )],
        "score" => &[(
            "robotctl score --threshold 0.2",
            "Fails in CI when a unit is too exposed.",
        )],
        "doctor" => &[
            ("sudo robotctl doctor", "Examines every app of this host."),
            ("robotctl doctor --list", "What is looked at."),
        ],
        "prune" => &[
            (
                "sudo robotctl prune --app shop --keep 3",
                "Leaves three releases.",
            ),
            ("sudo robotctl prune --all", "Prunes every app."),
        ],
        "remove" => &[
            ("sudo robotctl remove --dry-run", "Shows what would go."),
            (
                "sudo robotctl remove --purge",
                "Also takes state and settings.",
            ),
        ],
        _ => &[
            ("sudo robotctl deploy", "Shows what a deploy would do."),
            ("sudo robotctl deploy --apply", "Does it."),
            ("sudo robotctl status", "Shows what is live."),
            (
                "sudo robotctl doctor",
                "Finds what is wrong and says what to type.",
            ),
            ("sudo robotctl rollback", "Goes back to the release before."),
        ],
    }
}

/// The sections that follow the generated ones, in roff (man(7)).
pub(super) fn sections(command: &str, others: &[String]) -> String {
    let mut text = String::new();
    let mut section = |title: &str, items: Vec<(String, &str)>| {
        text.push_str(&format!(".SH \"{title}\"\n"));
        for (term, about) in items {
            text.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", roff(&term), roff(about)));
        }
    };
    let exits = Exit::ALL.map(|exit| ((exit as u8).to_string(), exit.meaning()));
    section("EXIT STATUS", exits.into());
    section("FILES", owned(&FILES));
    section("EXAMPLES", owned(examples(command)));
    let pages = others.iter().filter(|page| *page != command);
    let pages = pages.map(|page| match page.as_str() {
        "robotctl" => "\\fBrobotctl\\fR(1)".to_owned(),
        page => format!("\\fBrobotctl\\-{page}\\fR(1)"),
    });
    let mut pages: Vec<String> = pages.collect();
    for (page, number) in [("systemctl", 1), ("journalctl", 1), ("systemd.exec", 5)] {
        pages.push(format!("\\fB{page}\\fR({number})"));
    }
    text.push_str(&format!(
        ".SH \"SEE ALSO\"\n{}\n.PP\nThe documents are in /usr/share/doc/robot.\n",
        pages.join(",\n")
    ));
    text
}

fn owned(items: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    let owned = |(term, about): &(&str, &'static str)| ((*term).to_owned(), *about);
    items.iter().map(owned).collect()
}

/// Text that no roff program takes for a request or another sign.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{examples, sections};
    use clap::Parser as _;

    #[test]
    fn every_example_can_be_typed() {
        let command = crate::cli::command();
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let name = sub.get_name();
            let shown = examples(name);
            assert_ne!(shown, examples(""), "{name} has no example of its own");
            for (typed, _) in shown.iter().chain(examples("")) {
                let words = typed.split(' ').skip_while(|word| *word == "sudo");
                let parsed = crate::cli::Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{typed}: {parsed:?}");
            }
        }
    }

    #[test]
    fn a_page_has_the_sections_of_a_manual() {
        let pages = ["robotctl", "deploy", "status"].map(str::to_owned);
        let text = sections("deploy", &pages);
        for part in [
            ".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\ndone, or nothing to do\n",
            ".SH \"FILES\"\n.TP\n\\fB\\&./robot.toml\\fR\n",
            "\\fBsudo robotctl deploy \\-\\-apply\\fR\n",
            ".SH \"SEE ALSO\"\n\\fBrobotctl\\fR(1),\n\\fBrobotctl\\-status\\fR(1),\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
