//! What the sandbox of each service prevents on this host: it is tried in a unit of its own, with the
//! generated sandbox, the administrator's drop-ins and the user of the service.
//!
//! Services with the same sandbox share a unit, and all units run at once.

use super::drop_ins::local_drop_ins;
use super::job::{probe_job, target};
use super::unit::TransientUnit;
use crate::app::{App, Name, Service, Socket, Text};
use crate::health::cause_failure;
use crate::host::{self, Host, attempt_all, attempt_command, defer_signals, interruptible};
use crate::render::{ReleaseMount, derive, probe as unit_files};
use crate::sandbox::prefix::Prefix;
use crate::sandbox::probes::{
    Argument, Evidence, Expected, Facility, PROBES, Probe, ProbeResult, ProbedSandbox, Status,
    Tried, introduced_later, judge,
};
use crate::sandbox::shape::Shape;
use crate::units::UNIT_DIR;
use anyhow::{Context as _, Result, anyhow, bail};
use std::net::{IpAddr, Ipv4Addr};

/// The program that makes the attempts. Every sandbox shows `/usr`.
const PROGRAM: &str = "/usr/bin/robotctl";
/// The drop-ins that make a sandbox. The others name commands and limits.
const OF_SANDBOX: [&str; 5] = [
    "10-hardening.conf",
    "15-runtime-dirs.conf",
    "20-paths.conf",
    "25-capabilities.conf",
    "40-directives.conf",
];
/// An address of documents (RFC 5737), for a host without another one. No host answers there.
const OF_DOCUMENTS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A service, and what its unit is made from.
struct Subject {
    service: Service,
    /// The unit of the service.
    unit: String,
    is_proxy: bool,
}

impl Subject {
    fn mount(&self) -> ReleaseMount<'static> {
        match self.is_proxy {
            true => ReleaseMount::None,
            false => ReleaseMount::Current,
        }
    }
}

/// Services with the same sandbox.
struct Group {
    /// One of them.
    subject: Subject,
    /// The units of all.
    units: Vec<String>,
    /// What makes their sandbox.
    texts: Vec<String>,
}

/// A probe that is tried for a group, and the attempt as `NAME=ARGUMENT`, or why it cannot be made.
struct Planned {
    probe: &'static Probe,
    expected: Expected,
    attempt: Result<String, &'static str>,
}

/// Tries what the sandboxes of the services of an app prevent. Nothing changes, and the units are gone
/// afterwards. Only root can.
///
/// # Errors
/// When a unit cannot be written or removed, or the user interrupts it.
pub(crate) fn probe(host: &Host, app: &App) -> Result<Vec<ProbedSandbox>> {
    let groups = groups(host, app)?;
    let name = format!("robotctl-probe-{}", host::random_hex(8)?);
    let listener = host::listen_in_host_network(&name)?;
    let mut planned = Vec::new();
    let mut units = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let plan = plan(app, group, &name)?;
        units.push(unit(host, app, group, number, &attempts(&plan))?);
        planned.push(plan);
    }
    let reports = run(host, &units)?;
    let all = groups.iter().zip(&planned).zip(reports);
    let probed = all.map(|((group, planned), report)| results(host, group, planned, report));
    let probed = probed.collect();
    // The attempts without a sandbox needed it too.
    drop(listener);
    probed
}

/// The services and proxies of an app, by their sandboxes.
fn groups(host: &Host, app: &App) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for subject in subjects(app)? {
        let texts = texts(host, app, &subject)?;
        match groups.iter_mut().find(|group| group.texts == texts) {
            Some(group) => group.units.push(subject.unit),
            None => groups.push(Group {
                units: vec![subject.unit.clone()],
                subject,
                texts,
            }),
        }
    }
    Ok(groups)
}

fn subjects(app: &App) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for service in &app.services {
        subjects.push(Subject {
            unit: app.unit(service),
            service: service.clone(),
            is_proxy: false,
        });
        if service.socket == Socket::Proxy && service.has_socket_unit() {
            let proxy = derive::proxy(service)?;
            subjects.push(Subject {
                unit: app.unit(&proxy),
                service: proxy,
                is_proxy: true,
            });
        }
    }
    Ok(subjects)
}

