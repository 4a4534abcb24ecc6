//! The control file (deb-control(5)).

use super::found::Architecture;
use crate::app::{App, Relation};
use std::fmt::Write as _;

/// The first version of the package `robot` whose `deploy` has `--from-package`.
const TOOLKIT: &str = "robot (>= 0.1.0)";

/// The version of an app as Debian writes it. A hyphen would begin a Debian revision, and `1.0-rc1` would be newer
/// than `1.0`; `1.0~rc1` is older (deb-version(7)).
pub(crate) fn version(app: &App) -> String {
    app.version.as_str().replace('-', "~")
}

/// The control file. `found` are relations that the payload shows; the size is in KiB.
pub(crate) fn control(
    app: &App,
    maintainer: &str,
    architecture: Architecture,
    found: &[String],
    installed_kib: u64,
) -> String {
    let package = &app.package;
    let join = |relations: &[Relation]| {
        let relations: Vec<&str> = relations.iter().map(Relation::as_str).collect();
        relations.join(", ")
    };
    let mut depends = vec![TOOLKIT.to_owned()];
    depends.extend(found.iter().cloned());
    depends.extend(package.depends.iter().map(ToString::to_string));
    let mut seen = Vec::new();
    depends.retain(|one| {
        !seen.contains(one) && {
            seen.push(one.clone());
            true
        }
    });
    let fields = [
        ("Package", package.name.to_string()),
        ("Version", version(app)),
        ("Architecture", architecture.debian().to_owned()),
        ("Maintainer", maintainer.to_owned()),
        ("Installed-Size", installed_kib.to_string()),
        ("Depends", depends.join(", ")),
        ("Recommends", join(&package.recommends)),
        ("Conflicts", join(&package.conflicts)),
        ("Section", package.section.to_string()),
        ("Priority", "optional".to_owned()),
        ("Description", synopsis(app)),
    ];
    let mut text = String::new();
    for (name, value) in fields {
        if !value.is_empty() {
            let _ = writeln!(text, "{name}: {value}");
        }
    }
    for line in description(app) {
        let _ = writeln!(text, " {line}");
    }
    text
}

/// The longest first line of a description, in characters (Debian Policy 5.6.13).
const MAX_SYNOPSIS: usize = 79;

/// The first line of the description. Debian wants more than a word and than the name of the package, and no article
/// at its beginning (Developer's Reference 6.2.2).
fn synopsis(app: &App) -> String {
    let text = app.description.as_str().trim().trim_end_matches('.');
    let mut articles = ["A ", "An ", "The "].into_iter();
    let text = articles
        .find_map(|article| text.strip_prefix(article))
        .unwrap_or(text);
    let says_name = text.to_lowercase().starts_with(app.package.name.as_str());
    if says_name || !text.contains(' ') {
        return format!("services of {}", app.name);
    }
    text.chars().take(MAX_SYNOPSIS).collect()
}

/// The other lines of the description.
fn description(app: &App) -> Vec<String> {
    let mut lines = vec![
        format!(
            "Version {} of the app {}. robotctl deploys it when the package is",
            app.version, app.name
        ),
        "installed, and restores the previous release if it is not healthy.".to_owned(),
        ".".to_owned(),
        "Its services:".to_owned(),
    ];
    for service in &app.services {
        let text = service.description.as_str();
        let line = match text.is_empty() {
            true => format!(" * {}", service.name),
            false => format!(" * {}: {text}", service.name),
        };
        lines.push(line.chars().take(MAX_SYNOPSIS).collect());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Architecture, control, synopsis};
    use crate::app::App;
    use crate::manifest::parse;

    #[test]
    fn a_control_file_has_no_empty_field_and_each_relation_once() {
        let text = "[app]\nname = \"shop\"\nversion = \"1.0-rc1\"\ndescription = \"A web shop.\"\n\
                    [package]\ndepends = [\"python3 (>= 3.11)\", \"nginx | caddy\"]\n\
                    [service.web]\nexec = [\"/bin/w\"]\ndescription = \"Pages\"\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        let found = [
            "python3 (>= 3.11)".to_owned(),
            "python3 (<< 3.12)".to_owned(),
        ];
        let text = control(&app, "Ann <ann@example.org>", Architecture::All, &found, 12);
        assert_eq!(
            text,
            "Package: shop\nVersion: 1.0~rc1\nArchitecture: all\nMaintainer: Ann <ann@example.org>\n\
             Installed-Size: 12\nDepends: robot (>= 0.1.0), python3 (>= 3.11), python3 (<< 3.12), nginx | caddy\n\
             Section: misc\nPriority: optional\nDescription: web shop\n \
             Version 1.0-rc1 of the app shop. robotctl deploys it when the package is\n \
             installed, and restores the previous release if it is not healthy.\n .\n Its services:\n  * web: Pages\n"
        );
    }

    #[test]
    fn the_first_line_of_a_description_says_more_than_the_name() {
        for (description, expected) in [
            ("", "services of shop"),
            ("A shop.", "services of shop"),
            ("Shop for tea", "services of shop"),
            ("The web shop", "web shop"),
            ("Tea and more", "Tea and more"),
        ] {
            let text = format!(
                "[app]\nname = \"shop\"\nversion = \"1\"\ndescription = \"{description}\"\n\
                 [service.web]\nexec = [\"/bin/w\"]\n"
            );
            let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
            assert_eq!(synopsis(&app), expected, "{description}");
        }
    }
}
