//! Everything that an app needs outside its releases.

use super::drop_ins::ReleaseMount;
use super::unit_files::{UnitFiles, put};
use super::units::ServiceUnitRole;
use super::{derive, preset, sysusers, tmpfiles, units};
use crate::app::layout::{PRESET_DIR, SYSUSERS_DIR, TMPFILES_DIR};
use crate::app::{App, Service, Socket};
use crate::tree::FileTree;
use crate::units::{Target, UNIT_DIR};
use anyhow::{Context, Result};

/// Everything that an app needs outside its releases, with the links that enable its units.
///
/// # Errors
/// When a value would change the meaning of a unit file: the types of [`App`] allow none.
pub fn render(app: &App, target: Target) -> Result<FileTree> {
    let mut files = UnitFiles::new(app, target, UNIT_DIR);
    let name = format!("{}.conf", app.name);
    put(
        &mut files.tree,
        format!("{TMPFILES_DIR}/{name}"),
        tmpfiles::tmpfiles(app)?,
    );
    put(
        &mut files.tree,
        format!("{SYSUSERS_DIR}/{name}"),
        sysusers::sysusers(app)?,
    );
    if let Some(text) = preset::preset(app)? {
        // Presets of distributions have 90, and the first line for a unit counts.
        let path = format!("{PRESET_DIR}/20-{}.preset", app.name);
        put(&mut files.tree, path, text);
    }
    files.unit(&app.target_unit(), units::target(app)?);
    files.enable(&app.target_unit(), &["multi-user.target"]);
    for service in &app.services {
        let context = || format!("rendering service `{}`", service.name);
        render_service(app, service, &mut files).with_context(context)?;
    }
    Ok(files.tree)
}

/// The texts of a service's unit, as systemd merges them: the file, then its drop-ins in order. It sees the release
/// `mount`.
///
/// # Errors
/// When the service cannot be rendered.
pub fn service_texts(
    app: &App,
    service: &Service,
    target: Target,
    mount: ReleaseMount<'_>,
) -> Result<Vec<String>> {
    let mut files = UnitFiles::new(app, target, UNIT_DIR);
    files.service(&app.unit(service), service, ServiceUnitRole::Main, mount)?;
    Ok(files.tree.iter().map(|(_, entry)| entry.text()).collect())
}

fn render_service(app: &App, service: &Service, files: &mut UnitFiles<'_>) -> Result<()> {
    let unit = app.unit(service);
    files.service(&unit, service, ServiceUnitRole::Main, ReleaseMount::Current)?;
    for socket in app.socket_units(service) {
        files.unit(&socket, units::socket(app, service, &socket)?);
    }
    if service.socket == Socket::Proxy {
        render_proxy(app, service, files)?;
    }
    if let Some(timer) = &service.timer {
        let unit = app.timer_unit(service);
        files.unit(&unit, units::timer(app, service, timer)?);
    }
    if service.enable {
        enable(app, service, files);
    }
    Ok(())
}

/// The proxy of a service.
fn render_proxy(app: &App, service: &Service, files: &mut UnitFiles<'_>) -> Result<()> {
    let unit = app.proxy_unit(service);
    let proxy = derive::proxy(service)?;
    files.service(&unit, &proxy, ServiceUnitRole::Proxy, ReleaseMount::None)
}

/// The links that `systemctl enable` makes for the units of all services, also of those that do not start with
/// the app: the administrator may enable them.
pub fn possible_links(app: &App) -> FileTree {
    let mut files = UnitFiles::new(app, Target::Portable, UNIT_DIR);
    for service in &app.services {
        enable(app, service, &mut files);
    }
    files.tree
}

/// The links of one service, as the `[Install]` sections of its units say.
fn enable(app: &App, service: &Service, files: &mut UnitFiles<'_>) {
    let app_target = app.target_unit();
    if service.timer.is_some() {
        files.enable(&app.timer_unit(service), &["timers.target", &app_target]);
    } else {
        files.enable(&app.unit(service), &[&app_target]);
        if service.socket == Socket::Proxy {
            files.enable(&app.proxy_unit(service), &[&app_target]);
        }
    }
    for socket in app.socket_units(service) {
        files.enable(&socket, &["sockets.target", &app_target]);
    }
}