/// What makes the sandbox of a service: user, groups, generated drop-ins and those of the administrator.
fn texts(host: &Host, app: &App, subject: &Subject) -> Result<Vec<String>> {
    let service = &subject.service;
    let job = probe_job(service, 0)?;
    let tree = unit_files(app, &job, target(host, app), subject.mount(), &[])?;
    let groups: Vec<&str> = service.groups.iter().map(Name::as_str).collect();
    let mut texts = vec![format!(
        "{} {} {}",
        service.user,
        service.group,
        groups.join(" ")
    )];
    let of_sandbox = tree.iter().filter(|(path, _)| {
        let name = path.rsplit('/').next().unwrap_or_default();
        OF_SANDBOX.contains(&name)
    });
    texts.extend(of_sandbox.map(|(_, entry)| entry.text()));
    let copies = local_drop_ins(host, app.name.as_str(), &subject.unit, &app.unit(&job))?;
    texts.extend(copies.iter().map(|(path, entry)| {
        // The first line names the service.
        let text = entry.text();
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        format!("{path}\n{rest}")
    }));
    Ok(texts)
}

/// The unit that makes the attempts of a group.
fn unit<'a>(
    host: &'a Host,
    app: &App,
    group: &Group,
    number: usize,
    attempts: &[String],
) -> Result<TransientUnit<'a>> {
    let subject = &group.subject;
    let job = probe_job(&subject.service, number)?;
    let argv = [PROGRAM, "probe-sandbox"].map(str::to_owned).into_iter();
    let argv = argv.chain(attempts.iter().cloned());
    let argv = argv.map(|word| Text::parse(&word).map_err(|rule| anyhow!("`{word}`: {rule}")));
    let argv: Vec<Text> = argv.collect::<Result<_>>()?;
    let mut tree = unit_files(app, &job, target(host, app), subject.mount(), &argv)?;
    let unit = app.unit(&job);
    for (path, entry) in local_drop_ins(host, app.name.as_str(), &subject.unit, &unit)?.iter() {
        tree.insert(path.to_owned(), entry.clone());
    }
    Ok(TransientUnit::from_files(host, unit, tree))
}

/// What is tried for a group. `listener` is the name of a socket in the network of the host.
fn plan(app: &App, group: &Group, listener: &str) -> Result<Vec<Planned>> {
    let shape = app.shape(&group.subject.service);
    let mut planned = Vec::new();
    for probe in PROBES {
        let expected = (probe.expected)(&shape);
        if expected == Expected::Irrelevant {
            continue;
        }
        let argument = argument(app, &group.subject.service, &shape, probe, listener)?;
        let attempt = argument.map(|argument| match argument.as_str() {
            "" => probe.attempt.to_owned(),
            argument => format!("{}={argument}", probe.attempt),
        });
        planned.push(Planned {
            probe,
            expected,
            attempt,
        });
    }
    Ok(planned)
}

/// What an attempt needs to know, or why it cannot be made on this host.
fn argument(
    app: &App,
    service: &Service,
    shape: &Shape,
    probe: &Probe,
    listener: &str,
) -> Result<Result<String, &'static str>> {
    Ok(match probe.argument {
        Argument::None => Ok(String::new()),
        Argument::Text(text) => Ok(text.to_owned()),
        Argument::Inode(path) => host::directory_inode(path)
            .map(|inode| format!("{path}@{inode}"))
            .ok_or("this host has no such directory"),
        Argument::Namespace(kind) => host::namespace_inode(kind)
            .map(|inode| format!("{kind}@{inode}"))
            .ok_or("the kernel has no such namespace"),
        Argument::Listener => Ok(listener.to_owned()),
        Argument::Directory => {
            let mut directories = app.directories(service).into_iter();
            let state = directories.find(|(stem, _)| *stem == "State");
            Ok(state.map_or_else(|| "/tmp".to_owned(), |(_, path)| path))
        }
        Argument::Device => {
            let is_listed = |device: &&str| {
                let mut lines = shape.devices.iter();
                lines.any(|line| line.split(' ').next() == Some(*device))
            };
            let mut devices = host::unusual_devices();
            devices
                .find(|device| !is_listed(device))
                .map(str::to_owned)
                .ok_or("this host has no such device")
        }
        Argument::Address => {
            let mut addresses = host::host_addresses()?;
            // A packet that leaves the host would show nothing more.
            addresses.sort_by_key(IpAddr::is_loopback);
            addresses.push(OF_DOCUMENTS);
            let is_listed = |address: &IpAddr| {
                let address = Prefix::host(*address);
                shape.peers.iter().any(|prefix| prefix.covers(&address))
            };
            let mut others = addresses.into_iter().filter(|one| !is_listed(one));
            others
                .find(|one| !is_link_local(one))
                .map(|address| address.to_string())
                .ok_or("this host has no address that is not listed")
        }
    })
}

