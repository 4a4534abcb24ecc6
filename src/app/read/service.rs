//! `[service.NAME]`.

use super::reader::{Path, Policy, Reader, get, one_of, quoted};
use super::timer::timer;
use crate::app::application::Hooks;
use crate::app::listen::Listen;
use crate::app::names::{EnvName, Name, Span, Text, UnitName};
use crate::app::service::{
    DEFAULT_DRAIN_SECONDS, DEFAULT_STOP_SECONDS, Limits, Restart, Service, Socket, Type, UnitRef,
    Upgrade,
};
use crate::app::unit_names::{OLD_SUFFIX, PRE_CHECK_SUFFIX, PROXY_SUFFIX};
use crate::manifest::{LimitsTable, NO_TIMEOUT, Problem, Result, ServiceTable};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest `timeout-start` and `timeout-stop`. A deploy or a rollback waits as long for a service that
/// hangs. The start of a job is its whole run, which no deploy waits for if it has a timer.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// The longest `drain`.
const MAX_DRAIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// The variable that many programs read their port from.
const PORT: &str = "PORT";

impl Reader<'_> {
    pub(super) fn service(&self, key: &str, table: &ServiceTable) -> Result<Service> {
        self.policy.enforce(check_name(key))?;
        self.any_service(key, table)
    }

    /// A service of the manifest, or a job with a name that services cannot have.
    pub(super) fn any_service(&self, key: &str, table: &ServiceTable) -> Result<Service> {
        let at = |last: &'static str| ["service", key, last];
        let name = get(&["service", key], key, "a name for a service", Name::parse)?;
        let description = match &table.description {
            Some(text) => self.line(&at("description"), text)?,
            None => self.line(&at("description"), &format!("{} {key}", self.name))?,
        };
        let kind = match &table.r#type {
            Some(text) => one_of(&at("type"), text, &Type::WORDS)?,
            None if table.timer.is_some() => Type::Oneshot,
            None => Type::Exec,
        };
        let (listen, listen_names) = self.listen(key, table)?;
        let (socket, upgrade) = modes(key, table, kind, &listen)?;
        check_socket_names(&at("listen"), socket, &listen_names)?;
        self.policy
            .enforce(self.opened_by_root(&at("listen"), key, socket, &listen))?;
        let user = match &table.user {
            Some(user) => get(&at("user"), user, "a user name", Name::parse)?,
            None => self.user.clone(),
        };
        let groups = table.groups.iter();
        let groups = groups.map(|text| get(&at("groups"), text, "a group name", Name::parse));
        let working = table.working_directory.as_deref().unwrap_or("{current}");
        let span = |last: &'static str, text: &Option<String>| match text {
            Some(text) => get(&at(last), text, "a time span", span_rule(last)).map(Some),
            None => Ok(None),
        };
        let start = span("timeout-start", &table.timeout_start)?;
        let stop = span("timeout-stop", &table.timeout_stop)?;
        let secrets = self.secrets_of(key)?;
        Ok(Service {
            description,
            exec: self.exec(key, table)?,
            exec_start_pre: self.commands(&at("exec-start-pre"), &table.exec_start_pre)?,
            exec_reload: if table.exec_reload.is_empty() {
                Vec::new()
            } else {
                self.command(&at("exec-reload"), &table.exec_reload)?
            },
            kind,
            socket,
            upgrade,
            after: self.units(&at("after"), key, &table.after)?,
            requires: self.units(&at("requires"), key, &table.requires)?,
            wants: self.units(&at("wants"), key, &table.wants)?,
            conflicts: self.units(&at("conflicts"), key, &table.conflicts)?,
            enable: table.enable.unwrap_or(true),
            group: self.group_of(key, table, &user)?,
            user,
            groups: groups.collect::<Result<_>>()?,
            working_directory: self.path(&at("working-directory"), working)?,
            restart: restarts(self.policy, key, table, kind)?,
            conditions: self.conditions(key, table)?,
            timeout_start: start_time(self.policy, key, start, kind)?,
            timeout_stop: stop_time(self.policy, key, stop)?,
            drain: drain(self.policy, &at("drain"), span("drain", &table.drain)?)?,
            watchdog: span("watchdog", &table.watchdog)?,
            limits: limits(self.policy, key, table.limits.as_ref())?,
            env: self.env(key, table, socket, &listen)?,
            required_env: required_env(key, table)?,
            secret_variables: self.secret_variables(key, &secrets)?,
            secrets,
            files: self.files(&at("files"), table.files.as_ref(), kind)?,
            pre_check: pre_check(self.policy, key, table, socket, upgrade, &listen)?,
            checks: self.checks(key, table, &listen)?,
            timer: timer(key, table.timer.as_ref(), kind)?,
            sandbox: {
                let sandbox = self.sandbox(key, table.runtime.as_deref(), &table.sandbox)?;
                let rule = self.check_packets(key, table, socket, &listen, &sandbox);
                self.policy.enforce(rule)?;
                sandbox
            },
            name,
            listen,
            listen_names,
        })
    }

    /// The program and its arguments. An overlay need not name them, so the key is required here.
    fn exec(&self, key: &str, table: &ServiceTable) -> Result<Vec<Text>> {
        match &table.exec {
            Some(argv) => self.command(&["service", key, "exec"], argv),
            None => {
                let hint = "add it to this table";
                Err(Problem::new(&["service", key], "missing key `exec`", hint))
            }
        }
    }

    /// Addresses, and their names if they have any.
    pub(super) fn listen(
        &self,
        key: &str,
        table: &ServiceTable,
    ) -> Result<(Vec<Listen>, Vec<Name>)> {
        let texts = &table.listen;
        let path = ["service", key, "listen"];
        let mut out = Vec::new();
        let mut names = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let index = index.to_string();
            let path: Vec<&str> = path.iter().copied().chain([index.as_str()]).collect();
            let text = self.expand(&path, text)?;
            let address = match text.split_once('=') {
                Some((name, address)) if !name.contains([':', '/']) => {
                    names.push(get(&path, name, "a name for a socket", Name::parse)?);
                    address
                }
                _ => &text,
            };
            let listen = Listen::parse(address).map_err(|clause| {
                let message = format!("{} is not an address to listen on", quoted(address));
                Problem::new(&path, message, clause)
            })?;
            if let Listen::Unix(socket) = &listen
                && socket
                    .as_str()
                    .starts_with(&format!("{}/", self.layout.run()))
            {
                let message = format!(
                    "`{socket}` is in the runtime directory of the services, which other users cannot enter"
                );
                self.policy.enforce(Err(Problem::new(
                    &path,
                    message,
                    format!("use `unix:/run/{}-{key}.sock`", self.name),
                )))?;
            }
            out.push(listen);
        }
        if !names.is_empty() && names.len() != out.len() {
            return Err(Problem::new(
                &path,
                "some addresses have a name and some do not",
                "name every address: `[\"web=127.0.0.1:8080\", \"admin=unix:/run/app.sock\"]`",
            ));
        }
        Ok((out, names))
    }

    /// Refuses a socket that systemd would open, as root, where services may write: what they put in its
    /// place would keep systemd from opening it again.
    fn opened_by_root(
        &self,
        path: Path<'_>,
        key: &str,
        socket: Socket,
        listen: &[Listen],
    ) -> Result<()> {
        let paths = listen.iter().filter_map(|listen| match listen {
            Listen::Unix(path) if socket != Socket::Direct => Some(path.as_str()),
            _ => None,
        });
        for socket in paths {
            if let Some(dir) = self.writable_parent(socket) {
                return Err(Problem::new(
                    path,
                    format!(
                        "`{socket}` is in `{dir}`, where the services can replace it, so that systemd cannot open it again"
                    ),
                    format!(
                        "use `unix:/run/{}-{key}.sock`, or let the service open it: `socket = \"direct\"`",
                        self.name
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The variables of a service, by name. One that opens its port itself has it in `PORT`.
    fn env(
        &self,
        service: &str,
        table: &ServiceTable,
        socket: Socket,
        listen: &[Listen],
    ) -> Result<Vec<(EnvName, Text)>> {
        let port = listen.iter().find_map(Listen::port);
        let port = port.filter(|_| socket != Socket::Activate);
        let port = port.map(|port| port.to_string());
        let mut merged: BTreeMap<&str, (Vec<&str>, &String)> = BTreeMap::new();
        if let Some(port) = &port {
            merged.insert(PORT, (vec!["service", service, "listen"], port));
        }
        for (key, value) in &self.manifest.env {
            merged.insert(key, (vec!["env", key], value));
        }
        for (key, value) in &table.env {
            merged.insert(key, (vec!["service", service, "env", key], value));
        }
        let mut out = Vec::new();
        for (key, (path, value)) in merged {
            let name = get(&path, key, "a variable name", EnvName::parse)?;
            self.check_direction(&path, value)?;
            let value = self.expand_for(Some(service), &path, value)?;
            out.push((name, get(&path, &value, "valid text", Text::parse)?));
        }
        Ok(out)
    }

    fn units(&self, path: Path<'_>, own: &str, list: &[String]) -> Result<Vec<UnitRef>> {
        let mut out = Vec::new();
        for text in list {
            if text == own {
                let message = format!("service `{own}` names itself");
                return Err(Problem::new(path, message, "remove the name"));
            }
            if self.manifest.service.contains_key(text) {
                out.push(UnitRef::Own(get(path, text, "a name", Name::parse)?));
            } else if text.contains('.') {
                out.push(UnitRef::Other(get(path, text, "a unit", UnitName::parse)?));
            } else {
                return Err(self.no_service(path, text));
            }
        }
        Ok(out)
    }
}

/// Refuses names of addresses that the service opens itself: only systemd passes them on.
fn check_socket_names(path: Path<'_>, socket: Socket, names: &[Name]) -> Result<()> {
    if socket == Socket::Activate || names.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        path,
        "only activated sockets have names",
        "remove the names, or write `socket = \"activate\"`",
    ))
}

/// Refuses the names that units of robotctl have.
fn check_name(key: &str) -> Result<()> {
    for reserved in [OLD_SUFFIX, PROXY_SUFFIX, PRE_CHECK_SUFFIX, Hooks::SUFFIX] {
        if key.ends_with(reserved) {
            let message = format!("a service name cannot end with `{reserved}`");
            return Err(Problem::new(
                &["service", key],
                message,
                "robotctl uses that ending for its own units: choose another name",
            ));
        }
    }
    // `shop-web-old-*` are the scopes of the service `web` of `shop`, and also units of the services
    // `old` and `old-api` of an app `shop-web`.
    if key.contains("-old-") || key == "old" || key.starts_with("old-") {
        return Err(Problem::new(
            &["service", key],
            "a service name cannot be `old`, begin with `old-` or contain `-old-`",
            "robotctl uses it for its own units: choose another name",
        ));
    }
    // The service `precheck` of an app `demo-web` would have the name of the pre-check instance
    // of `demo` and its service `web`, whose unit in /run comes first. Hooks likewise.
    if ["precheck", "hook"].contains(&key) {
        let message = format!("a service cannot be called `{key}`");
        return Err(Problem::new(
            &["service", key],
            message,
            "another app can create a unit of that name: choose another name",
        ));
    }
    Ok(())
}

fn modes(
    key: &str,
    table: &ServiceTable,
    kind: Type,
    listen: &[Listen],
) -> Result<(Socket, Upgrade)> {
    const SOCKETS: [(&str, Socket); 3] = [
        ("activate", Socket::Activate),
        ("proxy", Socket::Proxy),
        ("direct", Socket::Direct),
    ];
    const UPGRADES: [(&str, Upgrade); 2] =
        [("overlap", Upgrade::Overlap), ("restart", Upgrade::Restart)];
    let path = ["service", key, "socket"];
    let socket = match &table.socket {
        Some(text) => one_of(&path, text, &SOCKETS)?,
        None => Socket::Activate,
    };
    if table.socket.is_some() && listen.is_empty() {
        return Err(Problem::new(
            &path,
            "`socket` needs `listen`",
            "add `listen = [\"127.0.0.1:8080\"]`",
        ));
    }
    if kind == Type::Oneshot && !listen.is_empty() {
        let path = ["service", key, "listen"];
        return Err(Problem::new(
            &path,
            "a `oneshot` service cannot listen",
            "remove `listen`, or choose another `type`",
        ));
    }
    let mut unix = listen.iter().filter(|one| one.local_address().is_none());
    if socket == Socket::Proxy
        && let Some(one) = unix.next()
    {
        let message =
            format!("`socket = \"proxy\"` needs TCP addresses, and `{one}` is a unix socket");
        return Err(Problem::new(
            &path,
            message,
            "a service that opens a unix socket itself needs no proxy: use `direct`",
        ));
    }
    let path = ["service", key, "upgrade"];
    let can = socket != Socket::Direct && !listen.is_empty() && kind != Type::Forking;
    let upgrade = match &table.upgrade {
        Some(text) => one_of(&path, text, &UPGRADES)?,
        None if can => Upgrade::Overlap,
        None => Upgrade::Restart,
    };
    if upgrade == Upgrade::Overlap && !can {
        return Err(Problem::new(
            &path,
            format!("service `{key}` cannot use `upgrade = \"overlap\"`"),
            "only a service with an activated or proxied socket can: write `upgrade = \"restart\"`",
        ));
    }
    Ok((socket, upgrade))
}

/// Reads the time of a key. Zero without a unit, too, would be no limit for a time that robotctl waits.
fn span_rule(key: &str) -> fn(&str) -> std::result::Result<Span, &'static str> {
    if key.starts_with("timeout-") {
        |text| match text.trim() {
            "0" => Err(NO_TIMEOUT),
            text => Span::parse(text),
        }
    } else {
        Span::parse
    }
}

fn start_time(policy: Policy, key: &str, given: Option<Span>, kind: Type) -> Result<Span> {
    let path = ["service", key, "timeout-start"];
    match (given, kind) {
        (Some(span), Type::Oneshot) => {
            if span.duration.is_zero() {
                policy.enforce(Err(Problem::new(
                    &path,
                    format!("`{}` is no time for `timeout-start`", span.text),
                    "write at least `1ms`, or remove it: a job has no limit",
                )))?;
            }
            Ok(span)
        }
        (Some(span), _) => limited(policy, &path, span),
        // A job is started when it has ended (systemd.service(5), "TimeoutStartSec=").
        (None, Type::Oneshot) => Ok(Span::forever()),
        (None, _) => Ok(Span::seconds(90)),
    }
}

fn stop_time(policy: Policy, key: &str, given: Option<Span>) -> Result<Span> {
    match given {
        Some(span) => limited(policy, &["service", key, "timeout-stop"], span),
        None => Ok(Span::seconds(DEFAULT_STOP_SECONDS)),
    }
}

/// A time that systemd waits for a service. systemd takes zero as no limit.
fn limited(policy: Policy, path: Path<'_>, span: Span) -> Result<Span> {
    let (fault, hint) = if span.duration.is_zero() {
        ("no time", NO_TIMEOUT)
    } else if span.duration > MAX_TIMEOUT {
        let hint = "write at most `1h`: a deploy and a rollback wait as long";
        ("too long", hint)
    } else {
        return Ok(span);
    };
    let (text, key) = (&span.text, path.last().copied().unwrap_or_default());
    let message = format!("`{text}` is {fault} for `{key}`");
    policy.enforce(Err(Problem::new(path, message, hint)))?;
    Ok(span)
}

/// The time that a previous release has to end its connections.
fn drain(policy: Policy, path: Path<'_>, given: Option<Span>) -> Result<Span> {
    let Some(span) = given else {
        return Ok(Span::seconds(DEFAULT_DRAIN_SECONDS));
    };
    if span.duration > MAX_DRAIN {
        policy.enforce(Err(Problem::new(
            path,
            format!("`{}` is too long for `drain`", span.text),
            "write at most `7d`",
        )))?;
    }
    Ok(span)
}

fn restart(path: Path<'_>, text: Option<&str>, kind: Type) -> Result<&'static str> {
    const WORDS: [(&str, &str); 7] = [
        ("no", "no"),
        ("always", "always"),
        ("on-success", "on-success"),
        ("on-failure", "on-failure"),
        ("on-abnormal", "on-abnormal"),
        ("on-abort", "on-abort"),
        ("on-watchdog", "on-watchdog"),
    ];
    match text {
        None if kind == Type::Oneshot => Ok("no"),
        None => Ok("on-failure"),
        Some(text) => match one_of(path, text, &WORDS)? {
            word @ ("always" | "on-success") if kind == Type::Oneshot => Err(Problem::new(
                path,
                format!("systemd refuses `restart = \"{word}\"` for a `oneshot` service"),
                "remove `restart`, or write `restart = \"on-failure\"`",
            )),
            word => Ok(word),
        },
    }
}

/// When systemd restarts a service, and how often it may start.
fn restarts(policy: Policy, key: &str, table: &ServiceTable, kind: Type) -> Result<Restart> {
    let at = |last: &'static str| ["service", key, last];
    let span = |last: &'static str, text: &Option<String>| match text {
        Some(text) => get(&at(last), text, "a time span", Span::parse).map(Some),
        None => Ok(None),
    };
    let mut out = Restart::when(restart(&at("restart"), table.restart.as_deref(), kind)?);
    if let Some(after) = span("restart-sec", &table.restart_sec)? {
        if out.when == "no" {
            policy.enforce(Err(Problem::new(
                &at("restart-sec"),
                "`restart-sec` has no effect, because systemd does not restart this service",
                "add `restart = \"on-failure\"`, or remove `restart-sec`",
            )))?;
        }
        out.after = after;
    }
    if table.start_limit_burst == Some(0) {
        policy.enforce(Err(Problem::new(
            &at("start-limit-burst"),
            "`start-limit-burst` must be 1 or more, and is 0",
            "to start it without a limit, write `start-limit-interval = \"0s\"`",
        )))?;
    }
    out.limit_interval = span("start-limit-interval", &table.start_limit_interval)?;
    out.limit_burst = table.start_limit_burst;
    Ok(out)
}

/// Whether a text is a number above zero, without a sign.
fn is_positive(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit()) && text.parse::<u64>().is_ok_and(|number| number > 0)
}

fn limits(policy: Policy, key: &str, table: Option<&LimitsTable>) -> Result<Limits> {
    let Some(table) = table else {
        return Ok(Limits::default());
    };
    let LimitsTable {
        memory_max,
        cpu_quota,
        tasks_max,
        nofile,
        core_dumps,
        log_lines,
    } = table.clone();
    if let Some(text) = &memory_max {
        let number = text.trim_end_matches(['K', 'M', 'G', 'T']);
        let is_size = is_positive(number) && text.len() - number.len() <= 1;
        let is_share = text.strip_suffix('%').is_some_and(|share| {
            is_positive(share) && share.parse::<u64>().is_ok_and(|share| share <= 100)
        });
        if !is_size && !is_share && text != "infinity" {
            let path = ["service", key, "limits", "memory-max"];
            return Err(Problem::new(
                &path,
                format!("{} is not a size", quoted(text)),
                "write bytes, a number with `K`, `M`, `G` or `T` such as `350M`, a share of the memory of the host such as `50%`, or `infinity`",
            ));
        }
    }
    if let Some(text) = &cpu_quota
        && !text.strip_suffix('%').is_some_and(is_positive)
    {
        let path = ["service", key, "limits", "cpu-quota"];
        return Err(Problem::new(
            &path,
            format!("{} is not a CPU quota", quoted(text)),
            "write a percentage of one CPU: `70%`, `200%`",
        ));
    }
    for (key_of, value) in [
        ("tasks-max", tasks_max),
        ("nofile", nofile),
        ("log-lines", log_lines),
    ] {
        if value == Some(0) {
            let path = ["service", key, "limits", key_of];
            policy.enforce(Err(Problem::new(
                &path,
                format!("`{key_of}` must be 1 or more, and is 0"),
                "remove it to use the default",
            )))?;
        }
    }
    Ok(Limits {
        memory_max,
        cpu_quota,
        tasks_max,
        nofile,
        core_dumps,
        log_lines,
    })
}

/// Whether a second instance may run during the pre-check.
fn pre_check(
    policy: Policy,
    key: &str,
    table: &ServiceTable,
    socket: Socket,
    upgrade: Upgrade,
    listen: &[Listen],
) -> Result<bool> {
    let reaches_loopback = table.sandbox.allow.iter().any(|name| name == "loopback");
    let own_path = socket == Socket::Direct && listen.iter().any(|one| one.port().is_none());
    match table.pre_check {
        Some(true) if own_path => {
            let message = "a pre-check instance would replace the socket file of the live service";
            policy.enforce(Err(Problem::new(
                &["service", key, "pre-check"],
                message,
                "remove it, or let systemd open the socket: `socket = \"activate\"`",
            )))?;
            Ok(false)
        }
        Some(value) => Ok(value),
        // The instance of a service that opens its address has a network of its own, in which no other
        // program answers.
        None => Ok(!listen.is_empty()
            && !own_path
            && (socket != Socket::Direct || !reaches_loopback)
            && (upgrade == Upgrade::Overlap || table.upgrade.is_none())),
    }
}

/// The variables of `required-env`.
fn required_env(key: &str, table: &ServiceTable) -> Result<Vec<EnvName>> {
    let path = ["service", key, "required-env"];
    let names = table.required_env.iter();
    let names = names.map(|text| get(&path, text, "a variable name", EnvName::parse));
    names.collect()
}
