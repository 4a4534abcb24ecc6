//! The tables of `robot.toml`, as serde reads them. The descriptions are those of the schema.

use super::build::Build;
use super::texts::Texts;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

type Map<T> = BTreeMap<String, T>;

/// A manifest, `robot.toml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name, version and user of the app.
    pub app: AppTable,
    /// What a release contains.
    #[serde(default)]
    pub release: ReleaseTable,
    /// Environment variables of every service.
    #[serde(default)]
    pub env: Map<String>,
    /// Secrets, delivered as systemd credentials.
    #[serde(default)]
    pub secret: Vec<SecretTable>,
    /// The services, by short name.
    #[serde(default)]
    pub service: Map<ServiceTable>,
    /// Commands that run once per deploy.
    #[serde(default)]
    pub hooks: HooksTable,
    /// The Debian package that `robotctl package` makes.
    #[serde(default)]
    pub package: PackageTable,
    /// Overlays by name: `--environment staging` deploys the app as `<app>-staging`.
    #[serde(default)]
    pub environment: Map<OverlayTable>,
    /// The manifest as it is written. `parse` sets it.
    #[serde(skip)]
    pub written: toml::Table,
}

/// `[app]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AppTable {
    /// The name of the app: `[a-z][a-z0-9-]*`, at most 31 characters.
    pub name: String,
    /// The version. Starts with a digit, contains `[0-9A-Za-z.+~-]`.
    pub version: String,
    /// One line for `Description=`.
    #[serde(default)]
    pub description: String,
    /// The maintainer: `Name <mail>`.
    pub maintainer: Option<String>,
    /// System user of the services; default: the name of the app.
    pub user: Option<String>,
    /// Group of the services of this user, and of their directories; default: that of the services, else
    /// the name of the user.
    pub group: Option<String>,
    /// Mode of `/var/lib/<app>` (`StateDirectoryMode=`), such as `0750`; default `0750`.
    pub state_mode: Option<String>,
    /// Mode of `/run/<app>` and `/run/<app>/locks` (`RuntimeDirectoryMode=`), such as `2770`, with
    /// which the members of the group can write there; default `0750`.
    pub run_mode: Option<String>,
    /// systemd version of the units: a number, `host` (default) or `portable`.
    pub target: Option<String>,
}

/// `[release]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReleaseTable {
    /// Directory or archive with the files of a release, relative to the manifest; default `.`.
    pub source: Option<String>,
    /// Files to leave out, in gitignore syntax.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Commands that run in the new release before it is used. One is a list, or a table that says what it reads and
    /// makes.
    #[serde(default)]
    pub build: Vec<Build>,
    /// Creates a Python environment, `.venv`, in the release.
    pub python: Option<PythonTable>,
    /// Number of releases to keep on disk; default 5.
    pub keep: Option<u32>,
    /// Time after a deploy, such as `10min`, in which the release is rolled back if one of its
    /// services keeps crashing; default: none.
    pub soak: Option<String>,
    /// Exceptions from the sandbox of `build` and `python`.
    #[serde(default)]
    pub sandbox: BuildSandboxTable,
    /// A group that can read the files of a release, such as `www-data`; default: only root and the
    /// users of the services can.
    pub reader_group: Option<String>,
}

/// `release.sandbox`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BuildSandboxTable {
    /// Names of exceptions: `outbound` opens the network, which a build does not have otherwise.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Addresses and prefixes that the build can connect to, such as `192.0.2.7`.
    #[serde(default)]
    pub outbound: Vec<String>,
}

/// `release.python`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PythonTable {
    /// Requirement files, relative to the source.
    #[serde(default)]
    pub requirements: Vec<String>,
    /// Packages to install: `.[web]` or `./api[web]` for one of the source tree, with extras; anything else is a name
    /// as in a requirements file.
    #[serde(default)]
    pub install: Texts,
    /// Directory of wheels, relative to the source. With it, nothing is downloaded.
    pub wheels: Option<String>,
}

/// `[package]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PackageTable {
    /// Name of the package; default: the name of the app.
    pub name: Option<String>,
    /// `Section:`; default `misc`.
    pub section: Option<String>,
    /// `Depends:`, beside what robotctl finds: one package, or alternatives with `|`, per entry.
    #[serde(default)]
    pub depends: Vec<String>,
    /// `Recommends:`
    #[serde(default)]
    pub recommends: Vec<String>,
    /// `Conflicts:`
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// Debian changelog, relative to the manifest; default: one entry for this version.
    pub changelog: Option<String>,
    /// Short name of the license, such as `MIT`; default: none, all rights are reserved.
    pub license: Option<String>,
}

/// `[[secret]]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretTable {
    /// Name of the credential.
    pub name: String,
    /// Services that receive it; default: all, and none with `build`.
    #[serde(default)]
    pub services: Vec<String>,
    /// Whether `release.build` and pip receive it; default `false`.
    #[serde(default)]
    pub build: bool,
    /// A variable of these commands that has its value, such as `PIP_INDEX_URL`. Implies `build`.
    pub build_env: Option<String>,
    /// `hex:BYTES`: random bytes, generated if the secret does not exist.
    pub generate: Option<String>,
    /// How a service gets it: as a `file` in `$CREDENTIALS_DIRECTORY`, or as an environment variable, `env`; default
    /// `file`.
    pub r#as: Option<String>,
    /// The environment variable of `as = "env"`; default: the name.
    pub variable: Option<String>,
}