/// Whether an address is one of several with the same number, each of another interface.
fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn attempts(planned: &[Planned]) -> Vec<String> {
    let attempts = planned.iter().filter_map(|one| one.attempt.as_ref().ok());
    attempts.cloned().collect()
}

/// Runs the units together and removes them. Returns what each reported, or why it did not.
fn run(host: &Host, units: &[TransientUnit<'_>]) -> Result<Vec<Result<String>>> {
    let names: Vec<String> = units.iter().map(|unit| unit.name().to_owned()).collect();
    let _signals = defer_signals();
    TransientUnit::put_all(host, units)?;
    // A unit that does not start reports nothing, and its status says why.
    let started = interruptible(|| {
        let started = host.systemd.start(&names);
        match host::interrupted() {
            true => Err(anyhow!("the probe was interrupted")),
            false => Ok(started),
        }
    });
    let reports = started.and_then(|_| reports(host, &names));
    TransientUnit::remove_all(host, units).context("removing the units of the probe")?;
    reports
}

fn reports(host: &Host, names: &[String]) -> Result<Vec<Result<String>>> {
    let states = host.systemd.show(names)?;
    let texts = host.systemd.status_texts(names)?;
    let report = |(state, text): (&host::UnitStatus, String)| match text.is_empty() {
        true => Err(anyhow!("its unit did not run: {}", cause_failure(state))),
        false => Ok(text),
    };
    Ok(states.iter().zip(texts).map(report).collect())
}

/// The results of a group, from what its unit reported.
fn results(
    host: &Host,
    group: &Group,
    planned: &[Planned],
    report: Result<String>,
) -> Result<ProbedSandbox> {
    let service = &group.subject.service;
    let made = attempts(planned);
    let (sandboxed, why) = match report {
        Ok(text) => {
            let words: Vec<&str> = text.split(' ').collect();
            (parsed(&words, made.len())?, None)
        }
        Err(error) => (vec![Tried::Unknown; made.len()], Some(format!("{error:#}"))),
    };
    let control = match host::user_ids(service.user.as_str())? {
        Some((uid, gid)) => {
            let command = |rest: &[String]| attempt_command(rest).as_user(uid, gid);
            let words = attempt_all(command, &made)?;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            parsed(&words, made.len())?
        }
        None => vec![Tried::Unknown; made.len()],
    };
    let drop_ins = administrators_drop_ins(host, &group.units)?;
    let mut pairs = sandboxed.into_iter().zip(control);
    let mut results = Vec::new();
    for one in planned {
        let probe = one.probe;
        let unknown = (Tried::Unknown, Tried::Unknown);
        let (sandboxed, control) = match one.attempt {
            Ok(_) => pairs.next().unwrap_or(unknown),
            Err(_) => unknown,
        };
        let set_by = set_by(&drop_ins, probe);
        let raw = service.sandbox.directives.iter();
        let raw: Vec<&str> = raw.map(|(name, _)| name.as_str()).collect();
        let evidence = Evidence {
            sandboxed,
            control,
            raw_directive: probe
                .directives
                .iter()
                .find(|name| raw.contains(name))
                .copied(),
            is_changed: !set_by.is_empty(),
        };
        let (status, mut reason) = judge(probe, one.expected, &evidence, || missing(host, probe));
        if status == Status::NotTested {
            let known = one.attempt.as_ref().err().map(|why| (*why).to_owned());
            reason = known.or_else(|| why.clone()).unwrap_or(reason);
        }
        results.push(ProbeResult {
            id: probe.id,
            what: probe.what,
            directives: probe.directives.to_vec(),
            status,
            why: reason,
            set_by,
        });
    }
    Ok(ProbedSandbox {
        units: group.units.clone(),
        user: service.user.to_string(),
        results,
    })
}

fn parsed(words: &[&str], count: usize) -> Result<Vec<Tried>> {
    let tried: Vec<Tried> = words.iter().map(|word| Tried::parse(word)).collect();
    if tried.len() != count {
        bail!(
            "the probe reported {} results instead of {count}",
            tried.len()
        );
    }
    Ok(tried)
}

/// The drop-ins of units that robotctl did not generate, with their texts.
fn administrators_drop_ins(host: &Host, units: &[String]) -> Result<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = Vec::new();
    for state in host.systemd.show(units)? {
        for path in state.drop_in_paths {
            if path.starts_with(UNIT_DIR) || found.iter().any(|(known, _)| *known == path) {
                continue;
            }
            if let Some(text) = host.root.read_text(&path)? {
                found.push((path, text));
            }
        }
    }
    Ok(found)
}

