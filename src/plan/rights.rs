//! The rights that a release asks for on the host, beyond those that every app has.
//!
//! A program in the sandbox, with the app's own user and directories, has no right of this table. The
//! command line decides the name of the app, so the name is not a right either.

use super::input::{HostFacts, LiveRelease, Observed, OutsideSource};
use super::right_kinds::RightKind;
use crate::app::{App, Listen, Name, Probe, Service, Target, UnitRef};
use crate::sandbox::build::BuildProgram;
use crate::sandbox::shape::{Network, Shape};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The ports below this one belong to services of the system (ip(7)).
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// One right that a release asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Right {
    /// What it is about.
    pub kind: RightKind,
    /// The short name of the service, or `release.build`, `hooks.before-switch` or `hooks.after-switch`; none
    /// for the whole app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The value, such as the name of a user.
    pub value: String,
    /// What the host adds to it, such as `can log in`. Not part of the hash of a plan.
    pub notes: Vec<String>,
    /// Whether the live release lacks it; `false` when no release is live.
    pub is_new: bool,
}

impl Right {
    /// What has the right: `app`, `service web`, `release.build` or `hooks.before-switch`.
    pub fn subject(&self) -> String {
        match self.service.as_deref() {
            None => "app".to_owned(),
            Some(other) if other.contains('.') => other.to_owned(),
            Some(service) => format!("service {service}"),
        }
    }

    /// Whether a program with this right has the other one too.
    fn covers(&self, other: &Self) -> bool {
        if self.service != other.service {
            return false;
        }
        if self.kind == other.kind && self.value == other.value {
            return true;
        }
        match (self.kind, other.kind) {
            (RightKind::Network, RightKind::Network) => self.value == ALL_ADDRESSES,
            (RightKind::Allow, RightKind::Network) => HOST_NETWORK.contains(&self.value.as_str()),
            // Fewer clients than all of them.
            (RightKind::Address, RightKind::Address) => {
                let clients = other.value.strip_prefix(&self.value);
                clients.is_some_and(|rest| rest.starts_with(FROM))
            }
            _ => false,
        }
    }
}

/// What stands between a public address and the clients that it accepts.
const FROM: &str = " from ";
const ALL_ADDRESSES: &str = "all addresses";
const LOCAL_ADDRESSES: &str = "local addresses";

/// Exceptions that give a service the network of the host.
const HOST_NETWORK: [&str; 2] = ["outbound", "raw-net"];

/// The rights that an app asks for, in the order of its services and of
/// [`RIGHT_KINDS`](super::RIGHT_KINDS).
pub fn rights(app: &App, observed: &Observed) -> Vec<Right> {
    let facts = &observed.facts;
    let live = observed.live.as_ref().map(|live| &live.app);
    // An account of the name of the app need not be the app's: the live release may have another user
    // because a person has that account.
    let own = live.is_none_or(|live| live.user == live.name);
    let own = own.then(|| app.name.as_str());
    let mut out = of_app(app, own, facts.outside_source.as_ref(), facts);
    let Some(live) = &observed.live else {
        return out;
    };
    let LiveRelease { app, origin, .. } = live;
    let origin = OutsideSource {
        path: origin.clone(),
        note: "",
    };
    let old = of_app(app, own, Some(&origin), &HostFacts::default());
    for right in &mut out {
        right.is_new = !old.iter().any(|old| old.covers(right));
    }
    out
}