impl SecretTable {
    /// Whether the build receives it.
    pub fn is_of_build(&self) -> bool {
        self.build || self.build_env.is_some()
    }
}

/// `[hooks]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HooksTable {
    /// Commands that run before anything live changes. A failure stops the deploy.
    #[serde(default)]
    pub before_switch: Vec<Vec<String>>,
    /// Commands that run when the new release is live. A failure rolls it back.
    #[serde(default)]
    pub after_switch: Vec<Vec<String>>,
    /// Time limit for all commands of a hook together; default `5min`.
    pub timeout: Option<String>,
    /// Preset of exceptions for a runtime, as for a service.
    pub runtime: Option<String>,
    /// Exceptions from the sandbox, as for a service.
    #[serde(default)]
    pub sandbox: SandboxTable,
}

/// The tables with the keys of a service: that of one service, and an overlay, in which they are for every
/// service.
macro_rules! service_tables {
    ($($(#[$about:meta])* pub $key:ident: $type:ty,)*) => {
        /// `[service.NAME]`; in an overlay, only what it changes.
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct ServiceTable {
            $($(#[$about])* pub $key: $type,)*
            /// Addresses: `127.0.0.1:8080`, `[::1]:8080`, `:8080`, `unix:/run/app.sock`. With a name for
            /// sd_listen_fds_with_names(3): `admin=127.0.0.1:8081`.
            #[serde(default)]
            pub listen: Vec<String>,
        }

        /// `[environment.NAME]`, and `robot.local.toml`. A key of a service is for every service here.
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct OverlayTable {
            /// Addresses by service, in place of those of the service.
            #[serde(default)]
            pub listen: Map<Vec<String>>,
            /// Services by short name, each with what changes for it alone.
            #[serde(default)]
            pub service: Map<ServiceTable>,
            $($(#[$about])* pub $key: $type,)*
        }
    };
}

service_tables! {
    /// One line for `Description=`; default: the names of the app and the service.
    pub description: Option<String>,
    /// The command: the program and its arguments.
    pub exec: Option<Vec<String>>,
    /// Commands that run before `exec`.
    #[serde(default)]
    pub exec_start_pre: Vec<Vec<String>>,
    /// Command for `systemctl reload`. The argument `$MAINPID` is the main process.
    #[serde(default)]
    pub exec_reload: Vec<String>,
    /// When the service counts as started (`Type=`): `simple`, `exec` (default), `notify`, `forking`, `oneshot`.
    pub r#type: Option<String>,
    /// Preset of exceptions for a runtime: `gunicorn-20`, `node`, `java`, `luajit`, `dotnet`.
    pub runtime: Option<String>,
    /// Who opens the addresses: `activate` (default; systemd), `proxy` (systemd, and a proxy
    /// forwards connections) or `direct` (the service).
    pub socket: Option<String>,
    /// How a new release takes over: `overlap` (default for `activate` and `proxy`) or `restart`.
    pub upgrade: Option<String>,
    /// Start after these: services of the app by short name, other units by full name.
    #[serde(default)]
    pub after: Vec<String>,
    /// As `after`, and start them too.
    #[serde(default)]
    pub requires: Vec<String>,
    /// As `requires`, but start even if they fail.
    #[serde(default)]
    pub wants: Vec<String>,
    /// Units that cannot run at the same time.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// Whether the service starts with the app; default `true`.
    pub enable: Option<bool>,
    /// User of the service; default: `app.user`. `root` is allowed, and reported.
    pub user: Option<String>,
    /// Group of the service (`Group=`); default: `app.group` for the user of the app, else the name of
    /// the user.
    pub group: Option<String>,
    /// Supplementary groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Working directory; default `{current}`.
    pub working_directory: Option<String>,
    /// When systemd restarts the service (`Restart=`); default `on-failure`, `no` for `oneshot`.
    pub restart: Option<String>,
    /// Time before a restart (`RestartSec=`); default `1s`.
    pub restart_sec: Option<String>,
    /// Time in which starts are counted (`StartLimitIntervalSec=`). With `0s`, there is no limit. Default:
    /// that of systemd, `10s`.
    pub start_limit_interval: Option<String>,
    /// How many starts are allowed in that time (`StartLimitBurst=`); default: that of systemd, 5.
    pub start_limit_burst: Option<u32>,
    /// Conditions (`ConditionPathExists=` and others of systemd.unit(5)): systemd does not start the
    /// service while one is not met.
    #[serde(default)]
    pub condition: Map<Texts>,
    /// Time limit for the start (`TimeoutStartSec=`); default `90s`, no limit for `oneshot`.
    pub timeout_start: Option<String>,
    /// Time limit for the stop (`TimeoutStopSec=`); default `30s`.
    pub timeout_stop: Option<String>,
    /// How long the processes of the previous release may take to end their connections after a deploy,
    /// at most `7d`; default `30s`.
    pub drain: Option<String>,
    /// Time within which the service must report again that it is alive (`WatchdogSec=`).
    pub watchdog: Option<String>,
    /// Resource limits.
    pub limits: Option<LimitsTable>,
    /// Environment variables of this service only.
    #[serde(default)]
    pub env: Map<String>,
    /// Environment variables that the service cannot run without. A deploy is refused unless the
    /// manifest or `/etc/<app>/env` sets each.
    #[serde(default)]
    pub required_env: Vec<String>,
    /// The files of the release that the service uses, relative to the release, in gitignore syntax;
    /// default: all. A release with the same files does not restart the service.
    pub files: Option<Vec<String>>,
    /// Whether a second instance may run during the pre-check; default: yes for a service that
    /// listens, except on a unix socket that it opens itself, with `upgrade = "restart"`, or with
    /// `socket = "direct"` and the exception `loopback`.
    pub pre_check: Option<bool>,
    /// Checks that say whether the service is healthy.
    #[serde(default)]
    pub check: Vec<CheckTable>,
    /// Timer that starts this service.
    pub timer: Option<TimerTable>,
    /// Exceptions from the sandbox.
    #[serde(default)]
    pub sandbox: SandboxTable,
}

/// `service.NAME.limits`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitsTable {
    /// Maximum memory that the service can use (`MemoryMax=`): `350M`, a share of the host's memory such
    /// as `50%`, or `infinity`. Default `75%`.
    pub memory_max: Option<String>,
    /// Maximum processor time, in percent of one CPU (`CPUQuota=`), such as `70%`.
    pub cpu_quota: Option<String>,
    /// Maximum number of processes and threads (`TasksMax=`). Default 4096.
    pub tasks_max: Option<u64>,
    /// Maximum number of open files of a process (`LimitNOFILE=`).
    pub nofile: Option<u64>,
    /// Whether the kernel may write core dumps of the service, which contain its secrets. Without it,
    /// `LimitCORE=0`.
    #[serde(default)]
    pub core_dumps: bool,
    /// Maximum number of lines that the journal keeps of the service in 30 seconds
    /// (`LogRateLimitBurst=`). Default 10000.
    pub log_lines: Option<u64>,
}

/// One entry of `service.NAME.check`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CheckTable {
    /// A path to GET on the service's first address, or a whole `http://` address.
    pub http: Option<String>,
    /// Expected status code; default 200.
    pub status: Option<u16>,
    /// Text that the body must contain.
    pub contains: Option<String>,
    /// Headers that the response must have, by name.
    #[serde(default)]
    pub header: Map<String>,
    /// Values that the JSON body must have, by JSON pointer: `{ "/status" = "ok" }`.
    #[serde(default)]
    #[schemars(with = "Map<serde_json::Value>")]
    pub json: Map<toml::Value>,
    /// Address, `127.0.0.1:5432`, that must accept connections.
    pub tcp: Option<String>,
    /// Path of a unix socket that must accept connections.
    pub unix: Option<String>,
    /// Command that must exit with code 0.
    pub command: Option<Vec<String>>,
    /// `true`: run the job that the timer starts, once; it must succeed.
    pub job: Option<bool>,
    /// The service must stay active for this long without a restart.
    pub settle: Option<String>,
    /// How long to retry; default `30s`, `5min` for `job`.
    pub within: Option<String>,
}

/// `service.NAME.timer`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimerTable {
    /// When the job runs (`OnCalendar=`), such as `daily`.
    pub calendar: Option<String>,
    /// Time after the boot at which the job runs (`OnBootSec=`).
    pub on_boot: Option<String>,
    /// Time after the last start at which the job runs again (`OnUnitActiveSec=`).
    pub on_unit_active: Option<String>,
    /// Whether a run that was missed while the host was off takes place after the boot
    /// (`Persistent=`); default `false`.
    #[serde(default)]
    pub persistent: bool,
    /// Longest random delay of a run (`RandomizedDelaySec=`).
    pub randomized_delay: Option<String>,
}

/// `service.NAME.sandbox`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SandboxTable {
    /// Names of exceptions, such as `outbound`.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Addresses and prefixes that the service can connect to, such as `192.0.2.0/24`.
    #[serde(default)]
    pub outbound: Vec<String>,
    /// Addresses and prefixes that can connect to the public addresses of the service; default: every
    /// address.
    pub allow_from: Option<Vec<String>>,
    /// Capabilities that the service keeps, such as `CAP_SYS_PTRACE`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Devices that the service can use, such as `/dev/spidev0.0 rw`.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Paths that the service can write, besides its state directories.
    #[serde(default)]
    pub read_write: Vec<String>,
    /// Paths that the service can see; `from:to` shows one at another place.
    #[serde(default)]
    pub read_only: Vec<String>,
    /// Raw systemd directives. They override everything else.
    #[serde(default)]
    pub directives: Map<String>,
}
