//! The [`Reader`] of a manifest, and what every part of it needs: names, text, paths, commands.

use crate::app::layout::Layout;
use crate::app::lines::Line;
use crate::app::names::{AbsPath, Name, Text};
use crate::app::reserved::reserved;
use crate::manifest::{Manifest, OverlayTable, Problem, Result, nearest};

/// The path of a key, for messages.
pub(super) type Path<'a> = &'a [&'a str];

pub(super) struct Reader<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) overlay: Option<&'a OverlayTable>,
    pub(super) environment: Option<Name>,
    pub(super) name: Name,
    pub(super) user: Name,
    pub(super) layout: Layout,
}

/// Runs a parser of [`super::names`]; the rule that was broken becomes the hint.
pub(super) fn get<T>(
    path: Path<'_>,
    text: &str,
    what: &str,
    parse: impl Fn(&str) -> std::result::Result<T, &'static str>,
) -> Result<T> {
    parse(text).map_err(|rule| {
        let shown: String = text.chars().take(60).collect();
        let named = path.iter().rev().find(|part| part.parse::<u32>().is_err());
        let place = match named {
            Some(key) if *key != text => format!(" in `{key}`"),
            _ => String::new(),
        };
        Problem::new(path, format!("{}{place} is not {what}", quoted(&shown))).hint(rule)
    })
}

/// Refuses the name of an app whose directories, user or units would be the system's.
fn free(path: Path<'_>, name: &Name) -> Result<()> {
    let Some(why) = reserved(name.as_str()) else {
        return Ok(());
    };
    let hint = match path {
        ["app", ..] => format!("choose another, such as `my-{name}`"),
        _ => "call the environment or the app otherwise".to_owned(),
    };
    let message = format!("no app may be called `{name}`: that {why}");
    Err(Problem::new(path, message).hint(hint))
}

/// A value as a person can read it on one line.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}

pub(super) fn one_of<T: Copy>(
    path: Path<'_>,
    text: &str,
    words: &[(&'static str, T)],
) -> Result<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let key = path.last().unwrap_or(&"");
    let problem = Problem::new(path, format!("{} is not a value of `{key}`", quoted(text)));
    Err(match nearest(text, &names) {
        Some(name) => problem.hint(format!("did you mean `{name}`?")),
        None => problem.hint(format!("use one of `{}`", names.join("`, `"))),
    })
}

impl<'a> Reader<'a> {
    pub(super) fn new(manifest: &'a Manifest, environment: Option<&str>) -> Result<Self> {
        let base = get(&["app", "name"], &manifest.app.name, "a name", Name::parse)?;
        free(&["app", "name"], &base)?;
        let mut overlay = None;
        let mut name = base.clone();
        let mut parsed = None;
        if let Some(environment) = environment {
            let known: Vec<&str> = manifest.environment.keys().map(String::as_str).collect();
            overlay = manifest.environment.get(environment);
            if overlay.is_none() {
                return Err(Problem::new(
                    &["environment"],
                    format!("there is no environment {}", quoted(environment)),
                )
                .hint(match nearest(environment, &known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add a table `[environment.{environment}]`"),
                }));
            }
            let path = ["environment", environment];
            parsed = Some(get(&path, environment, "a name", Name::parse)?);
            let whole = format!("{base}-{environment}");
            name = get(&path, &whole, "a name for the app", Name::parse)?;
            free(&path, &name)?;
        }
        let user = match &manifest.app.user {
            Some(user) => get(&["app", "user"], user, "a user name", Name::parse)?,
            None => name.clone(),
        };
        Ok(Self {
            manifest,
            overlay,
            environment: parsed,
            layout: Layout::new(&name),
            name,
            user,
        })
    }

    /// A name that no service has.
    pub(super) fn no_service(&self, path: Path<'_>, name: &str) -> Problem {
        // Nobody who wrote a name of a service into its own table meant that service.
        let own = match path {
            ["service", own, ..] => *own,
            _ => "",
        };
        let keys = self.manifest.service.keys().map(String::as_str);
        let known: Vec<&str> = keys.filter(|key| *key != own).collect();
        let problem = Problem::new(path, format!("there is no service {}", quoted(name)));
        match nearest(name, &known) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None if own.is_empty() => problem.hint(format!("add a table `[service.{name}]`")),
            None => problem.hint("name another package's unit whole: `redis.service`"),
        }
    }

    pub(super) fn text(&self, path: Path<'_>, text: &str) -> Result<Text> {
        get(path, &self.layout.expand(text), "usable text", Text::parse)
    }

    pub(super) fn line(&self, path: Path<'_>, text: &str) -> Result<Line> {
        let text = self.layout.expand(text);
        get(path, &text, "one line of text", Line::parse)
    }

    pub(super) fn texts(&self, path: Path<'_>, list: &[String]) -> Result<Vec<Text>> {
        list.iter().map(|item| self.text(path, item)).collect()
    }

    pub(super) fn path(&self, path: Path<'_>, text: &str) -> Result<AbsPath> {
        get(path, &self.layout.expand(text), "a path", AbsPath::parse)
    }

    /// A command whose program is an absolute path that systemd takes as it is written.
    pub(super) fn command(&self, path: Path<'_>, argv: &[String]) -> Result<Vec<Text>> {
        let argv = self.texts(path, argv)?;
        let Some(program) = argv.first() else {
            return Err(Problem::new(path, "the command is empty")
                .hint("write the program and its arguments: `[\"{current}/bin/web\"]`"));
        };
        get(path, program.as_str(), "a program", AbsPath::parse).map_err(|problem| {
            problem.hint("write `{current}/…` for a program of the release, or `/usr/bin/…`")
        })?;
        Ok(argv)
    }

    pub(super) fn commands(&self, path: Path<'_>, list: &[Vec<String>]) -> Result<Vec<Vec<Text>>> {
        list.iter().map(|argv| self.command(path, argv)).collect()
    }
}