/// The rights of an app. `own` is the user that is none, with the group of its name.
fn of_app(
    app: &App,
    own: Option<&str>,
    source: Option<&OutsideSource>,
    facts: &HostFacts,
) -> Vec<Right> {
    let mut list = RightList {
        facts,
        own,
        subject: None,
        rights: Vec::new(),
    };
    if let Some(source) = source {
        list.add(RightKind::Source, source.path.as_str());
        for right in &mut list.rights {
            right.notes.push(source.note.to_owned());
        }
    }
    // `portable` lacks no protection.
    if let Some(Target::Version(version)) = app.target {
        list.add(RightKind::Target, version.to_string());
    }
    let release = &app.release;
    if Some(app.user.as_str()) != own {
        list.add(RightKind::User, app.user.as_str());
    }
    let is_given = app.services.iter().any(|one| one.group == app.group);
    if !is_given {
        list.group(&app.group, &app.user);
    }
    if let Some(group) = &release.reader_group
        && Some(group.as_str()) != own
    {
        list.add(RightKind::Reader, group.as_str());
    }
    for service in &app.services {
        list.subject = Some(service.name.to_string());
        list.service(app, service);
    }
    if release.has_build() {
        list.subject = Some("release.build".to_owned());
        list.build(app);
    }
    let hooks = [
        ("hooks.before-switch", &app.hooks.before_switch),
        ("hooks.after-switch", &app.hooks.after_switch),
    ];
    for (name, hook) in hooks {
        if let Some(hook) = hook {
            list.subject = Some(name.to_owned());
            list.add(RightKind::Hook, format!("as {}", hook.user));
            list.service(app, hook);
        }
    }
    list.rights
}

/// Rights as they are collected.
struct RightList<'a> {
    facts: &'a HostFacts,
    /// The user that is no right.
    own: Option<&'a str>,
    /// The service that asks for them.
    subject: Option<String>,
    rights: Vec<Right>,
}

