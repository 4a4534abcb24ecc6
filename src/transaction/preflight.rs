//! What must be true before anything changes.

use crate::app::App;
use crate::app::layout::UNIT_DIR;
use crate::error::fail;
use crate::host::{Host, files, is_root, is_taken, processes, random_hex};
use crate::payload::Payload;
use crate::plan::PayloadPlan;
use crate::tree::{Entry, FileTree};
use anyhow::Result;
use std::net::SocketAddr;
use std::path::Path;

/// Space that stays free, so that cleaning up and rolling back work on a full disk.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// Inodes that stay free.
const RESERVE_INODES: u64 = 256;
/// Bytes that a file takes in the index of a release, at most in most trees.
const INDEX_BYTES_PER_FILE: u64 = 128;
/// Bytes for the other records of a change, the space that is kept for going back included.
const RECORD_BYTES: u64 = 4 * 1024 * 1024;
/// Inodes for all of them.
const RECORD_INODES: u64 = 16;

fn refuse<T>(message: String, hint: String) -> Result<T> {
    fail(message, hint)
}

/// Space for a payload and for what is written down of it, and a reserve.
///
/// # Errors
/// [`HintedError`] names what is missing and what to type.
pub fn space(host: &Host, app: &App, payload: &PayloadPlan) -> Result<()> {
    let index = u64::try_from(payload.files).unwrap_or(u64::MAX);
    let index = index.saturating_mul(INDEX_BYTES_PER_FILE);
    let releases = payload.disk_bytes + RESERVE_BYTES;
    let inodes = payload.disk_inodes + RESERVE_INODES;
    room(host, &app.layout.releases(), releases, inodes)?;
    room(
        host,
        &app.layout.store(),
        index + RECORD_BYTES,
        RECORD_INODES,
    )
}

/// Room for so many bytes and inodes on the file system of a path.
fn room(host: &Host, path: &str, need: u64, count: u64) -> Result<()> {
    let (bytes, inodes) = host.root.free_space(path)?;
    let place = host.root.path(path);
    let hint = "remove old releases with `sudo robotctl prune`, or make room";
    if bytes < need {
        return refuse(
            format!(
                "the disk of `{}` is too full: {} are free, the release needs {}",
                place.display(),
                crate::bytesize::format_bytes(bytes),
                crate::bytesize::format_bytes(need)
            ),
            hint.to_owned(),
        );
    }
    if inodes < count {
        return refuse(
            format!(
                "the disk of `{}` has too few inodes: {inodes} are free, the release needs {count}",
                place.display()
            ),
            hint.to_owned(),
        );
    }
    Ok(())
}

/// Secrets and ports; changes nothing.
///
/// # Errors
/// [`HintedError`] names what is missing and what to type.
pub fn preflight(host: &Host, app: &App, live: Option<&App>) -> Result<()> {
    for secret in app.secrets.iter().filter(|one| one.generate.is_none()) {
        let path = app.layout.credential(secret.name.as_str());
        match host.root.meta(&path) {
            Ok(Some(_)) => {}
            // Only root may see them.
            Err(_) if !is_root() => {}
            Err(error) => return Err(error),
            Ok(None) => {
                return refuse(
                    format!("the secret `{}` is missing", secret.name),
                    format!(
                        "sudo install -D -m 600 FILE {}",
                        host.root.path(&path).display()
                    ),
                );
            }
        }
    }
    ports(host, app, live)
}

/// Secrets and ports. Makes secrets that may be generated.
///
/// # Errors
/// As [`preflight`].
pub fn prepare_secrets(host: &Host, app: &App, live: Option<&App>) -> Result<()> {
    preflight(host, app, live)?;
    for secret in &app.secrets {
        let path = app.layout.credential(secret.name.as_str());
        let Some(bytes) = secret.generate else {
            continue;
        };
        if host.root.meta(&path)?.is_some() {
            continue;
        }
        host.root.make_dir(&app.layout.etc(), 0o755)?;
        host.root.make_dir(&app.layout.credentials(), 0o700)?;
        host.root
            .write_atomic(&path, random_hex(usize::from(bytes))?.as_bytes(), 0o600)?;
    }
    Ok(())
}

/// A port that a stranger holds, for sockets that this deploy would open. Where nothing is recorded
/// as live, the app's own units may run all the same.
fn ports(host: &Host, app: &App, live: Option<&App>) -> Result<()> {
    if host.is_offline() {
        return Ok(());
    }
    let own = held(host, live.unwrap_or(app))?;
    for service in &app.services {
        for listen in &service.listen {
            let Some(address) = listen.local_address() else {
                continue;
            };
            if own.contains(&address) {
                continue;
            }
            if service.enable && is_taken(address) {
                let who = holder(address.port()).unwrap_or_else(|| "another process".to_owned());
                return refuse(
                    format!("{address} of service `{}` is in use by {who}", service.name),
                    "stop that process, or give the service another address in `listen`".to_owned(),
                );
            }
        }
    }
    Ok(())
}

/// The addresses that an app's own units hold.
fn held(host: &Host, app: &App) -> Result<Vec<SocketAddr>> {
    let mut out = Vec::new();
    for service in &app.services {
        let units = if service.has_socket_unit() {
            app.sockets_by_address(service)
        } else {
            vec![app.unit(service); service.listen.len()]
        };
        for (listen, unit) in service.listen.iter().zip(units) {
            if host.systemd.show_one(&unit)?.is_active() {
                out.extend(listen.local_address());
            }
        }
    }
    Ok(out)
}

