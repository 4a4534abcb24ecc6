//! The plan and its parts, as `--format json` prints them.

use super::rights::Right;
use crate::app::{App, Text};
use crate::provenance::Provenance;
use crate::tree::FileChange;
use schemars::JsonSchema;
use serde::Serialize;

/// How many hexadecimal digits the hash of a plan has.
const HASH_DIGITS: usize = 16;

/// What a deploy or a rollback would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Plan {
    /// The name of the app.
    pub app: String,
    /// The version of the release that becomes live.
    pub version: String,
    /// The id of the live release; `null` if there is none.
    pub from: Option<String>,
    /// The id of the release that becomes live.
    pub to: String,
    /// What was proved of the archive before robotctl read it; absent if nothing was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<Provenance>,
    /// The content of the release.
    pub payload: PayloadPlan,
    /// The keys of the manifest whose values differ from those of the live release. `app.version`
    /// is left out.
    pub manifest: Vec<String>,
    /// The overlay of this host, if it has one or had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<OverlayPlan>,
    /// What is wrong with the `current` link or the directory of the live release, and is
    /// repaired.
    pub repair: Option<String>,
    /// The files outside the release that change, sorted by path.
    pub files: Vec<FileChange>,
    /// The commands that run, in order.
    pub commands: Vec<CommandPlan>,
    /// What the build makes, or takes over from an earlier release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputPlan>,
    /// The accounts that are created, such as `user shop`.
    pub accounts: Vec<String>,
    /// The secrets that are generated, because they do not exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// All units of the app, in the order in which they change.
    pub units: Vec<UnitPlan>,
    /// The rights that the release asks for, beyond those that every app has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<Right>,
    /// What to consider before the plan is applied.
    pub warnings: Vec<String>,
    /// What explains the plan: notes of lints, and measurements such as free memory. Not part of the
    /// hash, because measurements change from one moment to the next.
    pub notes: Vec<String>,
    /// The release that a rollback after this would restore; `null` if there is none. Not part of
    /// the hash.
    pub rollback_target: Option<String>,
}

/// The content of the new release, compared with that of the live one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PayloadPlan {
    /// The number of files and links in the release.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// The size in bytes of the files that are new or changed.
    pub new_bytes: u64,
    /// The bytes that the release takes on disk, in whole blocks, without shared files.
    pub disk_bytes: u64,
    /// The inodes that the release takes, without shared files.
    pub disk_inodes: u64,
    /// The number of files that are shared with the live release through hard links.
    pub shared: usize,
    /// Whether the release is on disk already, so that it takes no more space.
    pub there: bool,
    /// The paths of files and links that the live release does not have.
    pub added: Vec<String>,
    /// The paths of files and links that differ from those of the live release.
    pub changed: Vec<String>,
    /// The paths of files and links that only the live release has.
    pub removed: Vec<String>,
}

/// What some commands of the build make, or what is taken over in place of running them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OutputPlan {
    /// The paths in the release.
    pub paths: Vec<String>,
    /// The release from which they are taken over, so that the commands do not run; `null` if they run.
    pub reused_from: Option<String>,
    /// The number of files and links; `null` if it is not known before the commands run.
    pub files: Option<u64>,
    /// The size of the files in bytes; `null` if it is not known before the commands run.
    pub bytes: Option<u64>,
    /// The release that has so many files and bytes, if the commands run: this release may have more or fewer.
    pub as_in: Option<String>,
    /// Why the commands run although an earlier release has the paths.
    pub why: Option<String>,
}

/// The build of a release, as far as it is known before it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedBuild {
    /// The commands that run.
    pub commands: Vec<CommandPlan>,
    /// What they make, or what is taken over.
    pub outputs: Vec<OutputPlan>,
    /// The bytes on the disk that the outputs take, as far as they are known.
    pub disk_bytes: u64,
    /// The inodes that they take.
    pub disk_inodes: u64,
}

/// A command that a deploy runs.
/// The overlay of this host, `robot.local.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OverlayPlan {
    /// The path of the file.
    pub file: String,
    /// The digest of its text; `null` if the file was removed.
    pub digest: Option<String>,
    /// The keys that it sets, such as `service.web.listen`.
    pub keys: Vec<String>,
    /// The keys whose values differ from those of the overlay with which the live release is live.
    pub changed: Vec<String>,
}

/// A command of the manifest that a deploy runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CommandPlan {
    /// The key of the manifest: `python`, `build`, `before-switch` or `after-switch`.
    pub when: &'static str,
    /// The program and its arguments.
    pub argv: Vec<String>,
}

/// One unit and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnitPlan {
    /// The full name of the unit.
    pub unit: String,
    /// The short name of the service that the unit belongs to; `null` for the app's target.
    pub service: Option<String>,
    /// What happens to the unit.
    pub action: Action,
    /// What has changed in the settings of a service since it started, if it restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// The release that a service goes on to run, because the new release has the same files for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<String>,
    /// The reason, such as `new release`.
    pub why: String,
}

