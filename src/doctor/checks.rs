//! The checks. Each looks at one thing and changes nothing.

use super::{Found, Patient, Severity};
use crate::host::{files, is_hidden, release_of};
use crate::model::Listen;
use crate::model::layout::{ENABLE_DIR, UNIT_DIR};
use crate::render::{Weight, lint};
use crate::tree::Entry;
use anyhow::{Context as _, Result, bail};

type Findings = Result<Vec<Found>>;

fn error(message: impl Into<String>, hint: impl Into<String>) -> Found {
    (Severity::Error, message.into(), hint.into())
}

fn warning(message: impl Into<String>, hint: impl Into<String>) -> Found {
    (Severity::Warning, message.into(), hint.into())
}

pub(super) fn journal(patient: &Patient<'_>) -> Findings {
    let Some(journal) = patient.book.journal()? else {
        return Ok(Vec::new());
    };
    Ok(vec![match patient.book.worker() {
        Some(worker) => warning(
            format!("a {} is under way: {worker}", journal.operation),
            "look again when it has ended",
        ),
        None => error(
            format!("a {} was interrupted", journal.operation),
            "sudo robotctl recover",
        ),
    }])
}

pub(super) fn current(patient: &Patient<'_>) -> Findings {
    let path = patient.layout.current();
    let Some(live) = &patient.state.live else {
        return Ok(Vec::new());
    };
    let again = "sudo robotctl deploy --apply";
    let wanted = format!("releases/{live}");
    let root = &patient.host.root;
    let mut out = Vec::new();
    match root.meta(&path)? {
        None => out.push(error(format!("`{path}` is missing"), again)),
        Some(meta) if !meta.is_symlink => {
            out.push(error(
                format!("`{path}` is no link"),
                format!("move it away, then: ln -s {wanted} {path}"),
            ));
        }
        Some(_) => {
            let target = root.read_link(&path)?.unwrap_or_default();
            if target != wanted {
                out.push(error(
                    format!("`{path}` points at `{target}`, `{wanted}` is live"),
                    format!("sudo robotctl rollback {live}"),
                ));
            }
        }
    }
    let dir = patient.layout.release(live);
    if root.meta(&dir)?.is_none() {
        out.push(error(
            format!("the live release is gone: `{dir}`"),
            "deploy it again, or: sudo robotctl rollback",
        ));
        return Ok(out);
    }
    let payload = patient.book.payload(live)?.unwrap_or_default();
    let missing = payload.items.iter().filter(|item| {
        let path = format!("{dir}/{}", item.path);
        root.meta(&path).is_ok_and(|meta| meta.is_none())
    });
    let missing: Vec<&str> = missing.map(|item| item.path.as_str()).take(3).collect();
    if !missing.is_empty() {
        out.push(error(
            format!("files of the live release are gone: {}", missing.join(", ")),
            "sudo robotctl rollback, then deploy it again",
        ));
    }
    Ok(out)
}

pub(super) fn files(patient: &Patient<'_>) -> Findings {
    let mut out = Vec::new();
    for (path, entry) in patient.tree.iter() {
        if matches!(entry, Entry::Symlink(_)) || pinned(patient, path) {
            continue; // Enablement is the administrator's; a pin rewrites its own file.
        }
        match patient.host.root.entry(path)? {
            Some(found) if found == *entry => {}
            Some(_) => out.push(warning(
                format!("`{path}` was changed by hand"),
                "put changes into a drop-in under /etc/systemd/system; `robotctl deploy` shows the difference",
            )),
            None => out.push(error(
                format!("`{path}` is missing"),
                "sudo robotctl deploy --apply",
            )),
        }
    }
    Ok(out)
}

/// Whether a path is the file that pins a service to a release of its own.
fn pinned(patient: &Patient<'_>, path: &str) -> bool {
    let app = &patient.app.name;
    let mut pins = patient.state.pins.keys();
    pins.any(|name| path.ends_with(&format!("/{app}-{name}.service.d/05-execstart.conf")))
}

pub(super) fn shadowed(patient: &Patient<'_>) -> Findings {
    let mut out = Vec::new();
    for path in patient.tree.paths() {
        let Some(unit) = path.strip_prefix(&format!("{UNIT_DIR}/")) else {
            continue;
        };
        let other = format!("{ENABLE_DIR}/{unit}");
        let root = &patient.host.root;
        let masked = root.read_link(&other)?.as_deref() == Some("/dev/null");
        if unit.contains('/') || masked {
            continue;
        }
        if root.meta(&other)?.is_some() {
            out.push(warning(
                format!("`{other}` hides the generated unit, and cannot be masked"),
                format!("make it a drop-in: /etc/systemd/system/{unit}.d/50-local.conf"),
            ));
        }
    }
    Ok(out)
}

