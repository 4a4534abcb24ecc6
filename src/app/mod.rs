//! What the manifest means: an [`App`] that cannot hold a bad value.
//!
//! [`App::from_manifest`] is the only way to one, besides [`App::from_bundled`] for the app of the package
//! and [`App::from_record`] for what an earlier robotctl recorded. They read nothing from the host, so that the same manifest is the same app everywhere.
//!
//! | file | holds |
//! |---|---|
//! | `read/` | every rule about the meaning of a manifest: tables in, values out |
//! | `application`, `service`, `release`, `sandbox`, `package` | the values |
//! | `names`, `lines`, `listen`, `mode`, `condition` | the parts that they are made of, each valid by construction |
//! | `layout`, `unit_names` | paths and units of an app |
//! | `conflicts` | services that cannot run at the same time |
//! | `placeholders` | the names in braces that texts can contain |
//! | `shape` | what decides the sandbox of a service |
//! | `lints` | what is valid and most likely a mistake |
//! | `canonical` | what two manifests with the same meaning have in common |
//! | `schema` | the JSON schema of the manifest |

mod application;
mod canonical;
mod condition;
mod conflicts;
pub mod layout;
mod lines;
mod lints;
mod listen;
mod mode;
pub mod names;
mod package;
mod patterns;
mod placeholders;
mod read;
mod release;
mod reserved;
mod sandbox;
mod schema;
mod secret_names;
mod service;
mod shape;
mod unit_names;

pub use crate::manifest::HostOverlay;
pub use crate::units::{Target, unit_type};
pub use application::{App, Hooks, Secret};
pub use canonical::Canonical;
pub use condition::{CONDITIONS, Condition, ConditionKind};
pub use layout::{EMPTY_ROOT, Layout};
pub use lines::{Calendar, Device, Line};
pub use lints::{LINTS, Lint, LintFinding, Severity, lint};
pub use listen::Listen;
pub use mode::Mode;
pub use names::{AbsPath, EnvName, Name, Span, Text, UnitName, Version};
pub use package::{InstalledPackage, Package, PackageName, Relation};
pub use patterns::Patterns;
pub(crate) use placeholders::{HOSTNAME, LISTEN_PLACEHOLDERS, NAME_PLACEHOLDERS};
pub use release::{BuildCommand, BuildSandbox, Install, PYTHON_DIR, Python, Release, plain_path};
pub use reserved::{BUNDLED_APP, why_refused_as_package};
pub use sandbox::Sandbox;
pub use schema::schema;
pub(crate) use secret_names::holds_secret;
pub use service::{
    Check, DEFAULT_STOP_SECONDS, Limits, Probe, Restart, SecretVariable, Service, Socket, Timer,
    Type, UnitRef, Upgrade,
};
pub use unit_names::{OLD_SUFFIX, PRE_CHECK_SUFFIX, PROXY_SUFFIX};
