//! The tables of `robot.toml`, as serde sees them. No rule lives here.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

type Map<T> = BTreeMap<String, T>;

/// The whole of `robot.toml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Who the application is.
    pub app: AppTable,
    /// What a release is made of.
    #[serde(default)]
    pub release: ReleaseTable,
    /// Plain environment of every service.
    #[serde(default)]
    pub env: Map<String>,
    /// Secrets, delivered as systemd credentials.
    #[serde(default)]
    pub secret: Vec<SecretTable>,
    /// The services, by short name.
    #[serde(default)]
    pub service: Map<ServiceTable>,
    /// Commands run once a deploy.
    #[serde(default)]
    pub hooks: HooksTable,
    /// Overlays by name: `--environment staging` deploys as `<app>-staging`.
    #[serde(default)]
    pub environment: Map<OverlayTable>,
    /// All of it, as it is written: [`super::parse`] fills it in.
    #[serde(skip)]
    pub written: toml::Table,
}

/// `[app]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AppTable {
    /// `[a-z][a-z0-9-]*`, at most 31 characters.
    pub name: String,
    /// Begins with a digit; `[0-9A-Za-z.+~-]`.
    pub version: String,
    /// One line for `Description=`.
    #[serde(default)]
    pub description: String,
    /// `Name <mail>`.
    pub maintainer: Option<String>,
    /// System user of the services; default: the name.
    pub user: Option<String>,
    /// systemd version to write for: a number, `host` (default) or `portable`.
    pub target: Option<String>,
}

/// `[release]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReleaseTable {
    /// Directory or archive, relative to the manifest; default `.`.
    pub source: Option<String>,
    /// What stays out of a release, in gitignore syntax.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Commands run in the staged tree.
    #[serde(default)]
    pub build: Vec<Build>,
    /// Makes `.venv` in the release.
    pub python: Option<PythonTable>,
    /// How many releases stay on disk; default 5.
    pub keep: Option<u32>,
    /// For how long after a deploy the release is watched, and put back when a service starts
    /// to loop, such as `10min`; default: it is not.
    pub soak: Option<String>,
}

/// One build command: its arguments.
pub type Build = Vec<String>;

/// `release.python`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PythonTable {
    /// Requirement files, relative to the source.
    pub requirements: Vec<String>,
    /// Directory of wheels, relative to the source: nothing is fetched.
    pub wheels: Option<String>,
}

/// `[[secret]]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretTable {
    /// The credential's name.
    pub name: String,
    /// Services that get it; default: all.
    #[serde(default)]
    pub services: Vec<String>,
    /// `hex:BYTES`: made once if absent.
    pub generate: Option<String>,
}

/// `[hooks]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HooksTable {
    /// Run before anything live changes: a failure stops the deploy.
    #[serde(default)]
    pub before_switch: Vec<Vec<String>>,
    /// Run once the new release is live: a failure puts the old one back.
    #[serde(default)]
    pub after_switch: Vec<Vec<String>>,
    /// How long the commands of one hook may take together; default `5min`.
    pub timeout: Option<String>,
    /// Preset of exceptions for a runtime, as a service has it.
    pub runtime: Option<String>,
    /// Named exceptions from the sandbox, as a service has them.
    #[serde(default)]
    pub sandbox: SandboxTable,
}