/// Units that should be up: sockets, timers and daemons that are enabled.
fn wanted(patient: &Patient<'_>) -> Vec<String> {
    let app = patient.app;
    let mut out = Vec::new();
    for service in app.services.iter().filter(|service| service.enable) {
        out.extend(app.socket_units(service));
        if service.timer.is_some() {
            out.push(app.timer_unit(service));
        }
        if service.is_daemon() {
            out.push(app.unit(service));
        }
    }
    out
}

pub(super) fn units(patient: &Patient<'_>) -> Findings {
    let mut names = wanted(patient);
    let app = patient.app;
    let jobs = app.services.iter().filter(|service| !service.is_daemon());
    names.extend(jobs.map(|service| app.unit(service)));
    let up = wanted(patient);
    let states = patient.host.systemd.show(&names)?;
    let mut out = Vec::new();
    for (unit, state) in names.iter().zip(states) {
        if state.is_masked() {
            out.push(warning(
                format!("`{unit}` is masked by the administrator"),
                format!("if it should run: sudo systemctl unmask {unit}"),
            ));
        } else if state.is_failed() {
            out.push(error(
                format!("`{unit}` has failed: {}", state.get("Result")),
                format!("journalctl -u {unit} -n 50; then: sudo systemctl restart {unit}"),
            ));
        } else if !patient.host.is_offline() && !state.is_loaded() {
            out.push(error(
                format!("systemd does not know `{unit}`"),
                "sudo systemctl daemon-reload",
            ));
        } else if up.contains(unit) && !patient.host.is_offline() && !state.is_active() {
            out.push(warning(
                format!("`{unit}` is {}", state.get("ActiveState")),
                format!("if it should run: sudo systemctl start {unit}"),
            ));
        }
        if state.get("NeedDaemonReload") == "yes" {
            out.push(warning(
                format!("`{unit}` changed on disk and systemd has the old file"),
                "sudo systemctl daemon-reload",
            ));
        }
    }
    Ok(out)
}

pub(super) fn running(patient: &Patient<'_>) -> Findings {
    let Some(live) = &patient.state.live else {
        return Ok(Vec::new());
    };
    let mut out = Vec::new();
    let mut hidden = Vec::new();
    for service in &patient.app.services {
        let unit = patient.app.unit(service);
        let state = patient.host.systemd.show_one(&unit)?;
        let Some(pid) = state.main_pid() else {
            continue;
        };
        if is_hidden(pid) {
            hidden.push(format!("`{unit}`"));
            continue;
        }
        let runs = release_of(pid, patient.app.name.as_str());
        let wanted = patient
            .state
            .pins
            .get(service.name.as_str())
            .unwrap_or(live);
        if let Some(runs) = runs.filter(|runs| runs != wanted) {
            out.push(error(
                format!("`{unit}` runs {runs}, it should run {wanted}"),
                format!("sudo systemctl restart {unit}"),
            ));
        }
    }
    let pattern = format!("{}-*-standin@*", patient.app.name);
    for unit in patient.host.systemd.list(&pattern)? {
        out.push(warning(
            format!("the stand-in `{unit}` was left behind"),
            format!("sudo systemctl stop {unit}"),
        ));
    }
    if out.is_empty() && !hidden.is_empty() {
        bail!("the processes of {} cannot be seen", hidden.join(", "));
    }
    Ok(out)
}

pub(super) fn tmpfiles(patient: &Patient<'_>) -> Findings {
    let path = format!(
        "{}/{}.conf",
        crate::model::layout::TMPFILES_DIR,
        patient.app.name
    );
    let Some(Entry::File { bytes, .. }) = patient.tree.get(&path) else {
        return Ok(Vec::new());
    };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let again = format!("sudo systemd-tmpfiles --create {path}");
    let mut out = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, path, mode, user, ..] = words.as_slice() else {
            continue;
        };
        let Some(meta) = patient.host.root.meta(path)? else {
            out.push(error(format!("`{path}` is missing"), &again));
            continue;
        };
        if meta.is_dir != kind.starts_with('d') {
            out.push(error(
                format!("`{path}` is not what tmpfiles.d makes"),
                "move it away, then: ".to_owned() + &again,
            ));
            continue;
        }
        let mode = u32::from_str_radix(mode, 8).context("reading tmpfiles.d")?;
        if meta.mode != mode {
            out.push(warning(
                format!("`{path}` has mode {:04o}, not {mode:04o}", meta.mode),
                &again,
            ));
        }
        match files::user_ids(user)? {
            None => out.push(error(
                format!("the user `{user}` is missing"),
                format!(
                    "sudo systemd-sysusers {}/{}.conf",
                    crate::model::layout::SYSUSERS_DIR,
                    patient.app.name
                ),
            )),
            Some((uid, _)) if uid != meta.uid => {
                out.push(error(format!("`{path}` is not owned by `{user}`"), &again));
            }
            Some(_) => {}
        }
    }
    Ok(out)
}

