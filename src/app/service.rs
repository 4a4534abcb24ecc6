//! One service, valid by construction.

use super::condition::Condition;
use super::lines::{Calendar, Line};
use super::listen::Listen;
use super::names::{EnvName, Name, Span, Text, UnitName};
use super::patterns::Patterns;
use super::sandbox::Sandbox;
use crate::sandbox::prefix::Prefix;

/// systemd's `Type=` (systemd.service(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Started when it is forked.
    Simple,
    /// Started when its program is executed: the default.
    Exec,
    /// Started when it reports READY.
    Notify,
    /// Started when the first process exits.
    Forking,
    /// A job: started when it has ended.
    Oneshot,
}

impl Type {
    /// The words of `Type=`.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("simple", Self::Simple),
        ("exec", Self::Exec),
        ("notify", Self::Notify),
        ("forking", Self::Forking),
        ("oneshot", Self::Oneshot),
    ];

    /// The word.
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("exec", |(word, _)| word)
    }
}

/// Who opens the listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket {
    /// systemd, which passes it to the service: a restart loses no request.
    Activate,
    /// systemd, and `robotctl relay` forwards connections to the service.
    Proxy,
    /// The service itself.
    Direct,
}

/// How a new release takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// The processes of the previous release answer until the new release does.
    Overlap,
    /// A restart. With an activated socket, requests wait.
    Restart,
}

/// What a check examines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// The response to an HTTP GET request.
    Http {
        /// IP address and port; `None` is the service's first address.
        address: Option<std::net::SocketAddr>,
        /// Starts with `/`.
        path: Text,
        /// Expected status code.
        status: u16,
        /// Text that the body must contain.
        contains: Option<Text>,
        /// Headers that the response must have.
        headers: Vec<(Text, Text)>,
        /// Values that the JSON body must have, by JSON pointer (RFC 6901).
        json: Vec<(Text, serde_json::Value)>,
    },
    /// A TCP address accepts connections.
    Tcp(std::net::SocketAddr),
    /// A unix socket accepts connections.
    Unix(super::names::AbsPath),
    /// The job that a timer starts runs once and succeeds.
    Job,
    /// A command exits with code 0.
    Command(Vec<Text>),
    /// The service stays active for this long without a restart.
    Settle(Span),
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it examines.
    pub probe: Probe,
    /// How long it is retried.
    pub within: Span,
}

/// Resource limits (systemd.resource-control(5), systemd.exec(5)). [`Limits::lines`] adds the defaults.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// `MemoryMax=`
    pub memory_max: Option<String>,
    /// `CPUQuota=`
    pub cpu_quota: Option<String>,
    /// `TasksMax=`
    pub tasks_max: Option<u64>,
    /// `LimitNOFILE=`
    pub nofile: Option<u64>,
    /// Whether the kernel may write core dumps: without it, `LimitCORE=0`.
    pub core_dumps: bool,
    /// `LogRateLimitBurst=`: the lines in each [`LOG_INTERVAL`].
    pub log_lines: Option<u64>,
}

/// `MemoryMax=` by default: a share of the memory of the host, so that the host itself goes on.
const DEFAULT_MEMORY_MAX: &str = "75%";
/// `MemorySwapMax=` by default. With [`DEFAULT_MEMORY_MAX`], a service holds no more in memory and in swap than
/// the host has memory: `MemoryMax=` alone would let it fill the swap of the host.
const DEFAULT_SWAP_MAX: &str = "25%";
/// `TasksMax=` by default: a Java server with a thread for each of a thousand connections stays below.
const DEFAULT_TASKS_MAX: u64 = 4096;
/// systemd's default for `LimitNOFILE=`, which a process can raise its own limit to (systemd.exec(5)).
const SYSTEMD_NOFILE: u64 = 524_288;
/// `LogRateLimitBurst=` by default.
const DEFAULT_LOG_LINES: u64 = 10_000;
/// `LogRateLimitIntervalSec=`.
const LOG_INTERVAL: &str = "30s";

impl Limits {
    /// The limits that allow more than the defaults, as the manifest writes them. A size in bytes is none:
    /// whether it is more depends on the host.
    pub fn above_default(&self) -> Vec<String> {
        let share = |text: &str| text.strip_suffix('%')?.parse::<u64>().ok();
        let default = share(DEFAULT_MEMORY_MAX);
        let memory = self.memory_max.as_deref();
        let memory = memory.filter(|text| *text == "infinity" || share(text) > default);
        let tasks = self.tasks_max.filter(|value| *value > DEFAULT_TASKS_MAX);
        let nofile = self.nofile.filter(|value| *value > SYSTEMD_NOFILE);
        let lines = self.log_lines.filter(|value| *value > DEFAULT_LOG_LINES);
        let all = [
            memory.map(|value| format!("memory-max {value}")),
            tasks.map(|value| format!("tasks-max {value}")),
            nofile.map(|value| format!("nofile {value}")),
            self.core_dumps.then(|| "core-dumps".to_owned()),
            lines.map(|value| format!("log-lines {value}")),
        ];
        all.into_iter().flatten().collect()
    }

