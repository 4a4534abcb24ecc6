//! The manual pages of the commands, section 1: `robotctl.1`, and one page a command.

use super::super::{EXIT_CODES, GLOBAL_OPTIONS};
use super::examples::examples;
use super::files::files;
use super::page::{Page, option};
use anyhow::Result;
use clap::{Arg, Command};
use roff::{Inline, bold, italic, roman};

/// Every page, by the name of its file.
pub(super) fn pages(command: &Command) -> Result<Vec<(String, String)>> {
    let visible = || command.get_subcommands().filter(|one| !one.is_hide_set());
    let names = visible().map(|one| page_name(one.get_name()));
    let names: Vec<String> = [page_name("")].into_iter().chain(names).collect();
    let mut out = vec![(format!("{}.1", page_name("")), root(command, &names)?)];
    for sub in visible() {
        let name = page_name(sub.get_name());
        out.push((format!("{name}.1"), of_command(sub, &names)?));
    }
    Ok(out)
}

/// `robotctl-deploy`
fn page_name(command: &str) -> String {
    if command.is_empty() {
        "robotctl".to_owned()
    } else {
        format!("robotctl-{command}")
    }
}

fn root(command: &Command, names: &[String]) -> Result<String> {
    let mut page = begin(command, &page_name(""));
    page.section("SYNOPSIS");
    let global = vec![roman("["), italic("GLOBAL OPTION"), roman("...]")];
    let rest = vec![roman("["), italic("ARGUMENT"), roman("...]")];
    page.usage("robotctl", &[global, vec![italic("COMMAND")], rest]);
    description(&mut page, command);
    page.section("COMMANDS");
    for sub in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        let name = page_name(sub.get_name());
        let term = [bold(sub.get_name()), roman(format!(" ({name}(1))"))];
        page.entry(&term, &format!("{}.", about(sub)));
    }
    page.section("OPTIONS");
    options(&mut page, &shown(command).collect::<Vec<_>>());
    end(page, "", &page_name(""), names)
}

fn of_command(command: &Command, names: &[String]) -> Result<String> {
    let name = page_name(command.get_name());
    let mut page = begin(command, &name);
    page.section("SYNOPSIS");
    let own = || shown(command).filter(|arg| !is_global(arg) && arg.get_id() != "help");
    let mut words: Vec<Vec<Inline>> = own().filter(|arg| arg.is_positional()).map(word).collect();
    words.extend(own().filter(|arg| !arg.is_positional()).map(word));
    words.push(vec![roman("["), italic("GLOBAL OPTION"), roman("...]")]);
    page.usage(&format!("robotctl {}", command.get_name()), &words);
    description(&mut page, command);
    page.section("OPTIONS");
    let (global, own): (Vec<&Arg>, Vec<&Arg>) = shown(command).partition(|arg| is_global(arg));
    let (positional, flags): (Vec<&Arg>, Vec<&Arg>) =
        own.into_iter().partition(|arg| arg.is_positional());
    options(&mut page, &positional);
    options(&mut page, &flags);
    page.part(GLOBAL_OPTIONS);
    options(&mut page, &global);
    end(page, command.get_name(), &name, names)
}

fn begin(command: &Command, name: &str) -> Page {
    Page::new(name, "1", &about(command))
}