pub(super) fn permissions(patient: &Patient<'_>) -> Findings {
    let mut out = Vec::new();
    if let Some(live) = &patient.state.live {
        let dir = patient.host.root.path(&patient.layout.release(live));
        let loose = files::loose(&dir)?;
        if let Some(first) = loose.first() {
            out.push(error(
                format!(
                    "{} files of the live release are not root's alone to write, such as `{}`",
                    loose.len(),
                    first.display()
                ),
                format!(
                    "sudo chown -R root:root {0} && sudo chmod -R u=rwX,go=rX {0}",
                    dir.display()
                ),
            ));
        }
    }
    let mut private = vec![patient.layout.env_file()];
    private.extend(
        patient
            .app
            .secrets
            .iter()
            .map(|secret| patient.layout.credential(secret.name.as_str())),
    );
    for path in private {
        if let Some(meta) = patient.host.root.meta(&path)?
            && (meta.mode & 0o077 != 0 || meta.uid != 0)
        {
            out.push(error(
                format!("`{path}` can be read by others than root"),
                format!("sudo chown root:root {path} && sudo chmod 600 {path}"),
            ));
        }
    }
    Ok(out)
}

pub(super) fn secrets(patient: &Patient<'_>) -> Findings {
    let mut out = Vec::new();
    for secret in &patient.app.secrets {
        let path = patient.layout.credential(secret.name.as_str());
        if patient.host.root.meta(&path)?.is_none() {
            out.push(error(
                format!("the secret `{}` is missing", secret.name),
                format!("put it in `{path}`, owned by root, mode 0600"),
            ));
        }
    }
    Ok(out)
}

pub(super) fn ports(patient: &Patient<'_>) -> Findings {
    if patient.host.is_offline() {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for service in patient.app.services.iter().filter(|service| service.enable) {
        let units = match service.has_socket_unit() {
            true => patient.app.sockets_by_address(service),
            false => vec![patient.app.unit(service); service.listen.len()],
        };
        for (listen, unit) in service.listen.iter().zip(units) {
            if let Some(found) = port(patient, &unit, listen)? {
                out.push(found);
            }
        }
    }
    Ok(out)
}

fn port(patient: &Patient<'_>, unit: &str, listen: &Listen) -> Result<Option<Found>> {
    let state = patient.host.systemd.show_one(unit)?;
    if state.is_masked() {
        return Ok(None);
    }
    let active = state.is_active();
    let Some(port) = listen.port() else {
        let Listen::Unix(path) = listen else {
            return Ok(None);
        };
        let there = patient.host.root.meta(path.as_str())?.is_some();
        return Ok((!there).then(|| {
            error(
                format!("the socket `{path}` is missing"),
                format!("sudo systemctl restart {unit}"),
            )
        }));
    };
    let sockets = files::listening_inodes(port);
    if sockets.is_empty() {
        return Ok(Some(error(
            format!("nobody listens on {listen}"),
            format!("sudo systemctl start {unit}"),
        )));
    }
    if !active {
        let who = files::socket_owner(&sockets)
            .map_or("another process".to_owned(), |pid| format!("pid {pid}"));
        return Ok(Some(error(
            format!("{listen} is held by {who}, and `{unit}` is down"),
            "stop that process, or give the service another address",
        )));
    }
    Ok(None)
}

/// Notices are choices: a healthy host has them too.
pub(super) fn manifest(patient: &Patient<'_>) -> Findings {
    let found = |hit: crate::render::Hit| match hit.weight {
        Weight::Notice => None,
        Weight::Warning => Some(warning(hit.message, hit.hint)),
        Weight::Error => Some(error(hit.message, hit.hint)),
    };
    let hits = lint(patient.app, None).into_iter();
    Ok(hits.filter_map(found).collect())
}

pub(super) fn disk(patient: &Patient<'_>) -> Findings {
    let path = patient.layout.releases();
    let (bytes, inodes) = patient.host.root.free_space(&path)?;
    let payload = match &patient.state.live {
        Some(live) => patient.book.payload(live)?,
        None => None,
    };
    let need = payload.as_ref().map_or(0, crate::stage::Payload::bytes) + 64 * 1024 * 1024;
    let count = payload.as_ref().map_or(0, crate::stage::Payload::files) + 1024;
    if bytes < need || inodes < count as u64 {
        return Ok(vec![warning(
            format!(
                "the disk of `{path}` is nearly full: {} free",
                crate::plan::bytes(bytes)
            ),
            "sudo robotctl prune",
        )]);
    }
    Ok(Vec::new())
}