/// The drop-ins that set a directive of a probe.
fn set_by(drop_ins: &[(String, String)], probe: &Probe) -> Vec<String> {
    let sets = |text: &str| {
        let mut names = text.lines().filter_map(|line| line.split_once('='));
        names.any(|(name, _)| probe.directives.contains(&name.trim()))
    };
    let found = drop_ins.iter().filter(|(_, text)| sets(text));
    found.map(|(path, _)| path.clone()).collect()
}

/// Why this host cannot enforce the directives of a probe, if that is known.
fn missing(host: &Host, probe: &Probe) -> Option<String> {
    let version = host.systemd.version().ok()?;
    if let Some((name, since)) = introduced_later(probe, version) {
        return Some(format!("systemd has `{name}=` from version {since} on"));
    }
    let built_without = |feature: &str| {
        let is_without = host.systemd.is_built_without(feature).unwrap_or(false);
        is_without.then(|| format!("systemd is built without {feature}"))
    };
    let known = |why: Option<&str>| why.map(str::to_owned);
    match probe.needs {
        Facility::Mounts => known(host::no_mounts()),
        Facility::SystemCallFilter => {
            built_without("SECCOMP").or_else(|| known(host::no_system_call_filter()))
        }
        Facility::PacketFilter => known(no_bpf_programs()),
        Facility::BpfFramework => {
            built_without("BPF_FRAMEWORK").or_else(|| known(no_bpf_programs()))
        }
        Facility::ProcOptions => known(host::no_proc_options().or_else(host::restricted_systemd)),
        Facility::UserNamespaces => {
            known(host::no_user_namespaces().or_else(host::restricted_systemd))
        }
        Facility::Kernel => None,
    }
}

/// Why systemd may be unable to load BPF programs.
fn no_bpf_programs() -> Option<&'static str> {
    host::no_packet_filter().or_else(host::restricted_systemd)
}

#[cfg(test)]
mod tests {
    use super::{PROBES, set_by};
    use crate::host::is_attempt;

    #[test]
    fn every_probe_makes_a_known_attempt() {
        for probe in PROBES {
            assert!(is_attempt(probe.attempt), "{}", probe.id);
        }
    }

    #[test]
    fn a_drop_in_that_sets_a_directive_is_named() {
        let probe = PROBES.iter().find(|probe| probe.id == "ipc").unwrap();
        let drop_ins = [
            ("/etc/a.conf", "[Service]\nPrivateIPC = no\n"),
            ("/etc/b.conf", "[Service]\n# PrivateIPC=no\nPrivateTmp=no\n"),
        ];
        let drop_ins = drop_ins.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(set_by(&drop_ins, probe), ["/etc/a.conf"]);
    }
}
