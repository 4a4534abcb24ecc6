//! Units that exist only for a moment, in `/run`.

use super::drop_ins::ReleaseMount;
use super::unit_files::UnitFiles;
use super::units::{self, ServiceUnitRole};
use crate::app::{App, Service};
use crate::tree::FileTree;
use crate::units::{RUNTIME_UNIT_DIR, Target};
use anyhow::Result;

/// The units of a pre-check instance on the release `id`. The instance comes from
/// [`pre_check_instance`](super::derive::pre_check_instance).
///
/// # Errors
/// When the service cannot be rendered.
pub fn precheck(app: &App, instance: &Service, target: Target, id: &str) -> Result<FileTree> {
    let mut files = UnitFiles::new(app, target, RUNTIME_UNIT_DIR);
    let unit = app.unit(instance);
    files.service(
        &unit,
        instance,
        ServiceUnitRole::Main,
        ReleaseMount::Pinned(id),
    )?;
    for socket in app.socket_units(instance) {
        files.unit(&socket, units::socket(app, instance, &socket)?);
    }
    if !instance.has_socket_unit() {
        let text = "[Service]\nPrivateNetwork=yes".to_owned();
        files.drop_in(&unit, "60-alone.conf", text);
    }
    Ok(files.tree)
}

/// The unit of a job on a release, in the sandbox that the job asks for.
///
/// # Errors
/// When the service cannot be rendered.
pub fn job(app: &App, job: &Service, target: Target, mount: ReleaseMount<'_>) -> Result<FileTree> {
    let mut files = UnitFiles::new(app, target, RUNTIME_UNIT_DIR);
    files.service(&app.unit(job), job, ServiceUnitRole::Main, mount)?;
    Ok(files.tree)
}