/// `[service.NAME]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServiceTable {
    /// One line for `Description=`; default made of the app's and the service's name.
    pub description: Option<String>,
    /// The command, one string an argument.
    pub exec: Vec<String>,
    /// Commands before it, each its arguments.
    #[serde(default)]
    pub exec_start_pre: Vec<Vec<String>>,
    /// Command for `systemctl reload`; the argument `$MAINPID` is the main process.
    #[serde(default)]
    pub exec_reload: Vec<String>,
    /// systemd's `Type=`: `simple`, `exec` (default), `notify`, `forking`, `oneshot`.
    pub r#type: Option<String>,
    /// Preset of exceptions for a runtime: `gunicorn-20`, `node`, `java`, `luajit`, `dotnet`.
    pub runtime: Option<String>,
    /// Addresses: `127.0.0.1:8080`, `[::1]:8080`, `:8080`, `unix:/run/app.sock`; with a name for
    /// sd_listen_fds_with_names(3): `admin=127.0.0.1:8081`.
    #[serde(default)]
    pub listen: Vec<String>,
    /// `activate` (default), `proxy`, `direct`.
    pub socket: Option<String>,
    /// `overlap` (default with `activate`) or `restart`.
    pub upgrade: Option<String>,
    /// This app's services by short name; other units by full name.
    #[serde(default)]
    pub after: Vec<String>,
    /// As `after`, and starts them too.
    #[serde(default)]
    pub requires: Vec<String>,
    /// As `requires`, but their failure is borne.
    #[serde(default)]
    pub wants: Vec<String>,
    /// Cannot run beside these.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// `false`: installed, not started by itself.
    pub enable: Option<bool>,
    /// Another user than the app's; `root` is allowed and shown.
    pub user: Option<String>,
    /// Supplementary groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Default `{current}`.
    pub working_directory: Option<String>,
    /// systemd's `Restart=`; default `on-failure`, `no` for `oneshot`.
    pub restart: Option<String>,
    /// systemd's time span.
    pub timeout_start: Option<String>,
    /// systemd's time span.
    pub timeout_stop: Option<String>,
    /// systemd's time span for `WatchdogSec=`.
    pub watchdog: Option<String>,
    /// Resource limits.
    pub limits: Option<LimitsTable>,
    /// Plain environment of this service alone.
    #[serde(default)]
    pub env: Map<String>,
    /// Whether a second copy may run for a moment; default: when it listens and overlaps or
    /// binds its own address.
    pub pre_check: Option<bool>,
    /// Smoke checks after a deploy.
    #[serde(default)]
    pub check: Vec<CheckTable>,
    /// Makes a timer that starts this service.
    pub timer: Option<TimerTable>,
    /// Named exceptions from the sandbox.
    #[serde(default)]
    pub sandbox: SandboxTable,
}

/// `service.NAME.limits`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitsTable {
    /// `MemoryMax=`, such as `350M`.
    pub memory_max: Option<String>,
    /// `CPUQuota=`, such as `70%`.
    pub cpu_quota: Option<String>,
    /// `TasksMax=`.
    pub tasks_max: Option<u64>,
    /// `LimitNOFILE=`.
    pub nofile: Option<u64>,
}

/// One entry of `service.NAME.check`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CheckTable {
    /// A path to GET on the service's first address, or a whole `http://` address.
    pub http: Option<String>,
    /// Expected status; default 200.
    pub status: Option<u16>,
    /// Text that the body must contain.
    pub contains: Option<String>,
    /// Headers that the answer must have, by name.
    #[serde(default)]
    pub header: Map<String>,
    /// Values that the body, as JSON, must have, by pointer: `{ "/status" = "ok" }`.
    #[serde(default)]
    #[schemars(with = "Map<serde_json::Value>")]
    pub json: Map<toml::Value>,
    /// `host:port` that must accept.
    pub tcp: Option<String>,
    /// Path of a unix socket that must accept.
    pub unix: Option<String>,
    /// Command that must exit 0.
    pub command: Option<Vec<String>>,
    /// `true`: the job that a timer starts is run once and must succeed.
    pub job: Option<bool>,
    /// Must stay active without a restart for this long.
    pub settle: Option<String>,
    /// Keep trying for this long; default `30s`.
    pub within: Option<String>,
}

/// `service.NAME.timer`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimerTable {
    /// `OnCalendar=`.
    pub calendar: Option<String>,
    /// `OnBootSec=`.
    pub on_boot: Option<String>,
    /// `OnUnitActiveSec=`.
    pub on_unit_active: Option<String>,
    /// `Persistent=`.
    #[serde(default)]
    pub persistent: bool,
    /// `RandomizedDelaySec=`.
    pub randomized_delay: Option<String>,
}

/// `service.NAME.sandbox`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SandboxTable {
    /// Named, documented exceptions.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Capabilities, such as `CAP_SYS_PTRACE`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Device nodes with access, such as `/dev/spidev0.0 rw`.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Paths that are writable besides the state directories.
    #[serde(default)]
    pub read_write: Vec<String>,
    /// Paths that are visible; `from:to` shows one elsewhere.
    #[serde(default)]
    pub read_only: Vec<String>,
    /// Exact systemd directives, last word.
    #[serde(default)]
    pub directives: Map<String>,
}

/// `[environment.NAME]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OverlayTable {
    /// Replaces the addresses of a service.
    #[serde(default)]
    pub listen: Map<Vec<String>>,
    /// Added to the app's environment.
    #[serde(default)]
    pub env: Map<String>,
}
