//! Trying a new release before anything live is touched.
//!
//! A second copy of each service that may have one starts in its real sandbox, with the new
//! release mounted, at an address of its own: on a private port or socket when systemd hands
//! the listener over, alone in a network namespace when it binds its own. It must start and pass
//! its checks. Its units lie in `/run` and are removed; a killed run leaves them to [`sweep`].

use super::{About, Refusal, Work};
use crate::host::{self, Host, in_network_of};
use crate::model::{AbsPath, App, Listen, Name, Probe, Service, Socket, Target};
use crate::plan::{Action, Plan};
use crate::render::{RUNTIME_UNIT_DIR, precheck as copy_units};
use crate::tree::{Entry, FileTree};
use crate::verify::{Verdict, check_service};
use anyhow::{Context, Result, anyhow};
use std::net::{Ipv4Addr, SocketAddr};

/// What the names of second copies end in.
const SUFFIX: &str = "-precheck";

/// Tries every service that the plan would bring to the new release and that may run twice.
///
/// # Errors
/// [`Refusal`] tells what the new release did; nothing live has changed then.
pub fn precheck(work: &Work<'_>, plan: &Plan, app: &App, target: Target) -> Result<()> {
    if work.host.is_offline() || plan.from.is_none() {
        return Ok(());
    }
    let touched = |service: &Service| {
        let unit = app.unit(service);
        plan.units
            .iter()
            .any(|one| one.unit == unit && matches!(one.action, Action::Overlap | Action::Restart))
    };
    for service in &app.services {
        if service.pre_check
            && touched(service)
            && host::files::user_ids(service.user.as_str())?.is_some()
        {
            one(work, plan, app, service, target)?;
        }
    }
    Ok(())
}

fn one(work: &Work<'_>, plan: &Plan, app: &App, service: &Service, target: Target) -> Result<()> {
    let copy = second(app, service)?;
    let mut tree = copy_units(app, &copy, target, &plan.to)?;
    let unit = app.unit(&copy);
    for (name, bytes) in local_drop_ins(work.host, &app.unit(service))? {
        let path = format!("{RUNTIME_UNIT_DIR}/{unit}.d/{name}");
        tree.insert(path, Entry::file(bytes));
    }
    let tried = attempt(work, app, &copy, &tree);
    let lines = work.host.systemd.last_lines(&unit, 8);
    take_away(work.host, app, &copy, &tree)?;
    let about = About {
        release: Some(&plan.to),
        unit: Some(&unit),
    };
    match tried {
        Ok(verdicts) => {
            for verdict in &verdicts {
                let text = format!("pre-check: {}, {} ms", verdict.check, verdict.millis);
                work.tell("info", "pre-checked", about, &text);
            }
            Ok(())
        }
        Err(error) => Err(Refusal {
            message: format!(
                "{} failed its pre-check, nothing was changed: service `{}`: {error:#}\n    {}",
                plan.to,
                service.name,
                lines.join("\n    ")
            ),
            hint: "mend it and deploy again; `pre-check = false` in the manifest skips the trial"
                .to_owned(),
        }
        .into()),
    }
}

/// The service as it is tried: another name and address, nothing that touches live units.
fn second(app: &App, service: &Service) -> Result<Service> {
    let mut copy = service.clone();
    let name = format!("{}{SUFFIX}", service.name);
    copy.name = Name::parse(&name).map_err(|clause| anyhow!("`{name}`: {clause}"))?;
    copy.enable = false;
    copy.restart = "no";
    copy.timer = None;
    copy.upgrade = crate::model::Upgrade::Restart;
    copy.requires.clear();
    copy.wants.clear();
    copy.conflicts.clear();
    if service.socket == Socket::Activate {
        copy.listen = vec![private(app, service)?];
    } else {
        copy.socket = Socket::Direct;
    }
    let own: Vec<Option<SocketAddr>> = service.listen.iter().map(Listen::local_address).collect();
    copy.checks.retain(|check| match &check.probe {
        Probe::Http { address, .. } => address.is_none() || own.contains(address),
        Probe::Tcp(address) => own.contains(&Some(*address)),
        Probe::Unix(_) | Probe::Command(_) | Probe::Settle(_) => false,
    });
    for check in &mut copy.checks {
        match &mut check.probe {
            Probe::Http { address, .. } => *address = None,
            Probe::Tcp(address) => {
                if let Some(new) = copy.listen.iter().find_map(Listen::local_address) {
                    *address = new;
                }
            }
            Probe::Unix(_) | Probe::Command(_) | Probe::Settle(_) => {}
        }
    }
    Ok(copy)
}