/// Who listens on a TCP port, with pid and command.
fn holder(port: u16) -> Option<String> {
    let inodes = files::listening_inodes(port);
    let pid = files::socket_owner(&inodes)?;
    let process = processes().ok()?.into_iter().find(|one| one.pid == pid)?;
    Some(format!("pid {pid} (`{}`)", process.command))
}

/// Whether every program of the app is there and executable, seen from the release at `id`.
///
/// # Errors
/// [`HintedError`] names the program.
pub fn programs(host: &Host, app: &App, id: &str) -> Result<()> {
    let release = app.layout.release(id);
    executable(host, app, &|rest| {
        can_run(host, &format!("{release}/{rest}"))
    })
}

/// The same of a release that is not staged yet, by what its payload holds; what a build may make
/// is taken for granted.
///
/// # Errors
/// As [`programs`].
pub fn future_programs(host: &Host, app: &App, payload: &Payload) -> Result<()> {
    let makes = !app.release.build.is_empty() || app.release.python.is_some();
    executable(host, app, &|rest| Ok(makes || payload.may_run(rest)))
}

fn can_run(host: &Host, path: &str) -> Result<bool> {
    let meta = host.root.meta_followed(path).unwrap_or(None);
    // Links into `current` lead nowhere until it is live.
    let link = host.root.meta(path)?.is_some_and(|meta| meta.is_symlink);
    Ok(meta.is_some_and(|meta| meta.mode & 0o111 != 0 && !meta.is_dir) || link)
}

/// `inside` says whether a path of the release can be executed.
fn executable(host: &Host, app: &App, inside: &dyn Fn(&str) -> Result<bool>) -> Result<()> {
    let current = format!("{}/", app.layout.current());
    for service in &app.services {
        let commands = [&service.exec, &service.exec_reload].into_iter();
        for argv in commands.chain(&service.exec_start_pre) {
            let Some(program) = argv.first().map(crate::app::Text::as_str) else {
                continue;
            };
            let own = program.strip_prefix(&current);
            let fine = own.map_or_else(|| can_run(host, program), inside)?;
            if !fine {
                let hint = if own.is_some() {
                    "check `exec`, `release.exclude` and that the file is executable".to_owned()
                } else {
                    "install the package that has it, or put it in the release".to_owned()
                };
                return refuse(
                    format!(
                        "the program `{program}` of service `{}` is not there or not executable",
                        service.name
                    ),
                    hint,
                );
            }
        }
    }
    Ok(())
}

/// Asks systemd whether it understands the units (`systemd-analyze verify`); the rest of its
/// output is about programs that are checked by [`programs`].
///
/// # Errors
/// [`HintedError`] with systemd's words.
pub fn verify_units(host: &Host, app: &App, tree: &FileTree) -> Result<()> {
    if host.is_offline() {
        return Ok(());
    }
    let dir = format!("/run/robotctl/verify-{}", random_hex(6)?);
    let check = || -> Result<Vec<String>> {
        host.root.make_dir(&dir, 0o700)?;
        let mut units = Vec::new();
        for (path, entry) in tree.iter() {
            let Some(name) = path.strip_prefix(&format!("{UNIT_DIR}/")) else {
                continue;
            };
            if let Entry::File { bytes, .. } = entry {
                let target = format!("{dir}/{name}");
                if let Some((parent, _)) = target.rsplit_once('/') {
                    host.root.make_dir(parent, 0o755)?;
                }
                host.root.write_atomic(&target, bytes, 0o644)?;
            }
            if !name.contains('/') {
                units.push(name.to_owned());
            }
        }
        let real = host.root.path(&dir);
        let output = host.systemd.verify(&real, &units)?;
        Ok(complaints(
            &output.stderr,
            &app.layout.current(),
            &real,
            &units,
        ))
    };
    let found = check();
    host.root.remove_tree(&dir)?;
    let found = found?;
    if found.is_empty() {
        return Ok(());
    }
    refuse(
        format!(
            "systemd does not understand the units:\n    {}",
            found.join("\n    ")
        ),
        "this is most likely about `sandbox.directives` or `timer.calendar`".to_owned(),
    )
}

/// Lines about our units that are not about programs of a release that is not live yet. systemd
/// reads all that ours depend on, and has its say on other people's units too.
fn complaints(stderr: &str, current: &str, dir: &Path, units: &[String]) -> Vec<String> {
    let own = format!("Command {current}/");
    let program = |line: &str| line.contains(&own) || line.contains("/bin/robotctl");
    let shown = format!("{}/", dir.display());
    let about_ours = |line: &&str| {
        line.contains(&shown) || units.iter().any(|unit| line.contains(unit.as_str()))
    };
    let absent = |line: &&str| program(line) && line.contains("not executable");
    let lines = stderr
        .lines()
        .filter(about_ours)
        .filter(|line| !absent(line));
    lines.map(|line| line.replace(&shown, "")).collect()
}

#[cfg(test)]
mod tests {
    use super::complaints;
    use std::path::Path;

    #[test]
    fn only_programs_that_are_not_live_yet_are_passed_over() {
        let text = "a.service: Command /opt/a/current/bin/x is not executable: No such file\n\
                    /run/v/a.service:4: Unknown key 'X' in section [Service], ignoring.\n\
                    /etc/systemd/system/other.timer:5: Unknown key 'Y' in section [Timer], ignoring.\n\
                    a.service: Failed to create a.service/start: Unit b.service not found.\n";
        assert_eq!(
            complaints(
                text,
                "/opt/a/current",
                Path::new("/run/v"),
                &["a.service".to_owned()]
            ),
            [
                "a.service:4: Unknown key 'X' in section [Service], ignoring.",
                "a.service: Failed to create a.service/start: Unit b.service not found."
            ]
        );
    }
}
