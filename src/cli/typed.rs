//! Commands as they are to be typed.

use super::Ctx;
use super::deploy::Args;
use std::path::Path;

impl Ctx {
    /// The same hint for the tree that is worked on: what is typed for it must not change the
    /// host.
    pub(super) fn for_tree(&self, hint: &str) -> String {
        match &self.root {
            Some(dir) if self.host.is_offline() => {
                let dir = quoted(&dir.display().to_string());
                hint.replace("sudo robotctl ", &format!("robotctl --root {dir} "))
            }
            _ => hint.to_owned(),
        }
    }
}

/// The command that was given, with what makes it do the plan.
pub(super) fn command(args: &Args, ctx: &Ctx, hash: &str) -> String {
    let mut words = Vec::new();
    if !ctx.host.is_offline() {
        words.push("sudo".to_owned());
    }
    words.push("robotctl".to_owned());
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), quoted(&value)]);
        }
    };
    let path = |path: &Path| path.display().to_string();
    option("--app", ctx.app.clone());
    option("--manifest", ctx.manifest.as_deref().map(path));
    option("--environment", ctx.environment.clone());
    option("--root", ctx.root.as_deref().map(path));
    words.push("deploy".to_owned());
    for (given, name) in [(args.force, "--force"), (args.lift_pins, "--lift-pins")] {
        if given {
            words.push(name.to_owned());
        }
    }
    if args.wait > 0 {
        words.extend(["--wait".to_owned(), args.wait.to_string()]);
    }
    words.extend(["--apply", "--plan", hash].map(str::to_owned));
    if let Some(source) = args.source.as_deref().map(path) {
        if source.starts_with('-') {
            words.push("--".to_owned());
        }
        words.push(quoted(&source));
    }
    words.join(" ")
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, wanted) in [
            ("/root/hello", "/root/hello"),
            ("", "''"),
            ("my app", "'my app'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("~x", "'~x'"),
        ] {
            assert_eq!(quoted(word), wanted);
        }
    }
}