/// The one line about a command.
fn about(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// What follows the one line.
fn description(page: &mut Page, command: &Command) {
    page.section("DESCRIPTION");
    let text = command.get_long_about().map(ToString::to_string);
    let text = text.unwrap_or_else(|| about(command));
    let mut paragraphs = text.split("\n\n").skip(1).peekable();
    if paragraphs.peek().is_none() {
        page.paragraph(&format!("{}.", about(command)));
    }
    for paragraph in paragraphs {
        page.paragraph(paragraph);
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set())
}

fn is_global(arg: &Arg) -> bool {
    arg.get_help_heading() == Some(GLOBAL_OPTIONS)
}

/// The name of an argument's value, such as `DIR`.
fn value(arg: &Arg) -> Option<String> {
    let takes_values = arg.is_positional() || arg.get_action().takes_values();
    let many = arg
        .get_num_args()
        .is_some_and(|range| range.max_values() > 1);
    let names = arg.get_value_names().filter(|_| takes_values)?;
    let dots = if many { "..." } else { "" };
    Some(format!("{}{dots}", names.join(" ")))
}

/// An argument in SYNOPSIS.
fn word(arg: &Arg) -> Vec<Inline> {
    let value = value(arg);
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let inner = match (short.or(long), value) {
        (Some(name), value) => option(&name, value.as_deref()),
        (None, value) => vec![italic(value.unwrap_or_default())],
    };
    let (open, close) = if arg.is_required_set() {
        ("", "")
    } else {
        ("[", "]")
    };
    let mut out = vec![roman(open)];
    out.extend(inner);
    out.push(roman(close));
    out
}

fn options(page: &mut Page, args: &[&Arg]) {
    for arg in args {
        let value = value(arg);
        let long = arg.get_long().map(|long| format!("--{long}"));
        let mut term = Vec::new();
        if let Some(short) = arg.get_short() {
            term.extend([bold(format!("-{short}")), roman(", ")]);
        }
        match long {
            Some(long) => term.extend(option(&long, value.as_deref())),
            None => term.push(italic(value.unwrap_or_default())),
        }
        page.entry(&term, &meaning(arg));
    }
}

/// What an argument does, its values, and its default.
fn meaning(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.trim_end_matches(" (see more with '--help')");
    let mut text = match help.split_once(" [default: ") {
        Some((help, default)) => format!("{help}. Default: {}.", default.trim_end_matches(']')),
        None => format!("{help}."),
    };
    if !arg.get_action().takes_values() {
        return text;
    }
    for value in arg.get_possible_values() {
        let about = value
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        text.push_str(&format!(" `{}`: {about}.", value.get_name()));
    }
    for default in arg.get_default_values() {
        text.push_str(&format!(" Default: `{}`.", default.to_string_lossy()));
    }
    text
}

/// The sections that every page ends with.
fn end(mut page: Page, command: &str, name: &str, names: &[String]) -> Result<String> {
    page.section("EXIT STATUS");
    for (code, meaning) in EXIT_CODES {
        page.entry(&[bold(code.to_string())], &format!("{}.", capital(meaning)));
    }
    page.section("FILES");
    for (path, about) in files()? {
        page.entry(&[italic(path)], about);
    }
    page.section("EXAMPLES");
    for (typed, about) in examples(command) {
        page.entry(&[bold(*typed)], about);
    }
    let others = names.iter().filter(|other| *other != name);
    let mut pages: Vec<(String, u8)> = others.map(|other| (other.clone(), 1)).collect();
    for (page, section) in [
        ("robot.toml", 5),
        ("systemctl", 1),
        ("journalctl", 1),
        ("systemd.exec", 5),
    ] {
        pages.push((page.to_owned(), section));
    }
    page.see_also(&pages);
    Ok(page.finish())
}

/// A sentence begins with a capital letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::command_for_documents;
    use super::pages;

    #[test]
    fn a_page_has_the_sections_of_a_manual() {
        let pages = pages(&command_for_documents()).unwrap();
        for (name, text) in &pages {
            let titles = text.lines().filter_map(|line| line.strip_prefix(".SH "));
            let titles: Vec<&str> = titles.filter(|title| *title != "COMMANDS").collect();
            let expected = [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "\"EXIT STATUS\"",
                "FILES",
                "EXAMPLES",
                "\"SEE ALSO\"",
            ];
            assert_eq!(titles, expected, "{name}");
            assert!(
                !text.contains('`') && !text.replace("...", "").contains(".."),
                "{name}: {text}"
            );
        }
        let deploy = &pages.iter().find(|(name, _)| name == "robotctl-deploy.1");
        let (_, deploy) = deploy.expect("a page of `deploy`");
        for part in [
            "\\fBrobotctl deploy\\fR\n[\\fISOURCE\\fR]\n[\\fB\\-\\-apply\\fR]\n",
            "[\\fB\\-\\-plan\\fR \\fIHASH\\fR]\n",
            ".TP\n\\fB0\\fR\nDone, or nothing to do.\n",
            ".TP\n\\fI/opt/APP/current\\fR\n",
            ".TP\n\\fBsudo robotctl deploy\\fR\n",
            "\\fBrobotctl\\fR(1),\n\\fBrobotctl\\-generate\\fR(1),\n",
            "\\fBrobot.toml\\fR(5),\n",
        ] {
            assert!(deploy.contains(part), "{part}: {deploy}");
        }
    }
}