impl RightList<'_> {
    fn add(&mut self, kind: RightKind, value: impl Into<String>) {
        let value = value.into();
        let notes = match kind {
            RightKind::User => self.facts.users.get(&value),
            RightKind::Group | RightKind::Reader => self.facts.groups.get(&value),
            RightKind::ReadWrite | RightKind::ReadOnly => {
                let source = value.split(':').next().unwrap_or_default();
                self.facts.paths.get(source)
            }
            _ => None,
        };
        let right = Right {
            kind,
            service: self.subject.clone(),
            notes: notes.cloned().unwrap_or_default(),
            value,
            is_new: false,
        };
        if !self.rights.contains(&right) {
            self.rights.push(right);
        }
    }

    /// A main group, unless it is that of its user.
    fn group(&mut self, group: &Name, user: &Name) {
        if Some(group.as_str()) != self.own && group != user {
            self.add(RightKind::Group, group.as_str());
        }
    }

    /// Commands of the build, with what they can do beyond the sandbox of every build.
    fn build(&mut self, app: &App) {
        let sandbox = &app.release.sandbox;
        self.add(RightKind::Build, format!("as {}", app.build_user()));
        for name in &sandbox.allow {
            self.add(RightKind::Allow, *name);
        }
        if !sandbox.allow.contains("outbound") && sandbox.has_network() {
            self.network(&app.build_shape(BuildProgram::Command, &[]));
        }
        for secret in app.secrets.iter().filter(|one| one.build) {
            self.add(RightKind::Secret, secret.name.as_str());
        }
    }

    fn network(&mut self, shape: &Shape) {
        match shape.network {
            Network::Host => self.add(RightKind::Network, ALL_ADDRESSES),
            Network::Loopback => self.add(RightKind::Network, LOCAL_ADDRESSES),
            Network::Listed => {
                for peer in &shape.peers {
                    match peer.is_loopback() {
                        true => self.add(RightKind::Network, LOCAL_ADDRESSES),
                        false => self.add(RightKind::Network, peer.to_string()),
                    }
                }
            }
            // `net-admin` gives `NoIp`, and is in the list of exceptions.
            Network::None | Network::Namespace | Network::NoIp => {}
        }
    }

    fn service(&mut self, app: &App, service: &Service) {
        if Some(service.user.as_str()) != self.own {
            self.add(RightKind::User, service.user.as_str());
        }
        self.group(&service.group, &service.user);
        for group in &service.groups {
            if Some(group.as_str()) != self.own {
                self.add(RightKind::Group, group.as_str());
            }
        }
        let sandbox = &service.sandbox;
        for capability in &sandbox.capabilities {
            self.add(RightKind::Capability, capability);
        }
        for device in &sandbox.devices {
            self.add(RightKind::Device, device.as_str());
        }
        for name in &sandbox.allow {
            self.add(RightKind::Allow, *name);
        }
        if !HOST_NETWORK.iter().any(|name| sandbox.allows(name)) {
            self.network(&app.shape(service));
        }
        self.paths(app, service);
        for (name, value) in &sandbox.directives {
            self.add(RightKind::Directive, format!("{name}={value}"));
        }
        self.units(app, service);
        self.addresses(app, service);
        for limit in service.limits.above_default() {
            self.add(RightKind::Limit, limit);
        }
        for secret in &service.secrets {
            self.add(RightKind::Secret, secret.as_str());
        }
    }

    fn paths(&mut self, app: &App, service: &Service) {
        let own = app.layout.own_directories();
        let is_own = |path: &str| own.iter().any(|own| own == path);
        for path in &service.sandbox.read_write {
            if !is_own(path.as_str()) {
                self.add(RightKind::ReadWrite, path.as_str());
            }
        }
        for (from, to) in &service.sandbox.read_only {
            if from == to && !is_own(from.as_str()) {
                self.add(RightKind::ReadOnly, from.as_str());
            } else if from != to {
                self.add(RightKind::ReadOnly, format!("{from}:{to}"));
            }
        }
    }

    fn units(&mut self, app: &App, service: &Service) {
        let services = app.services.iter();
        let mut own: BTreeSet<String> = services.flat_map(|one| app.units_of(one)).collect();
        own.insert(app.target_unit());
        // `after` alone neither starts nor stops a unit.
        for (verb, units) in [
            ("requires", &service.requires),
            ("wants", &service.wants),
            ("conflicts with", &service.conflicts),
        ] {
            for unit in units {
                match unit {
                    UnitRef::Other(name) if !own.contains(name.as_str()) => {
                        self.add(RightKind::Unit, format!("{verb} {name}"));
                    }
                    UnitRef::Own(_) | UnitRef::Other(_) => {}
                }
            }
        }
    }

    fn addresses(&mut self, app: &App, service: &Service) {
        let own_socket = format!("/run/{}-{}.sock", app.name, service.name);
        for listen in &service.listen {
            let is_right = match listen {
                Listen::Unix(path) => path.as_str() != own_socket,
                Listen::Tcp(_) | Listen::AnyAddress(_) => {
                    let port = listen.port();
                    listen.is_public() || port.is_some_and(|port| port < FIRST_UNPRIVILEGED_PORT)
                }
            };
            if is_right {
                let clients = service.sandbox.allow_from.iter().map(ToString::to_string);
                let clients: Vec<String> = clients.filter(|_| listen.is_public()).collect();
                let value = match clients.as_slice() {
                    [] => listen.in_manifest(),
                    clients => format!("{}{FROM}{}", listen.in_manifest(), clients.join(", ")),
                };
                self.add(RightKind::Address, value);
            }
        }
        for check in &service.checks {
            let listen = match &check.probe {
                Probe::Http {
                    address: Some(address),
                    ..
                }
                | Probe::Tcp(address) => Listen::Tcp(local(*address)),
                Probe::Unix(path) => Listen::Unix(path.clone()),
                Probe::Http { address: None, .. }
                | Probe::Job
                | Probe::Command(_)
                | Probe::Settle(_) => continue,
            };
            let enabled = app.services.iter().filter(|one| one.enable);
            let mut all = enabled.flat_map(|one| &one.listen);
            let is_same = |own: &Listen| match listen.local_address() {
                Some(address) => own.local_address() == Some(address),
                None => *own == listen,
            };
            if !all.any(is_same) {
                self.add(RightKind::Check, listen.in_manifest());
            }
        }
    }
}

