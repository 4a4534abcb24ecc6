//! From tables to values: every rule about a manifest's meaning.

use super::names::{AbsPath, EnvName, Name, Span, Text, UnitName, Version};
use super::sandbox::{EXCEPTIONS, PRESETS, Sandbox};
use super::service::{Check, Limits, Probe, Service, Socket, Timer, Type, UnitRef, Upgrade};
use super::{App, Layout, Listen, Python, Release, Secret, Target, colliding, ordered};
use crate::manifest::nearest;
use crate::manifest::{
    CheckTable, LimitsTable, Manifest, OverlayTable, Problem, Result, SandboxTable, ServiceTable,
    TimerTable,
};
use std::collections::BTreeMap;

/// The path of a key, for messages.
type Path<'a> = &'a [&'a str];

pub(super) struct Reader<'a> {
    manifest: &'a Manifest,
    overlay: Option<&'a OverlayTable>,
    environment: Option<Name>,
    name: Name,
    user: Name,
    layout: Layout,
}

/// Runs a parser of [`super::names`] and turns its clause into a sentence.
fn get<T>(
    path: Path<'_>,
    text: &str,
    what: &str,
    parse: impl Fn(&str) -> std::result::Result<T, &'static str>,
) -> Result<T> {
    parse(text).map_err(|clause| {
        let shown: String = text.chars().take(60).collect();
        let key = path.last().unwrap_or(&"");
        Problem::new(
            path,
            format!("{} in `{key}` is not {what}: {clause}", quoted(&shown)),
        )
    })
}

/// A value as a person can read it on one line.
fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}

fn one_of<T: Copy>(path: Path<'_>, text: &str, words: &[(&'static str, T)]) -> Result<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let key = path.last().unwrap_or(&"");
    let problem = Problem::new(path, format!("{} is not a value of `{key}`", quoted(text)));
    Err(match nearest(text, &names) {
        Some(name) => problem.hint(format!("did you mean `{name}`?")),
        None => problem.hint(format!("use one of `{}`", names.join("`, `"))),
    })
}

impl<'a> Reader<'a> {
    pub(super) fn new(manifest: &'a Manifest, environment: Option<&str>) -> Result<Self> {
        let base = get(&["app", "name"], &manifest.app.name, "a name", Name::parse)?;
        let mut overlay = None;
        let mut name = base.clone();
        let mut parsed = None;
        if let Some(environment) = environment {
            let known: Vec<&str> = manifest.environment.keys().map(String::as_str).collect();
            overlay = manifest.environment.get(environment);
            if overlay.is_none() {
                return Err(Problem::new(
                    &["environment"],
                    format!("there is no environment {}", quoted(environment)),
                )
                .hint(match nearest(environment, &known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add a table `[environment.{environment}]`"),
                }));
            }
            let path = ["environment", environment];
            parsed = Some(get(&path, environment, "a name", Name::parse)?);
            let whole = format!("{base}-{environment}");
            name = get(&path, &whole, "a name for the app", Name::parse)?;
        }
        let user = match &manifest.app.user {
            Some(user) => get(&["app", "user"], user, "a user name", Name::parse)?,
            None => name.clone(),
        };
        Ok(Self {
            manifest,
            overlay,
            environment: parsed,
            layout: Layout::new(&name),
            name,
            user,
        })
    }

    pub(super) fn app(self) -> Result<App> {
        let app = &self.manifest.app;
        let version = get(
            &["app", "version"],
            &app.version,
            "a version",
            Version::parse,
        )?;
        let description = self.text(&["app", "description"], &app.description)?;
        let maintainer = match &app.maintainer {
            Some(text) => Some(self.text(&["app", "maintainer"], text)?),
            None => None,
        };
        let target = match &app.target {
            Some(text) => target(text)?,
            None => None,
        };
        if self.manifest.service.is_empty() {
            return Err(Problem::new(&["app"], "there is no service")
                .hint("add a table `[service.web]` with `exec = [\"{current}/bin/web\"]`"));
        }
        if let Some(overlay) = self.overlay {
            self.overlay_names(overlay)?;
        }
        let mut services = Vec::new();
        for (name, table) in &self.manifest.service {
            services.push(self.service(name, table)?);
        }
        colliding(&services)?;
        let hooks = &self.manifest.hooks;
        Ok(App {
            version,
            description,
            maintainer,
            target,
            release: self.release()?,
            secrets: self.secrets()?,
            services: ordered(services)?,
            before_switch: self.commands(&["hooks", "before-switch"], &hooks.before_switch)?,
            after_switch: self.commands(&["hooks", "after-switch"], &hooks.after_switch)?,
            name: self.name,
            user: self.user,
            environment: self.environment,
            layout: self.layout,
        })
    }

