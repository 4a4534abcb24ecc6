//! The [`Reader`] of a manifest, and what every part of it needs: names, text, paths, commands.

use crate::app::layout::Layout;
use crate::app::lines::Line;
use crate::app::names::{AbsPath, Name, Text};
use crate::app::placeholders::HOSTNAME;
use crate::app::reserved::{BUNDLED_APP, why_reserved};
pub(super) use crate::manifest::quoted;
use crate::manifest::{Manifest, Problem, Result, nearest};
use crate::printable::is_direction;

/// The path of a key, for messages.
pub(super) type Path<'a> = &'a [&'a str];

/// Whether the rules about what is allowed apply. The rules of form always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// They apply: the manifest can be corrected.
    Applies,
    /// They apply to the manifest of the package too, but it may have the reserved name of its app.
    Bundled,
    /// They do not: the manifest is the record of a release, which an earlier robotctl has allowed.
    Recorded,
}

impl Policy {
    /// Applies a rule about what is allowed.
    pub(super) fn enforce(self, rule: Result<()>) -> Result<()> {
        match self {
            Self::Applies | Self::Bundled => rule,
            Self::Recorded => Ok(()),
        }
    }
}

pub(super) struct Reader<'a> {
    pub(super) policy: Policy,
    pub(super) manifest: &'a Manifest,
    pub(super) environment: Option<Name>,
    pub(super) name: Name,
    pub(super) user: Name,
    /// `app.group`
    pub(super) group: Option<Name>,
    pub(super) layout: Layout,
}

/// Parses a value. The rule that it breaks becomes the hint.
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
        Problem::new(
            path,
            format!("{}{place} is not {what}", quoted(&shown)),
            match Name::near(text).filter(|_| NAMES.contains(&what)) {
                Some(near) => format!("{rule}, such as `{near}`"),
                None => rule.to_owned(),
            },
        )
    })
}

/// What [`get`] calls a [`Name`].
const NAMES: [&str; 3] = ["a name", "a user name", "a group name"];

/// Refuses a reserved name for an app.
fn check_reserved(policy: Policy, path: Path<'_>, name: &Name) -> Result<()> {
    if policy == Policy::Bundled && name.as_str() == BUNDLED_APP {
        return Ok(());
    }
    let Some(why) = why_reserved(name.as_str()) else {
        return Ok(());
    };
    let hint = match path {
        ["app", ..] => format!("choose another name, such as `my-{name}`"),
        _ => "rename the environment or the app".to_owned(),
    };
    let message = format!("an app cannot be called `{name}`: {why}");
    Err(Problem::new(path, message, hint))
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
    let message = format!("{} is not a value of `{key}`", quoted(text));
    let hint = match nearest(text, &names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("use one of `{}`", names.join("`, `")),
    };
    Err(Problem::new(path, message, hint))
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        manifest: &'a Manifest,
        environment: Option<&str>,
        policy: Policy,
    ) -> Result<Self> {
        let base = get(&["app", "name"], &manifest.app.name, "a name", Name::parse)?;
        policy.enforce(check_reserved(policy, &["app", "name"], &base))?;
        let mut name = base.clone();
        let mut parsed = None;
        if let Some(environment) = environment {
            let known: Vec<&str> = manifest.environment.keys().map(String::as_str).collect();
            if !manifest.environment.contains_key(environment) {
                return Err(Problem::new(
                    &["environment"],
                    format!("there is no environment {}", quoted(environment)),
                    match nearest(environment, &known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("add a table `[environment.{environment}]`"),
                    },
                ));
            }
            let path = ["environment", environment];
            parsed = Some(get(&path, environment, "a name", Name::parse)?);
            let whole = format!("{base}-{environment}");
            name = get(&path, &whole, "a name for the app", Name::parse)?;
            policy.enforce(check_reserved(policy, &path, &name))?;
        }
        let user = match &manifest.app.user {
            Some(user) => get(&["app", "user"], user, "a user name", Name::parse)?,
            None => name.clone(),
        };
        let group = match &manifest.app.group {
            Some(group) => Some(get(&["app", "group"], group, "a group name", Name::parse)?),
            None => None,
        };
        Ok(Self {
            policy,
            group,
            manifest,
            environment: parsed,
            layout: Layout::new(&name),
            name,
            user,
        })
    }

    /// The problem with a name that no service has.
    pub(super) fn no_service(&self, path: Path<'_>, name: &str) -> Problem {
        // A service is never suggested in its own table.
        let own = match path {
            ["service", own, ..] => *own,
            _ => "",
        };
        let keys = self.manifest.service.keys().map(String::as_str);
        let known: Vec<&str> = keys.filter(|key| *key != own).collect();
        let message = format!("there is no service {}", quoted(name));
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if own.is_empty() => format!("add a table `[service.{name}]`"),
            None => "write the full name for a unit of another package: `redis.service`".to_owned(),
        };
        Problem::new(path, message, hint)
    }

    /// Refuses characters that change the order in which a terminal shows the text after them.
    pub(super) fn check_direction(&self, path: Path<'_>, text: &str) -> Result<()> {
        if !text.chars().any(is_direction) {
            return Ok(());
        }
        self.policy.enforce(Err(Problem::new(
            path,
            format!(
                "{} has a character that changes the direction of text",
                quoted(text)
            ),
            "write it without such characters (U+202A to U+202E, U+2066 to U+2069)",
        )))
    }

    pub(super) fn text(&self, path: Path<'_>, text: &str) -> Result<Text> {
        self.check_direction(path, text)?;
        get(path, &self.expand(path, text)?, "valid text", Text::parse)
    }

    pub(super) fn line(&self, path: Path<'_>, text: &str) -> Result<Line> {
        self.check_direction(path, text)?;
        let text = self.expand(path, text)?;
        get(path, &text, "one line of text", Line::parse)
    }

    pub(super) fn texts(&self, path: Path<'_>, list: &[String]) -> Result<Vec<Text>> {
        list.iter().map(|item| self.text(path, item)).collect()
    }

    pub(super) fn path(&self, path: Path<'_>, text: &str) -> Result<AbsPath> {
        self.check_direction(path, text)?;
        get(path, &self.expand(path, text)?, "a path", AbsPath::parse)
    }

    /// A command whose program is an absolute path.
    pub(super) fn command(&self, path: Path<'_>, argv: &[String]) -> Result<Vec<Text>> {
        let argv = self.texts(path, argv)?;
        let Some(program) = argv.first() else {
            return Err(Problem::new(
                path,
                "the command is empty",
                "write the program and its arguments: `[\"{current}/bin/web\"]`",
            ));
        };
        get(path, program.as_str(), "an absolute path", |text| {
            if text.contains(HOSTNAME) {
                return Err("write a path that is the same on every host");
            }
            AbsPath::parse(text).map_err(|_| {
                "write `{current}/…` for a program in the release, or a path such as `/usr/bin/…`"
            })
        })?;
        Ok(argv)
    }

    pub(super) fn commands(&self, path: Path<'_>, list: &[Vec<String>]) -> Result<Vec<Vec<Text>>> {
        list.iter().map(|argv| self.command(path, argv)).collect()
    }
}