fn private(app: &App, service: &Service) -> Result<Listen> {
    if service.listen.iter().any(|listen| listen.port().is_some()) {
        return Ok(Listen::Tcp(
            (Ipv4Addr::LOCALHOST, host::free_port()?).into(),
        ));
    }
    let path = format!("/run/robotctl/{}-{}{SUFFIX}.sock", app.name, service.name);
    let path = AbsPath::parse(&path).map_err(|clause| anyhow!("`{path}`: {clause}"))?;
    Ok(Listen::Unix(path))
}

fn attempt(work: &Work<'_>, app: &App, copy: &Service, tree: &FileTree) -> Result<Vec<Verdict>> {
    let host = work.host;
    for (path, entry) in tree.iter() {
        host.root.put(path, Some(entry))?;
    }
    host.systemd.daemon_reload()?;
    let unit = app.unit(copy);
    if copy.has_socket_unit() {
        host.systemd.start(&[app.socket_unit(copy)])?;
    }
    host.systemd
        .start(std::slice::from_ref(&unit))
        .map_err(|_| {
            let state = host.systemd.show_one(&unit).unwrap_or_default();
            anyhow!(
                "it did not start ({}, exit status {})",
                state.get("Result"),
                state.get("ExecMainStatus")
            )
        })?;
    let trace = work.trace.as_str();
    let look = || check_service(host, app, copy, trace);
    let verdicts = if copy.has_socket_unit() {
        look()
    } else {
        let state = host.systemd.show_one(&unit)?;
        let pid = state.main_pid().context("it has no main process")?;
        in_network_of(pid, look)?
    };
    if let Some(bad) = verdicts.iter().find(|verdict| verdict.failure.is_some()) {
        let failure = bad.failure.as_deref().unwrap_or_default();
        return Err(anyhow!("{}: {failure}", bad.check));
    }
    let state = host.systemd.show_one(&unit)?;
    if !state.is_active() {
        return Err(anyhow!("it went down again ({})", state.get("Result")));
    }
    Ok(verdicts)
}

fn take_away(host: &Host, app: &App, copy: &Service, tree: &FileTree) -> Result<()> {
    let mut units = vec![app.unit(copy)];
    if copy.has_socket_unit() {
        units.push(app.socket_unit(copy));
    }
    host.systemd.stop(&units).ok();
    host.systemd.reset_failed(&units);
    for (path, _) in tree.iter() {
        host.root.remove_file(path)?;
        // Never the unit directory itself: it is how a host says that it runs systemd.
        if let Some((dir, _)) = path.rsplit_once('/')
            && dir != RUNTIME_UNIT_DIR
        {
            host.root.remove_dir_if_empty(dir)?;
        }
    }
    if let Some(Listen::Unix(path)) = copy.listen.first() {
        host.root.remove_file(path.as_str())?;
    }
    host.systemd.daemon_reload()
}

/// The administrator's own drop-ins of a unit: a copy of it must obey them too.
pub(super) fn local_drop_ins(host: &Host, unit: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut out = Vec::new();
    for dir in ["/etc/systemd/system", RUNTIME_UNIT_DIR] {
        let dir = format!("{dir}/{unit}.d");
        for name in host.root.list(&dir)? {
            if let Some(bytes) = host.root.read(&format!("{dir}/{name}"))?
                && name.ends_with(".conf")
            {
                out.push((name, bytes));
            }
        }
    }
    Ok(out)
}

/// Stops and removes second copies that a killed run left.
///
/// # Errors
/// When a file cannot be removed.
pub fn sweep(host: &Host, app: &str) -> Result<()> {
    if host.is_offline() {
        return Ok(());
    }
    let ours = |name: &str| {
        let stem = name
            .trim_end_matches(".d")
            .rsplit_once('.')
            .map_or(name, |(stem, _)| stem);
        name.starts_with(&format!("{app}-"))
            && (stem.ends_with(SUFFIX) || stem.ends_with("-standin@"))
    };
    let mut found = false;
    for name in host.root.list(RUNTIME_UNIT_DIR)? {
        let path = format!("{RUNTIME_UNIT_DIR}/{name}");
        if !ours(&name) {
            continue;
        }
        found = true;
        if name.ends_with(".d") {
            host.root.remove_tree(&path)?;
        } else {
            host.systemd.stop(&[name]).ok();
            host.root.remove_file(&path)?;
        }
    }
    if found {
        host.systemd.daemon_reload()
    } else {
        Ok(())
    }
}