    /// The directive and value of each limit, with the defaults.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let Self {
            memory_max,
            cpu_quota,
            tasks_max,
            nofile,
            core_dumps,
            log_lines,
        } = self;
        let memory_max = memory_max.as_deref().unwrap_or(DEFAULT_MEMORY_MAX);
        // Without a limit of memory, one of swap would not protect the host.
        let swap_max = (memory_max != "infinity").then(|| DEFAULT_SWAP_MAX.to_owned());
        let tasks_max = tasks_max.unwrap_or(DEFAULT_TASKS_MAX);
        let log_lines = log_lines.unwrap_or(DEFAULT_LOG_LINES);
        let all = [
            ("MemoryMax", Some(memory_max.to_owned())),
            ("MemorySwapMax", swap_max),
            ("CPUQuota", cpu_quota.clone()),
            ("TasksMax", Some(tasks_max.to_string())),
            ("LimitNOFILE", nofile.map(|value| value.to_string())),
            ("LimitCORE", (!core_dumps).then(|| "0".to_owned())),
            ("LogRateLimitIntervalSec", Some(LOG_INTERVAL.to_owned())),
            ("LogRateLimitBurst", Some(log_lines.to_string())),
        ];
        all.into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect()
    }
}

/// What starts a job (systemd.timer(5)).
#[derive(Debug, Clone)]
pub struct Timer {
    /// `OnCalendar=`
    pub calendar: Option<Calendar>,
    /// `OnBootSec=`
    pub on_boot: Option<Span>,
    /// `OnUnitActiveSec=`
    pub on_unit_active: Option<Span>,
    /// `Persistent=`
    pub persistent: bool,
    /// `RandomizedDelaySec=`
    pub randomized_delay: Option<Span>,
}

/// A unit that a service refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitRef {
    /// A service of this app, by its short name.
    Own(Name),
    /// Another unit, by its full name.
    Other(UnitName),
}

/// When systemd restarts a service, and how often it may start (systemd.service(5), "Restart=";
/// systemd.unit(5), "StartLimitIntervalSec="). A limit that is missing is systemd's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// `Restart=`
    pub when: &'static str,
    /// `RestartSec=`
    pub after: Span,
    /// `StartLimitIntervalSec=`
    pub limit_interval: Option<Span>,
    /// `StartLimitBurst=`
    pub limit_burst: Option<u32>,
}

/// The default of `RestartSec=`, in seconds.
const DEFAULT_RESTART_SECONDS: u64 = 1;

impl Restart {
    /// With this word for `Restart=`, and defaults.
    pub fn when(word: &'static str) -> Self {
        Self {
            when: word,
            after: Span::seconds(DEFAULT_RESTART_SECONDS),
            limit_interval: None,
            limit_burst: None,
        }
    }

    /// Never.
    pub fn never() -> Self {
        Self::when("no")
    }

    /// The directive and value of each limit.
    pub fn limits(&self) -> Vec<(&'static str, String)> {
        let interval = self.limit_interval.as_ref().map(|span| span.text.clone());
        let burst = self.limit_burst.map(|burst| burst.to_string());
        let all = [
            ("StartLimitIntervalSec", interval),
            ("StartLimitBurst", burst),
        ];
        all.into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect()
    }
}

/// The default of `TimeoutStopSec=`, in seconds.
pub const DEFAULT_STOP_SECONDS: u64 = 30;

/// The default of `drain`, in seconds.
pub(super) const DEFAULT_DRAIN_SECONDS: u64 = 30;

