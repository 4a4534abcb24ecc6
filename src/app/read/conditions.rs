//! `service.NAME.condition`.

use super::reader::{Reader, get, quoted};
use crate::app::condition::{CONDITIONS, Condition, ConditionKind};
use crate::manifest::{Problem, Result, ServiceTable, nearest};
use crate::units::Target;

impl Reader<'_> {
    pub(super) fn conditions(&self, key: &str, table: &ServiceTable) -> Result<Vec<Condition>> {
        let mut out = Vec::new();
        for (name, values) in &table.condition {
            let path = ["service", key, "condition", name];
            let kind = kind(&path, name)?;
            self.policy.enforce(self.is_checked(&path, kind))?;
            if values.0.is_empty() {
                let hint = "remove it, or write what systemd must find";
                return Err(Problem::new(&path, format!("`{name}` is empty"), hint));
            }
            for text in &values.0 {
                let text = self.expand(&path, text)?;
                out.push(get(&path, &text, "a condition", |text| {
                    kind.with_value(text)
                })?);
            }
        }
        Ok(out)
    }

    /// Refuses a condition that the systemd of `app.target` does not know: it would start the service. On
    /// a host, `systemd-analyze verify` refuses it.
    fn is_checked(&self, path: &[&str], kind: &ConditionKind) -> Result<()> {
        let oldest = match super::app::target_of(self.policy, self.manifest)? {
            Some(Target::Version(version)) => version,
            Some(Target::Portable) => Target::OLDEST,
            None => return Ok(()),
        };
        if kind.since <= oldest {
            return Ok(());
        }
        Err(Problem::new(
            path,
            format!(
                "systemd {oldest} does not know `{}`, and would start the service",
                kind.directive
            ),
            format!(
                "remove it, or write `target = \"{}\"` in `[app]`",
                kind.since
            ),
        ))
    }
}

/// The kind of condition with this key.
fn kind(path: &[&str], key: &str) -> Result<&'static ConditionKind> {
    let mut all = CONDITIONS.iter();
    if let Some(kind) = all.find(|kind| kind.key == key) {
        return Ok(kind);
    }
    let lower = key.to_lowercase().replace('_', "-");
    let of_systemd = lower.strip_prefix("condition").unwrap_or(&lower);
    let mut all = CONDITIONS.iter();
    let same = all.find(|kind| kind.key.replace('-', "") == of_systemd.replace('-', ""));
    let keys: Vec<&str> = CONDITIONS.iter().map(|kind| kind.key).collect();
    let near = same.map(|kind| kind.key).or_else(|| nearest(&lower, &keys));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use one of `{}`", keys.join("`, `")),
    };
    let message = format!("{} is not a condition of systemd", quoted(key));
    Err(Problem::new(path, message, hint))
}