    fn overlay_names(&self, overlay: &OverlayTable) -> Result<()> {
        let environment = self.environment.as_ref().map_or("", Name::as_str);
        for name in overlay.listen.keys() {
            if !self.manifest.service.contains_key(name) {
                return Err(Problem::new(
                    &["environment", environment, "listen", name],
                    format!("there is no service {}", quoted(name)),
                ));
            }
        }
        Ok(())
    }

    fn text(&self, path: Path<'_>, text: &str) -> Result<Text> {
        get(path, &self.layout.expand(text), "usable text", Text::parse)
    }

    fn texts(&self, path: Path<'_>, list: &[String]) -> Result<Vec<Text>> {
        list.iter().map(|item| self.text(path, item)).collect()
    }

    fn path(&self, path: Path<'_>, text: &str) -> Result<AbsPath> {
        get(path, &self.layout.expand(text), "a path", AbsPath::parse)
    }

    /// A command whose program is an absolute path that systemd takes as it is written.
    fn command(&self, path: Path<'_>, argv: &[String]) -> Result<Vec<Text>> {
        let argv = self.texts(path, argv)?;
        let Some(program) = argv.first() else {
            return Err(Problem::new(path, "the command is empty")
                .hint("write the program and its arguments: `[\"{current}/bin/web\"]`"));
        };
        get(path, program.as_str(), "a program", AbsPath::parse).map_err(|problem| {
            problem.hint("write `{current}/…` for a program of the release, or `/usr/bin/…`")
        })?;
        Ok(argv)
    }

    fn commands(&self, path: Path<'_>, list: &[Vec<String>]) -> Result<Vec<Vec<Text>>> {
        list.iter().map(|argv| self.command(path, argv)).collect()
    }

    fn release(&self) -> Result<Release> {
        let table = &self.manifest.release;
        let python = match &table.python {
            Some(python) => Some(Python {
                requirements: self.texts(&["release", "python"], &python.requirements)?,
                wheels: match &python.wheels {
                    Some(wheels) => Some(self.text(&["release", "python"], wheels)?),
                    None => None,
                },
            }),
            None => None,
        };
        let keep = table.keep.unwrap_or(5);
        if keep < 2 {
            return Err(
                Problem::new(&["release", "keep"], "`keep` must be 2 or more")
                    .hint("rollback needs the release before the live one"),
            );
        }
        let build = table.build.iter().map(|argv| {
            if argv.is_empty() {
                return Err(Problem::new(
                    &["release", "build"],
                    "a build command is empty",
                ));
            }
            self.texts(&["release", "build"], argv)
        });
        Ok(Release {
            source: get(
                &["release", "source"],
                table.source.as_deref().unwrap_or("."),
                "usable text",
                Text::parse,
            )?,
            exclude: table
                .exclude
                .iter()
                .map(|text| get(&["release", "exclude"], text, "a pattern", Text::parse))
                .collect::<Result<_>>()?,
            build: build.collect::<Result<_>>()?,
            python,
            keep,
        })
    }

    fn secrets(&self) -> Result<Vec<Secret>> {
        let mut out: Vec<Secret> = Vec::new();
        for (index, table) in self.manifest.secret.iter().enumerate() {
            let index = index.to_string();
            let path = ["secret", &index, "name"];
            let name = get(&path, &table.name, "a secret's name", EnvName::parse)?;
            if out.iter().any(|secret| secret.name == name) {
                return Err(Problem::new(
                    &path,
                    format!("secret `{name}` is there twice"),
                ));
            }
            for service in &table.services {
                if !self.manifest.service.contains_key(service) {
                    let path = ["secret", &index, "services"];
                    let message = format!("there is no service {}", quoted(service));
                    return Err(Problem::new(&path, message));
                }
            }
            let generate = match table.generate.as_deref() {
                None => None,
                Some(text) => {
                    let bytes = text.strip_prefix("hex:").and_then(|n| n.parse().ok());
                    let bytes = bytes.filter(|bytes| (16..=1024).contains(bytes));
                    Some(bytes.ok_or_else(|| {
                        let path = ["secret", &index, "generate"];
                        Problem::new(&path, format!("{} cannot be generated", quoted(text)))
                            .hint("write `hex:32`: 16 to 1024 random bytes")
                    })?)
                }
            };
            out.push(Secret { name, generate });
        }
        Ok(out)
    }

