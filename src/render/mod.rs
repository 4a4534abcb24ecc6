//! From an [`App`] to the files that should exist: pure and total.
//!
//! Same app, same target, same bytes: no clock, no host, no release id. Templates lie in
//! `packaging/templates`, each as an operator knows such a file.

mod confs;
mod directives;
mod escape;
mod lints;
mod units;

pub use confs::{Mount, execstart};
pub use directives::{DIRECTIVES, Directive};
pub use lints::{Hit, LINTS, Lint, Weight, lint};

use crate::model::layout::{ENABLE_DIR, SYSUSERS_DIR, TMPFILES_DIR, UNIT_DIR};
use crate::model::{App, Service, Socket, Target};
use crate::tree::{Entry, FileTree};
use anyhow::{Context, Result};

/// Everything that an app needs outside its releases, with the links that enable its units.
///
/// # Errors
/// Only when a value slipped past the model's rules: nothing is then rendered.
pub fn render(app: &App, target: Target) -> Result<FileTree> {
    let mut tree = FileTree::default();
    let out = &mut tree;
    put(
        out,
        TMPFILES_DIR,
        &format!("{}.conf", app.name),
        confs::tmpfiles(app)?,
    );
    put(
        out,
        SYSUSERS_DIR,
        &format!("{}.conf", app.name),
        confs::sysusers(app)?,
    );
    put(out, UNIT_DIR, &app.target_unit(), units::target(app)?);
    enable(out, &app.target_unit(), &["multi-user.target"]);
    for service in &app.services {
        let context = || format!("rendering service `{}`", service.name);
        render_service(app, service, target, out).with_context(context)?;
    }
    Ok(tree)
}

/// Puts one file into a directory.
fn put(tree: &mut FileTree, dir: &str, name: &str, mut text: String) {
    text.push('\n'); // Askama takes a template's last line break away.
    tree.insert(format!("{dir}/{name}"), Entry::file(text));
}

/// The links that `systemctl enable` would make.
fn enable(tree: &mut FileTree, unit: &str, targets: &[&str]) {
    for target in targets {
        tree.insert(
            format!("{ENABLE_DIR}/{target}.wants/{unit}"),
            Entry::Symlink(format!("{UNIT_DIR}/{unit}")),
        );
    }
}

fn render_service(app: &App, service: &Service, target: Target, out: &mut FileTree) -> Result<()> {
    let unit = app.unit(service);
    let app_target = app.target_unit();
    let started = service.enable && service.timer.is_none();
    put(
        out,
        UNIT_DIR,
        &unit,
        units::service(app, service, units::Role::Main)?,
    );
    drop_ins(app, service, target, &unit, Mount::Current, out)?;
    if started {
        enable(out, &unit, &[&app_target]);
    }
    for socket in app.socket_units(service) {
        let text = units::socket(app, service, &socket)?;
        put(out, UNIT_DIR, &socket, text);
        if service.enable {
            enable(out, &socket, &["sockets.target", &app_target]);
        }
    }
    if service.overlaps() {
        let template = app.standin_template(service);
        put(
            out,
            UNIT_DIR,
            &template,
            units::service(app, service, units::Role::StandIn)?,
        );
        drop_ins(app, service, target, &template, Mount::Instance, out)?;
    }
    if service.socket == Socket::Proxy {
        render_proxy(app, service, target, out)?;
    }
    if let Some(timer) = &service.timer {
        let unit = app.timer_unit(service);
        put(out, UNIT_DIR, &unit, units::timer(app, service, timer)?);
        if service.enable {
            enable(out, &unit, &["timers.target", &app_target]);
        }
    }
    Ok(())
}

/// What passes bytes on to a service, and to its stand-in.
fn render_proxy(app: &App, service: &Service, target: Target, out: &mut FileTree) -> Result<()> {
    let proxy = confs::proxy(service)?;
    let unit = app.proxy_unit(service);
    put(
        out,
        UNIT_DIR,
        &unit,
        units::service(app, &proxy, units::Role::Proxy)?,
    );
    drop_ins(app, &proxy, target, &unit, Mount::None, out)?;
    if service.enable && service.timer.is_none() {
        enable(out, &unit, &[&app.target_unit()]);
    }
    if service.overlaps() {
        let template = app.proxy_standin_template(service);
        put(
            out,
            UNIT_DIR,
            &template,
            units::service(app, &proxy, units::Role::ProxyStandIn)?,
        );
        drop_ins(app, &proxy, target, &template, Mount::None, out)?;
    }
    Ok(())
}

