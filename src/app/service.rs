//! One service, valid by construction.

use super::lines::{Calendar, Line};
use super::listen::Listen;
use super::names::{EnvName, Name, Span, Text, UnitName};
use super::sandbox::Sandbox;

/// systemd's `Type=` (systemd.service(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Started once forked.
    Simple,
    /// Started once executed: the default.
    Exec,
    /// Started once it says READY.
    Notify,
    /// Started once the first process has gone.
    Forking,
    /// Done once it has ended.
    Oneshot,
}

impl Type {
    /// The words of `Type=` and what they mean here.
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
    /// systemd, which hands it over: no request is lost through a restart.
    Activate,
    /// systemd, and `robotctl relay` passes bytes on.
    Proxy,
    /// The service itself.
    Direct,
}

/// How a new release takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// A stand-in answers on the same socket meanwhile.
    Overlap,
    /// Plain restart; an activated socket keeps requests waiting.
    Restart,
}

/// What a smoke check looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// GET on an address; `None` is the service's first address.
    Http {
        /// Host and port, when not the service's own.
        address: Option<std::net::SocketAddr>,
        /// Begins with `/`.
        path: Text,
        /// Expected status.
        status: u16,
        /// Text that the body must hold.
        contains: Option<Text>,
        /// Headers that the answer must have.
        headers: Vec<(Text, Text)>,
        /// Values that the body must have as JSON, by pointer (RFC 6901).
        json: Vec<(Text, serde_json::Value)>,
    },
    /// A TCP address accepts.
    Tcp(std::net::SocketAddr),
    /// A unix socket accepts.
    Unix(super::names::AbsPath),
    /// The job that a timer starts is run once and succeeds.
    Job,
    /// A command exits 0.
    Command(Vec<Text>),
    /// Stays active, without a restart, for this long.
    Settle(Span),
}

/// One smoke check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it looks at.
    pub probe: Probe,
    /// It is tried again until this has passed.
    pub within: Span,
}

/// Resource limits (systemd.resource-control(5)).
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
}

impl Limits {
    /// Directive and value of each limit that is set.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let Self {
            memory_max,
            cpu_quota,
            tasks_max,
            nofile,
        } = self;
        let all = [
            ("MemoryMax", memory_max.clone()),
            ("CPUQuota", cpu_quota.clone()),
            ("TasksMax", tasks_max.map(|value| value.to_string())),
            ("LimitNOFILE", nofile.map(|value| value.to_string())),
        ];
        all.into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect()
    }
}

/// What starts a oneshot (systemd.timer(5)).
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

/// A unit of this app or of another package, by its whole name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitRef {
    /// A service of this app, by its short name.
    Own(Name),
    /// Another unit.
    Other(UnitName),
}

/// How long a service has to end when it is told to, in seconds, unless its manifest says so.
pub const DEFAULT_STOP_SECONDS: u64 = 30;

/// One service of an app.
#[derive(Debug, Clone)]
pub struct Service {
    /// Short name; the unit is `<app>-<name>.service`.
    pub name: Name,
    /// `Description=`
    pub description: Line,
    /// Absolute program and its arguments, placeholders replaced.
    pub exec: Vec<Text>,
    /// `ExecStartPre=`
    pub exec_start_pre: Vec<Vec<Text>>,
    /// `ExecReload=`
    pub exec_reload: Vec<Text>,
    /// `Type=`
    pub kind: Type,
    /// Addresses.
    pub listen: Vec<Listen>,
    /// The name of each address, by which the service tells its sockets apart; none or all have one.
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
    /// Whether it is started with the app.
    pub enable: bool,
    /// `User=`
    pub user: Name,
    /// `SupplementaryGroups=`
    pub groups: Vec<Name>,
    /// `WorkingDirectory=`
    pub working_directory: super::names::AbsPath,
    /// `Restart=`
    pub restart: &'static str,
    /// `TimeoutStartSec=`
    pub timeout_start: Span,
    /// `TimeoutStopSec=`; [`DEFAULT_STOP_SECONDS`] when the manifest says nothing.
    pub timeout_stop: Span,
    /// `WatchdogSec=`
    pub watchdog: Option<Span>,
    /// Limits.
    pub limits: Limits,
    /// The app's environment and the service's own, merged.
    pub env: Vec<(EnvName, Text)>,
    /// Credentials: names under `/etc/<app>/credentials`.
    pub secrets: Vec<EnvName>,
    /// Whether a second copy may run beside the live one, so that a new release can be tried
    /// before anything live is touched.
    pub pre_check: bool,
    /// Smoke checks.
    pub checks: Vec<Check>,
    /// The timer that starts it.
    pub timer: Option<Timer>,
    /// Exceptions.
    pub sandbox: Sandbox,
}

impl Service {
    /// Whether systemd holds the listening socket.
    pub fn has_socket_unit(&self) -> bool {
        !self.listen.is_empty() && self.socket != Socket::Direct
    }

    /// Whether a stand-in can answer while it restarts.
    pub fn overlaps(&self) -> bool {
        self.upgrade == Upgrade::Overlap && self.has_socket_unit()
    }

    /// Whether it is meant to run all the time once the app is started.
    pub fn is_daemon(&self) -> bool {
        self.enable && self.kind != Type::Oneshot && self.timer.is_none()
    }
}