/// The address where a client reaches it: `0.0.0.0` is this host.
fn local(address: SocketAddr) -> SocketAddr {
    let listen = Listen::Tcp(address);
    listen.local_address().unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::{OutsideSource, Right, rights};
    use crate::app::App;
    use crate::manifest::parse;
    use crate::plan::{HostFacts, LiveRelease, Observed};
    use crate::tree::FileTree;

    fn app(rest: &str) -> App {
        let text = format!("[app]\nname = \"shop\"\nversion = \"1\"\n{rest}");
        App::from_manifest(&parse(&text).unwrap(), None).unwrap()
    }

    /// A service with more keys.
    fn web(keys: &str) -> App {
        app(&format!(
            "[service.web]\nexec = [\"{{current}}/web\"]\n{keys}"
        ))
    }

    fn live(app: App) -> Observed {
        Observed {
            live: Some(LiveRelease {
                id: "1-a".into(),
                origin: "/srv/shop".into(),
                tree: FileTree::default(),
                payload: None,
                app,
            }),
            ..Observed::default()
        }
    }

    fn shown(right: &Right) -> String {
        format!("{} {} {}", right.subject(), right.kind.word(), right.value)
    }

    fn first(app: &App) -> Vec<String> {
        rights(app, &Observed::default())
            .iter()
            .map(shown)
            .collect()
    }

    /// What an upgrade asks for that the live release lacks.
    fn new(old: App, new: &App) -> Vec<String> {
        let found = rights(new, &live(old)).into_iter();
        found
            .filter(|right| right.is_new)
            .map(|right| shown(&right))
            .collect()
    }

    #[test]
    fn what_every_app_has_is_no_right() {
        let plain = "listen = [\"127.0.0.1:8080\", \"unix:/run/shop-web.sock\"]\n\
                     user = \"shop\"\ngroups = [\"shop\"]\nafter = [\"shop.target\", \"x.service\"]\n\
                     drain = \"1s\"\nlimits = { memory-max = \"1G\" }\n\
                     env = { A = \"1\" }\n\
                     check = [{ http = \"/\" }, { tcp = \"127.0.0.1:8080\" }]\n\
                     [service.web.sandbox]\nread-write = [\"{state}\"]\n\
                     [service.tidy]\nexec = [\"{current}/tidy\"]\nafter = [\"web\"]\n\
                     timer = { calendar = \"daily\" }\n";
        assert_eq!(first(&web(plain)), [""; 0]);
        assert_eq!(new(web(""), &web(plain)), [""; 0]);
    }

    /// Each key, and the right that it asks for.
    const ASKED: &[(&str, &str)] = &[
        ("user = \"mallory\"", "user mallory"),
        ("user = \"root\"", "user root"),
        ("groups = [\"shadow\"]", "group shadow"),
        ("group = \"shadow\"", "group shadow"),
        (
            "sandbox = { capabilities = [\"CAP_CHOWN\"] }",
            "capability CAP_CHOWN",
        ),
        (
            "sandbox = { devices = [\"/dev/kmsg r\"] }",
            "device /dev/kmsg r",
        ),
        ("sandbox = { allow = [\"home\"] }", "allow home"),
        ("runtime = \"java\"", "allow jit"),
        (
            "sandbox = { read-write = [\"/srv/x\"] }",
            "read-write /srv/x",
        ),
        ("sandbox = { read-only = [\"/srv/x\"] }", "read-only /srv/x"),
        (
            "sandbox = { read-only = [\"/srv/x:/y\"] }",
            "read-only /srv/x:/y",
        ),
        (
            "sandbox = { directives = { UMask = \"0\" } }",
            "directive UMask=0",
        ),
        (
            "conflicts = [\"x.service\"]",
            "unit conflicts with x.service",
        ),
        ("wants = [\"x.service\"]", "unit wants x.service"),
        ("requires = [\"x.service\"]", "unit requires x.service"),
        ("listen = [\":8080\"]", "address :8080"),
        ("listen = [\"127.0.0.1:80\"]", "address 127.0.0.1:80"),
        (
            "listen = [\"unix:/run/docker.sock\"]",
            "address unix:/run/docker.sock",
        ),
        (
            "listen = [\"127.0.0.1:8080\"]\nsocket = \"direct\"",
            "network local addresses",
        ),
        (
            "check = [{ tcp = \"127.0.0.1:5432\" }]",
            "check 127.0.0.1:5432",
        ),
        (
            "check = [{ unix = \"/run/docker.sock\" }]",
            "check unix:/run/docker.sock",
        ),
        (
            "limits = { memory-max = \"infinity\" }",
            "limit memory-max infinity",
        ),
        (
            "listen = [\":8080\"]\nsandbox = { allow-from = [\"192.0.2.0/24\"] }",
            "address :8080 from 192.0.2.0/24",
        ),
        (
            "sandbox = { outbound = [\"203.0.113.0/24\"] }",
            "network 203.0.113.0/24",
        ),
    ];

    #[test]
    fn each_key_that_gives_power_is_a_right_and_new_in_an_upgrade() {
        for (key, right) in ASKED {
            let asking = web(key);
            let right = format!("service web {right}");
            assert_eq!(first(&asking), [right.as_str()], "{key}");
            assert_eq!(new(web(""), &asking), [right], "{key}");
            assert_eq!(new(web(key), &asking), [""; 0], "{key}");
            // Another service has it already. The right belongs to a service all the same.
            let other = app(&format!(
                "[service.other]\nexec = [\"{{current}}/web\"]\n{key}"
            ));
            assert_eq!(new(other, &asking).len(), 1, "{key}");
        }
    }

    #[test]
    fn the_app_and_its_hooks_have_rights_too() {
        let service = "[service.web]\nexec = [\"{current}/web\"]\n";
        for (keys, right) in [
            ("user = \"www-data\"\n", "app user www-data"),
            ("target = \"247\"\n", "app target 247"),
            (
                "[release]\nbuild = [[\"make\"]]\n",
                "release.build build as robotctl-build-shop",
            ),
            (
                "[release]\nbuild = [[\"make\"]]\nsandbox = { allow = [\"outbound\"] }\n",
                "release.build allow outbound",
            ),
            (
                "[release]\nbuild = [[\"make\"]]\nsandbox = { outbound = [\"192.0.2.7\"] }\n",
                "release.build network 192.0.2.7",
            ),
            (
                "[release]\nbuild = [[\"make\"]]\n[[secret]]\nname = \"KEY\"\nbuild = true\n",
                "release.build secret KEY",
            ),
            (
                "[release]\nreader-group = \"www-data\"\n",
                "app reader www-data",
            ),
            (
                "[hooks]\nafter-switch = [[\"{current}/x\"]]\n",
                "hooks.after-switch hook as shop",
            ),
            ("[[secret]]\nname = \"KEY\"\n", "service web secret KEY"),
        ] {
            let asking = app(&format!("{keys}{service}"));
            assert!(
                first(&asking).contains(&right.to_owned()),
                "{keys}: {:?}",
                first(&asking)
            );
            assert!(
                new(app(service), &asking).contains(&right.to_owned()),
                "{keys}"
            );
            let same = app(&format!("{keys}{service}"));
            assert_eq!(new(same, &asking), [""; 0], "{keys}");
        }
        let portable = app(&format!("target = \"portable\"\n{service}"));
        assert_eq!(first(&portable), [""; 0]);
        let open =
            "[hooks]\nafter-switch = [[\"{current}/x\"]]\nsandbox = { allow = [\"home\"] }\n";
        let closed = open.replace("allow = [\"home\"]", "");
        let both = [&closed, open].map(|hook| app(&format!("{service}{hook}")));
        let [closed, open] = both;
        assert_eq!(new(closed, &open), ["hooks.after-switch allow home"]);
    }

    #[test]
    fn a_wider_right_covers_a_narrower_one() {
        let local = web("listen = [\"127.0.0.1:8080\"]\nsocket = \"direct\"\n");
        let outbound = "sandbox = { allow = [\"outbound\"] }\n";
        assert_eq!(new(web(outbound), &local), [""; 0]);
        let public = "listen = [\":8080\"]\nsocket = \"direct\"\n";
        assert_eq!(new(web(public), &local), [""; 0]);
        let wider = "service web network all addresses".to_owned();
        assert!(new(local, &web(public)).contains(&wider));
        let loopback = web("sandbox = { allow = [\"loopback\"] }\n");
        let list = "sandbox = { allow = [\"loopback\"], outbound = [\"203.0.113.0/24\"] }\n";
        assert_eq!(new(web(list), &loopback), [""; 0]);
        let listed = ["service web network 203.0.113.0/24"];
        assert_eq!(new(loopback, &web(list)), listed);
        let from = "listen = [\":8080\"]\nsandbox = { allow-from = [\"192.0.2.0/24\"] }";
        let open = "listen = [\":8080\"]";
        assert_eq!(new(web(open), &web(from)), [""; 0]);
        assert_eq!(new(web(from), &web(open)), ["service web address :8080"]);
        let build = |sandbox: &str| {
            let release = format!("[release]\nbuild = [[\"make\"]]\nsandbox = {{ {sandbox} }}\n");
            app(&format!("[service.web]\nexec = [\"/bin/w\"]\n{release}"))
        };
        let listed = build("outbound = [\"192.0.2.7\"]");
        assert_eq!(new(build("allow = [\"outbound\"]"), &listed), [""; 0]);
        assert_eq!(new(build(""), &listed), ["release.build network 192.0.2.7"]);
    }

    #[test]
    fn the_name_of_the_app_is_another_user_when_the_live_release_has_not_used_it() {
        let service = "[service.web]\nexec = [\"/bin/w\"]\n";
        let other = || app(&format!("user = \"shop-svc\"\n{service}"));
        assert_eq!(
            new(other(), &app(service)),
            ["app user shop", "service web user shop"]
        );
        let group = format!("user = \"shop-svc\"\n{service}groups = [\"shop\"]\n");
        assert_eq!(new(other(), &app(&group)), ["service web group shop"]);
        assert_eq!(new(other(), &other()), [""; 0]);
    }

    #[test]
    fn an_address_of_another_host_is_not_the_apps_own() {
        let live = || web("listen = [\":8080\"]");
        let keys = "listen = [\":8080\"]\ncheck = [{ tcp = \"169.254.169.254:8080\" }]";
        let right = "service web check 169.254.169.254:8080";
        assert_eq!(new(live(), &web(keys)), [right]);
    }

    #[test]
    fn a_source_is_a_right_unless_the_live_release_came_from_there() {
        let source = |path: &str, mut observed: Observed| {
            observed.facts = HostFacts {
                outside_source: Some(OutsideSource {
                    path: path.to_owned(),
                    note: "outside",
                }),
                ..HostFacts::default()
            };
            let rights = rights(&web(""), &observed);
            assert_eq!(rights.len(), 1, "{path}");
            (shown(&rights[0]), rights[0].is_new)
        };
        let etc = || "app source /etc".to_owned();
        assert_eq!(source("/etc", Observed::default()), (etc(), false));
        assert_eq!(source("/etc", live(web(""))), (etc(), true));
        let known = source("/srv/shop", live(web("")));
        assert_eq!(known, ("app source /srv/shop".to_owned(), false));
    }
}