/// What happens to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing happens.
    Unchanged,
    /// Stopped before the switch: the new release does not have the unit, or the unit conflicts with one that
    /// stays up.
    Stop,
    /// Started after the switch.
    Start,
    /// Restarted after the switch. An activated socket queues requests meanwhile.
    Restart,
    /// Restarted while another instance serves requests. No request is lost.
    Overlap,
    /// Stopped before anything is started, then started: an address changes or moves to another
    /// unit. The address refuses connections in between.
    Rebind,
}

impl Action {
    /// Whether the unit is started in the end.
    pub fn starts(self) -> bool {
        !matches!(self, Self::Unchanged | Self::Stop)
    }

    /// The word for it in text output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Overlap => "overlap",
            Self::Rebind => "rebind",
        }
    }
}

impl Plan {
    /// The units with one of these actions.
    pub fn units_with(&self, actions: &[Action]) -> Vec<String> {
        let units = self.units.iter();
        let units = units.filter(|unit| actions.contains(&unit.action));
        units.map(|unit| unit.unit.clone()).collect()
    }

    /// Whether the plan has a unit and does not start it.
    pub fn leaves(&self, unit: &str) -> bool {
        let mut units = self.units.iter();
        units.any(|one| one.unit == unit && !one.action.starts())
    }

    /// The plan for a release that is on disk already: it takes no more space.
    #[must_use]
    pub fn with_staged_release(mut self) -> Self {
        let payload = &mut self.payload;
        if payload.files > 0 {
            (payload.disk_bytes, payload.disk_inodes, payload.shared) = (0, 0, 0);
            payload.there = true;
        }
        self
    }

    /// Adds the commands that a deploy of the app runs, with its build. A rollback runs none of them.
    #[must_use]
    pub fn with_commands(mut self, app: &App, build: PlannedBuild) -> Self {
        if self.from.as_ref() == Some(&self.to) {
            return self;
        }
        self.payload.disk_bytes += build.disk_bytes;
        self.payload.disk_inodes += build.disk_inodes;
        self.outputs = build.outputs;
        self.commands = build.commands;
        let mut add = |when, argv: &[Text]| {
            let argv = argv.iter().map(ToString::to_string).collect();
            self.commands.push(CommandPlan { when, argv });
        };
        let (before, after) = (&app.hooks.before_switch, &app.hooks.after_switch);
        for (when, job) in [("before-switch", before), ("after-switch", after)] {
            if let Some(job) = job {
                job.exec_start_pre.iter().for_each(|argv| add(when, argv));
                add(when, &job.exec);
            }
        }
        self
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        let Self {
            from,
            to,
            files,
            units,
            repair,
            secrets,
            overlay,
            app: _,
            version: _,
            archive: _, // The content is the same.
            payload: _,
            manifest: _, // Other values make another release.
            commands: _,
            outputs: _,
            accounts: _,
            rights: _, // Other rights come from another manifest.
            warnings: _,
            notes: _,
            rollback_target: _,
        } = self;
        from.as_ref() == Some(to)
            && files.is_empty()
            && repair.is_none()
            && secrets.is_empty()
            && overlay
                .as_ref()
                .is_none_or(|overlay| overlay.changed.is_empty())
            && units.iter().all(|unit| unit.action == Action::Unchanged)
    }

    /// A digest of everything that the plan would do.
    pub fn hash(&self) -> String {
        let rights = self.rights.iter().map(|right| Right {
            notes: Vec::new(),
            ..right.clone()
        });
        let stable = Self {
            rights: rights.collect(),
            notes: Vec::new(),
            rollback_target: None,
            ..self.clone()
        };
        let mut hasher = blake3::Hasher::new();
        // Serializing a plan cannot fail, nor can writing to a hasher.
        let _ = serde_json::to_writer(&mut hasher, &stable);
        let digits = hasher.finalize().to_hex();
        digits.chars().take(HASH_DIGITS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;
    use serde_json::Value;

    /// Every property in a schema that has no description.
    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
        match schema {
            Value::Object(object) => {
                let properties = object.get("properties").and_then(Value::as_object);
                for (name, property) in properties.into_iter().flatten() {
                    if property.get("description").is_none() {
                        found.push(format!("{path}.{name}"));
                    }
                }
                for (name, value) in object {
                    undescribed(value, &format!("{path}.{name}"), found);
                }
            }
            Value::Array(values) => {
                for value in values {
                    undescribed(value, path, found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_schema_of_a_plan_describes_every_property() {
        let schema = serde_json::to_value(schemars::schema_for!(Plan)).unwrap();
        assert_eq!(schema["properties"]["to"]["type"], "string");
        let mut found = Vec::new();
        undescribed(&schema, "plan", &mut found);
        // The variants of `Stored` are described as a whole.
        found.retain(|property| !property.starts_with("plan.$defs.Stored."));
        assert!(found.is_empty(), "{found:#?}");
    }
}