    fn env(&self, service: &str, table: &ServiceTable) -> Result<Vec<(EnvName, Text)>> {
        let mut merged: BTreeMap<&str, (Vec<&str>, &String)> = BTreeMap::new();
        for (key, value) in &self.manifest.env {
            merged.insert(key, (vec!["env", key], value));
        }
        if let (Some(overlay), Some(environment)) = (self.overlay, &self.environment) {
            for (key, value) in &overlay.env {
                let path = vec!["environment", environment.as_str(), "env", key];
                merged.insert(key, (path, value));
            }
        }
        for (key, value) in &table.env {
            merged.insert(key, (vec!["service", service, "env", key], value));
        }
        let mut out = Vec::new();
        for (key, (path, value)) in merged {
            let name = get(&path, key, "a variable name", EnvName::parse)?;
            out.push((name, self.text(&path, value)?));
        }
        Ok(out)
    }

    fn units(&self, path: Path<'_>, own: &str, list: &[String]) -> Result<Vec<UnitRef>> {
        let mut out = Vec::new();
        for text in list {
            if text == own {
                return Err(Problem::new(path, format!("service `{own}` names itself")));
            }
            if self.manifest.service.contains_key(text) {
                out.push(UnitRef::Own(get(path, text, "a name", Name::parse)?));
            } else if text.contains('.') {
                out.push(UnitRef::Other(get(path, text, "a unit", UnitName::parse)?));
            } else {
                let known: Vec<&str> = self.manifest.service.keys().map(String::as_str).collect();
                let problem = Problem::new(path, format!("there is no service {}", quoted(text)));
                return Err(match nearest(text, &known) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem.hint("name another package's unit whole: `redis.service`"),
                });
            }
        }
        Ok(out)
    }

    fn service(&self, key: &str, table: &ServiceTable) -> Result<Service> {
        let at = |last: &'static str| ["service", key, last];
        let name = get(&["service", key], key, "a name for a service", Name::parse)?;
        for reserved in ["-standin", "-proxy", "-precheck"] {
            if key.ends_with(reserved) {
                let message = format!("a service's name may not end with `{reserved}`");
                return Err(Problem::new(&["service", key], message));
            }
        }
        let description = match &table.description {
            Some(text) => self.text(&at("description"), text)?,
            None => self.text(&at("description"), &format!("{} {key}", self.name))?,
        };
        let kind = match &table.r#type {
            Some(text) => one_of(&at("type"), text, &Type::WORDS)?,
            None if table.timer.is_some() => Type::Oneshot,
            None => Type::Exec,
        };
        let listen = self.listen(key, table)?;
        let (socket, upgrade) = modes(key, table, kind, &listen)?;
        let user = match &table.user {
            Some(user) => get(&at("user"), user, "a user name", Name::parse)?,
            None => self.user.clone(),
        };
        let groups = table.groups.iter();
        let groups = groups.map(|text| get(&at("groups"), text, "a group name", Name::parse));
        let working = table.working_directory.as_deref().unwrap_or("{current}");
        let span = |last: &'static str, text: &Option<String>| match text {
            Some(text) => get(&at(last), text, "a time span", Span::parse).map(Some),
            None => Ok(None),
        };
        Ok(Service {
            description,
            exec: self.command(&at("exec"), &table.exec)?,
            exec_start_pre: self.commands(&at("exec-start-pre"), &table.exec_start_pre)?,
            exec_reload: match table.exec_reload.is_empty() {
                true => Vec::new(),
                false => self.command(&at("exec-reload"), &table.exec_reload)?,
            },
            kind,
            socket,
            upgrade,
            after: self.units(&at("after"), key, &table.after)?,
            requires: self.units(&at("requires"), key, &table.requires)?,
            wants: self.units(&at("wants"), key, &table.wants)?,
            conflicts: self.units(&at("conflicts"), key, &table.conflicts)?,
            enable: table.enable.unwrap_or(true),
            user,
            groups: groups.collect::<Result<_>>()?,
            working_directory: self.path(&at("working-directory"), working)?,
            restart: restart(&at("restart"), table.restart.as_deref(), kind)?,
            timeout_start: span("timeout-start", &table.timeout_start)?
                .unwrap_or(Span::seconds(90)),
            timeout_stop: span("timeout-stop", &table.timeout_stop)?.unwrap_or(Span::seconds(30)),
            watchdog: span("watchdog", &table.watchdog)?,
            limits: limits(key, table.limits.as_ref())?,
            env: self.env(key, table)?,
            secrets: self.secrets_of(key)?,
            pre_check: table.pre_check.unwrap_or(
                !listen.is_empty() && (upgrade == Upgrade::Overlap || table.upgrade.is_none()),
            ),
            checks: self.checks(key, table, &listen)?,
            timer: self.timer(key, table.timer.as_ref(), kind)?,
            sandbox: self.sandbox(key, table.runtime.as_deref(), &table.sandbox)?,
            name,
            listen,
        })
    }

    fn listen(&self, key: &str, table: &ServiceTable) -> Result<Vec<Listen>> {
        let mut texts = &table.listen;
        let mut path = vec!["service", key, "listen"];
        if let (Some(overlay), Some(environment)) = (self.overlay, &self.environment)
            && let Some(other) = overlay.listen.get(key)
        {
            texts = other;
            path = vec!["environment", environment.as_str(), "listen", key];
        }
        let mut out = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let index = index.to_string();
            let path: Vec<&str> = path.iter().copied().chain([index.as_str()]).collect();
            let text = self.layout.expand(text);
            let listen = Listen::parse(&text).map_err(|clause| {
                let message = format!("{} is not an address to listen on", quoted(&text));
                Problem::new(&path, message).hint(clause)
            })?;
            if let Listen::Unix(socket) = &listen
                && socket
                    .as_str()
                    .starts_with(&format!("{}/", self.layout.run()))
            {
                let message = format!("`{socket}` lies in the services' own runtime directory");
                return Err(Problem::new(&path, message)
                    .hint(format!("use `unix:/run/{}-{key}.sock`", self.name)));
            }
            out.push(listen);
        }
        Ok(out)
    }

    fn secrets_of(&self, key: &str) -> Result<Vec<EnvName>> {
        let own = self.manifest.secret.iter().filter(|secret| {
            secret.services.is_empty() || secret.services.iter().any(|name| name == key)
        });
        own.map(|secret| get(&["secret"], &secret.name, "a secret's name", EnvName::parse))
            .collect()
    }

    fn timer(&self, key: &str, table: Option<&TimerTable>, kind: Type) -> Result<Option<Timer>> {
        let Some(table) = table else { return Ok(None) };
        let at = |last: &'static str| ["service", key, "timer", last];
        if kind != Type::Oneshot {
            let message = format!("service `{key}` has a timer and is not `oneshot`");
            return Err(Problem::new(&["service", key, "type"], message)
                .hint("a timer starts jobs: leave `type` out, or write `type = \"oneshot\"`"));
        }
        let span = |last: &'static str, text: &Option<String>| match text {
            Some(text) => get(&at(last), text, "a time span", Span::parse).map(Some),
            None => Ok(None),
        };
        let timer = Timer {
            calendar: match &table.calendar {
                Some(text) => Some(get(&at("calendar"), text, "usable text", Text::parse)?),
                None => None,
            },
            on_boot: span("on-boot", &table.on_boot)?,
            on_unit_active: span("on-unit-active", &table.on_unit_active)?,
            persistent: table.persistent,
            randomized_delay: span("randomized-delay", &table.randomized_delay)?,
        };
        if timer.calendar.is_none() && timer.on_boot.is_none() && timer.on_unit_active.is_none() {
            return Err(
                Problem::new(&["service", key, "timer"], "the timer never elapses")
                    .hint("add `calendar = \"hourly\"` or `on-boot = \"5min\"`"),
            );
        }
        Ok(Some(timer))
    }

    fn checks(&self, key: &str, table: &ServiceTable, listen: &[Listen]) -> Result<Vec<Check>> {
        let mut out = Vec::new();
        for (index, check) in table.check.iter().enumerate() {
            let index = index.to_string();
            let path = ["service", key, "check", &index];
            out.push(Check {
                probe: self.probe(&path, check, listen)?,
                within: match &check.within {
                    Some(text) => get(&path, text, "a time span", Span::parse)?,
                    None => Span::seconds(30),
                },
            });
        }
        Ok(out)
    }

    fn probe(&self, path: Path<'_>, check: &CheckTable, listen: &[Listen]) -> Result<Probe> {
        let CheckTable {
            http,
            status,
            contains,
            tcp,
            unix,
            command,
            settle,
            within: _,
        } = check;
        let kinds = [
            http.is_some(),
            tcp.is_some(),
            unix.is_some(),
            command.is_some(),
            settle.is_some(),
        ];
        if kinds.iter().filter(|given| **given).count() != 1 {
            return Err(Problem::new(path, "a check looks at exactly one thing")
                .hint("give one of `http`, `tcp`, `unix`, `command`, `settle`"));
        }
        if http.is_none() && (status.is_some() || contains.is_some()) {
            return Err(Problem::new(
                path,
                "`status` and `contains` belong to `http`",
            ));
        }
        if let Some(text) = http {
            return self.http(path, text, check, listen);
        }
        if let Some(text) = tcp {
            let parse = |text: &str| text.parse().map_err(|_| "write `127.0.0.1:8080`");
            return get(path, text, "an address", parse).map(Probe::Tcp);
        }
        if let Some(text) = unix {
            return self.path(path, text).map(Probe::Unix);
        }
        if let Some(argv) = command {
            return self.command(path, argv).map(Probe::Command);
        }
        let text = settle.as_deref().unwrap_or_default();
        get(path, text, "a time span", Span::parse).map(Probe::Settle)
    }

    fn http(
        &self,
        path: Path<'_>,
        text: &str,
        check: &CheckTable,
        listen: &[Listen],
    ) -> Result<Probe> {
        let (address, rest) = match text.strip_prefix("http://") {
            Some(rest) => {
                let (host, page) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let parse = |text: &str| text.parse().map_err(|_| "write `127.0.0.1:8080`");
                (Some(get(path, host, "an address", parse)?), page)
            }
            None if listen.is_empty() => {
                return Err(Problem::new(path, "the service has no address to check")
                    .hint("write the whole address: `http = \"http://127.0.0.1:8080/healthz\"`"));
            }
            None => (None, text),
        };
        let page = if rest.is_empty() { "/" } else { rest };
        let odd = |c: char| c.is_whitespace() || !c.is_ascii_graphic();
        if !page.starts_with('/') || page.contains(odd) {
            return Err(
                Problem::new(path, format!("{} is not a path to GET", quoted(page)))
                    .hint("begin with `/` and write other characters as `%20`"),
            );
        }
        Ok(Probe::Http {
            address,
            path: get(path, page, "usable text", Text::parse)?,
            status: check.status.unwrap_or(200),
            contains: match &check.contains {
                Some(text) => Some(get(path, text, "usable text", Text::parse)?),
                None => None,
            },
        })
    }

    fn sandbox(&self, key: &str, runtime: Option<&str>, table: &SandboxTable) -> Result<Sandbox> {
        let at = |last: &'static str| ["service", key, "sandbox", last];
        let mut sandbox = Sandbox::default();
        let known: Vec<(&'static str, &'static str)> =
            EXCEPTIONS.iter().map(|one| (one.name, one.name)).collect();
        for text in &table.allow {
            sandbox.allow.insert(one_of(&at("allow"), text, &known)?);
        }
        if let Some(runtime) = runtime {
            let presets: Vec<_> = PRESETS.to_vec();
            sandbox
                .allow
                .extend(one_of(&["service", key, "runtime"], runtime, &presets)?);
        }
        for text in &table.capabilities {
            let fits = |c: char| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit();
            if !text.starts_with("CAP_") || !text.chars().all(fits) {
                let message = format!("{} is not a capability", quoted(text));
                return Err(Problem::new(&at("capabilities"), message)
                    .hint("write it as in capabilities(7): `CAP_SYS_PTRACE`"));
            }
            sandbox.capabilities.insert(text.clone());
        }
        for text in &table.devices {
            let node = text.split(' ').next().unwrap_or_default();
            if !node.starts_with("/dev/") && !node.starts_with("char-") {
                let message = format!("{} is not a device", quoted(text));
                return Err(Problem::new(&at("devices"), message)
                    .hint("write node and access: `/dev/spidev0.0 rw`"));
            }
            sandbox.devices.push(self.text(&at("devices"), text)?);
        }
        for text in &table.read_write {
            sandbox.read_write.push(self.path(&at("read-write"), text)?);
        }
        for text in &table.read_only {
            let text = self.layout.expand(text);
            let (from, to) = text.split_once(':').unwrap_or((&text, &text));
            let path = at("read-only");
            sandbox
                .read_only
                .push((self.path(&path, from)?, self.path(&path, to)?));
        }
        for (name, value) in &table.directives {
            let fits = name.chars().all(|c| c.is_ascii_alphanumeric());
            if !fits || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
                let message = format!("{} is not a directive", quoted(name));
                return Err(Problem::new(&at("directives"), message)
                    .hint("write it as in systemd.directives(7): `ProtectHome = \"yes\"`"));
            }
            if ["ExecPaths", "NoExecPaths"].contains(&name.as_str()) {
                let message = format!("`{name}` re-opens write access to what it lists");
                return Err(Problem::new(&at("directives"), message)
                    .hint("take it out: what the service may write is never executable here"));
            }
            let value = get(&at("directives"), value, "usable text", Text::parse)?;
            sandbox.directives.push((name.clone(), value));
        }
        Ok(sandbox)
    }
}