/// Where units lie that are gone after a boot.
pub const RUNTIME_UNIT_DIR: &str = "/run/systemd/system";

/// A second copy of a service on the release `id`, for a moment, at an address of its own; it
/// has the sandbox and the environment of the service.
///
/// # Errors
/// As [`render`].
pub fn precheck(app: &App, copy: &Service, target: Target, id: &str) -> Result<FileTree> {
    let mut tree = FileTree::default();
    let unit = app.unit(copy);
    put(
        &mut tree,
        UNIT_DIR,
        &unit,
        units::service(app, copy, units::Role::Main)?,
    );
    drop_ins(app, copy, target, &unit, Mount::Pinned(id), &mut tree)?;
    for socket in app.socket_units(copy) {
        let text = units::socket(app, copy, &socket)?;
        put(&mut tree, UNIT_DIR, &socket, text);
    }
    if !copy.has_socket_unit() {
        let text = "[Service]\nPrivateNetwork=yes".to_owned();
        put(
            &mut tree,
            &format!("{UNIT_DIR}/{unit}.d"),
            "60-alone.conf",
            text,
        );
    }
    Ok(in_runtime(&tree))
}

/// A job of a deploy on the release `id`, in the app's own sandbox.
///
/// # Errors
/// As [`render`].
pub fn hook(app: &App, job: &Service, target: Target, id: &str) -> Result<FileTree> {
    let mut tree = FileTree::default();
    let unit = app.unit(job);
    put(
        &mut tree,
        UNIT_DIR,
        &unit,
        units::service(app, job, units::Role::Main)?,
    );
    drop_ins(app, job, target, &unit, Mount::Pinned(id), &mut tree)?;
    Ok(in_runtime(&tree))
}

/// The same units, where a boot takes them away.
fn in_runtime(tree: &FileTree) -> FileTree {
    let mut runtime = FileTree::default();
    for (path, entry) in tree.iter() {
        let path = path.replacen(UNIT_DIR, RUNTIME_UNIT_DIR, 1);
        runtime.insert(path, entry.clone());
    }
    runtime
}

/// The texts of a service's unit, as systemd merges them: the file, then its drop-ins in order.
///
/// # Errors
/// As [`render`].
pub fn service_texts(app: &App, service: &Service, target: Target) -> Result<Vec<String>> {
    let unit = app.unit(service);
    let mut tree = FileTree::default();
    let main = units::service(app, service, units::Role::Main)?;
    put(&mut tree, UNIT_DIR, &unit, main);
    drop_ins(app, service, target, &unit, Mount::Current, &mut tree)?;
    Ok(tree.iter().map(|(_, entry)| entry.text()).collect())
}

/// The service that passes bytes to a service behind a proxy.
///
/// # Errors
/// When the service has no address.
pub fn proxy_of(service: &Service) -> Result<Service> {
    confs::proxy(service)
}

fn drop_ins(
    app: &App,
    service: &Service,
    target: Target,
    unit: &str,
    mount: Mount<'_>,
    out: &mut FileTree,
) -> Result<()> {
    let dir = format!("{UNIT_DIR}/{unit}.d");
    let files = [
        ("05-execstart.conf", Some(execstart(app, service, mount)?)),
        (
            "10-hardening.conf",
            Some(confs::hardening(app, service, target)?),
        ),
        (
            "15-runtime-dirs.conf",
            match mount {
                Mount::None => None,
                _ => confs::runtime_dirs(app, service)?,
            },
        ),
        ("20-paths.conf", confs::paths(app, service)?),
        ("25-capabilities.conf", confs::capabilities(app, service)?),
        ("30-limits.conf", confs::limits(app, service)?),
    ];
    for (name, text) in files {
        if let Some(text) = text {
            put(out, &dir, name, text);
        }
    }
    Ok(())
}