/// One service of an app.
#[derive(Debug, Clone)]
pub struct Service {
    /// Short name; the unit is `<app>-<name>.service`.
    pub name: Name,
    /// `Description=`
    pub description: Line,
    /// The program, an absolute path, and its arguments. Placeholders are replaced.
    pub exec: Vec<Text>,
    /// `ExecStartPre=`
    pub exec_start_pre: Vec<Vec<Text>>,
    /// `ExecReload=`
    pub exec_reload: Vec<Text>,
    /// `Type=`
    pub kind: Type,
    /// Addresses.
    pub listen: Vec<Listen>,
    /// The name of each address, for sd_listen_fds_with_names(3). All have one, or none.
    pub listen_names: Vec<Name>,
    /// Who opens them.
    pub socket: Socket,
    /// How a new release takes over.
    pub upgrade: Upgrade,
    /// `After=`
    pub after: Vec<UnitRef>,
    /// `Requires=` and `After=`
    pub requires: Vec<UnitRef>,
    /// `Wants=` and `After=`
    pub wants: Vec<UnitRef>,
    /// `Conflicts=`
    pub conflicts: Vec<UnitRef>,
    /// Whether it starts with the app.
    pub enable: bool,
    /// `User=`
    pub user: Name,
    /// `Group=`
    pub group: Name,
    /// `SupplementaryGroups=`
    pub groups: Vec<Name>,
    /// `WorkingDirectory=`
    pub working_directory: super::names::AbsPath,
    /// When systemd restarts it.
    pub restart: Restart,
    /// When it may start.
    pub conditions: Vec<Condition>,
    /// `TimeoutStartSec=`
    pub timeout_start: Span,
    /// `TimeoutStopSec=`; default [`DEFAULT_STOP_SECONDS`].
    pub timeout_stop: Span,
    /// How long the processes of the previous release may take to end their connections; default
    /// [`DEFAULT_DRAIN_SECONDS`].
    pub drain: Span,
    /// `WatchdogSec=`
    pub watchdog: Option<Span>,
    /// Limits.
    pub limits: Limits,
    /// Environment variables of the app and the service, merged.
    pub env: Vec<(EnvName, Text)>,
    /// Variables that the environment must have: from the manifest or from `/etc/<app>/env`.
    pub required_env: Vec<EnvName>,
    /// Secrets: names of files in `/etc/<app>/credentials`.
    pub secrets: Vec<EnvName>,
    /// Those of the secrets that it gets as environment variables, too.
    pub secret_variables: Vec<SecretVariable>,
    /// The files of a release that it uses; `None` for all. It is not restarted for a release that has the
    /// same ones.
    pub files: Option<Patterns>,
    /// Whether a second instance may run during the pre-check.
    pub pre_check: bool,
    /// Checks that say whether it is healthy.
    pub checks: Vec<Check>,
    /// The timer that starts it.
    pub timer: Option<Timer>,
    /// Exceptions from the sandbox.
    pub sandbox: Sandbox,
}

/// A secret that a service gets as an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVariable {
    /// The name of the secret.
    pub secret: EnvName,
    /// The name of the variable.
    pub variable: EnvName,
}

impl Service {
    /// Whether systemd opens the listening socket.
    pub fn has_socket_unit(&self) -> bool {
        !self.listen.is_empty() && self.socket != Socket::Direct
    }

    /// Whether the previous release answers until the new one does.
    pub fn overlaps(&self) -> bool {
        self.upgrade == Upgrade::Overlap && self.has_socket_unit()
    }

    /// Who may connect to its public addresses: the listed addresses, and this host, so that checks
    /// work. Empty for everyone.
    pub fn clients(&self) -> Vec<Prefix> {
        if self.sandbox.allow_from.is_empty() {
            return Vec::new();
        }
        // A client on this host has the address that it connects to.
        let own = self.listen.iter().filter_map(Listen::local_address);
        let own = own.map(|address| Prefix::host(address.ip()));
        let loopback = Prefix::LOOPBACK.into_iter();
        let listed = self.sandbox.allow_from.iter().copied();
        loopback.chain(listed).chain(own).collect()
    }

    /// Whether it runs and ends.
    pub fn is_job(&self) -> bool {
        self.timer.is_some() || self.kind == Type::Oneshot
    }

    /// Whether it runs as long as the app does.
    pub fn is_daemon(&self) -> bool {
        self.enable && !self.is_job()
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn only_limits_above_the_defaults_are_listed() {
        let limits = |memory: &str, tasks| Limits {
            memory_max: Some(memory.to_owned()),
            tasks_max: Some(tasks),
            ..Limits::default()
        };
        for (one, listed) in [
            (Limits::default(), &[][..]),
            (limits("50%", 4096), &[]),
            (limits("75%", 64), &[]),
            (limits("64G", 1), &[]),
            (limits("100%", 4097), &["memory-max 100%", "tasks-max 4097"]),
            (limits("infinity", 1), &["memory-max infinity"]),
        ] {
            assert_eq!(one.above_default(), listed, "{one:?}");
        }
    }
}