fn target(text: &str) -> Result<Option<Target>> {
    match text {
        "host" => Ok(None),
        "portable" => Ok(Some(Target::Portable)),
        _ => match text.parse::<u16>() {
            Ok(version) if version >= Target::OLDEST => Ok(Some(Target::Version(version))),
            _ => Err(Problem::new(
                &["app", "target"],
                format!("{} is not a systemd version to write for", quoted(text)),
            )
            .hint("write `host`, `portable` or a version from `247` on")),
        },
    }
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
        return Err(Problem::new(&path, "`socket` is there and `listen` is not")
            .hint("add `listen = [\"127.0.0.1:8080\"]`"));
    }
    if kind == Type::Oneshot && !listen.is_empty() {
        return Err(Problem::new(&path, "a `oneshot` service cannot listen"));
    }
    if socket == Socket::Proxy && listen.iter().any(|one| one.local_address().is_none()) {
        return Err(
            Problem::new(&path, "`socket = \"proxy\"` needs TCP addresses")
                .hint("a service that can bind a unix socket needs no proxy: use `direct`"),
        );
    }
    let path = ["service", key, "upgrade"];
    let can = socket == Socket::Activate && !listen.is_empty() && kind != Type::Forking;
    let upgrade = match &table.upgrade {
        Some(text) => one_of(&path, text, &UPGRADES)?,
        None if can => Upgrade::Overlap,
        None => Upgrade::Restart,
    };
    if upgrade == Upgrade::Overlap && !can {
        return Err(
            Problem::new(&path, format!("service `{key}` cannot overlap"))
                .hint("only a service with an activated socket can: use `upgrade = \"restart\"`"),
        );
    }
    Ok((socket, upgrade))
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
        Some(text) => one_of(path, text, &WORDS),
    }
}

fn limits(key: &str, table: Option<&LimitsTable>) -> Result<Limits> {
    let Some(table) = table else {
        return Ok(Limits::default());
    };
    let LimitsTable {
        memory_max,
        cpu_quota,
        tasks_max,
        nofile,
    } = table.clone();
    if let Some(text) = &memory_max {
        let number = text.trim_end_matches(['K', 'M', 'G', 'T']);
        if number.parse::<u64>().is_err() || text.len() - number.len() > 1 {
            let path = ["service", key, "limits", "memory-max"];
            return Err(
                Problem::new(&path, format!("{} is not a size", quoted(text)))
                    .hint("write bytes, or a number with `K`, `M`, `G` or `T`: `350M`"),
            );
        }
    }
    if let Some(text) = &cpu_quota {
        let number = text.strip_suffix('%').and_then(|n| n.parse::<u32>().ok());
        if number.is_none_or(|number| number == 0) {
            let path = ["service", key, "limits", "cpu-quota"];
            return Err(
                Problem::new(&path, format!("{} is not a share", quoted(text)))
                    .hint("write per cent of one processor: `70%`, `200%`"),
            );
        }
    }
    Ok(Limits {
        memory_max,
        cpu_quota,
        tasks_max,
        nofile,
    })
}
