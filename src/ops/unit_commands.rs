//! Commands that units of an app and robotctl itself run: waiting for an address, the attempts of a probe, the
//! relay, reading an archive, and the status page.

use super::context::Context;
use crate::archive;
pub(crate) use crate::archive::Format as ArchiveFormat;
use crate::error::{Claim as _, Error, fail};
use crate::health::{Address, wait_listening};
use crate::host;
use crate::page::{self, Places};
use crate::relay;
use anyhow::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Waits until a server accepts connections at an address: the readiness check of a proxied service.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when the address is not one, or nothing accepts in time.
pub(crate) fn wait_for(address: &str, within: Duration) -> Result<(), Error> {
    let wait = || -> Result<()> {
        let address = match address.strip_prefix("unix:") {
            Some(path) => Address::Unix(path.to_owned()),
            None => match address.parse() {
                Ok(address) => Address::Tcp(address),
                Err(_) => {
                    return fail(
                        format!("`{address}` is not an address"),
                        "write `127.0.0.1:8080` or `unix:/run/app.sock`",
                    );
                }
            },
        };
        // systemd passes the main process to the commands that it starts after it (systemd.exec(5)).
        let program = host::variable("MAINPID").and_then(|pid| pid.parse().ok());
        wait_listening(&address, within, program)
    };
    wait().nothing_changed()
}

/// Writes the members of the archive at standard input to standard output, without any right.
///
/// # Errors
/// When the process cannot give up its rights.
pub(crate) fn read_archive(format: ArchiveFormat) -> Result<(), Error> {
    archive::decode(format).nothing_changed()
}

/// The longest time of all attempts of a unit. systemd ends the unit a little later.
const MAX_ATTEMPTS_TIME: Duration = Duration::from_secs(8);

/// Makes attempts in the sandbox of this process. Gives the word of each to `report` if they are made in this
/// process, and all of them to systemd otherwise. With `user`, they are made as that dynamic user.
///
/// # Errors
/// The operating system's.
pub(crate) fn attempt(
    ctx: &Context<'_>,
    attempts: &[String],
    user: Option<&str>,
    is_here: bool,
    report: impl FnMut(&str),
) -> Result<(), Error> {
    let attempt = || -> Result<()> {
        if is_here {
            host::attempt_each(attempts, report);
            return Ok(());
        }
        let uid = user.map(|name| ctx.host.systemd.dynamic_user(name));
        let uid = uid.transpose()?;
        let program = |rest: &[String]| {
            let command = host::attempt_command(rest);
            match uid {
                // systemd gives the group the same number.
                Some(uid) => command.as_user(uid, uid),
                None => command,
            }
        };
        let words = host::attempt_all(program, attempts, MAX_ATTEMPTS_TIME)?;
        host::notify_attempts(&words.join(" "))
    };
    attempt().nothing_changed()
}

/// Passes connections of the inherited sockets on to a server, until a signal ends it.
///
/// # Errors
/// The operating system's.
pub(crate) fn relay(server: SocketAddr) -> Result<(), Error> {
    relay::run(server).nothing_changed()
}

/// Serves the status page on the inherited sockets, until a signal ends it.
///
/// # Errors
/// The operating system's.
pub(crate) fn page(
    ctx: &Context<'_>,
    version_file: &Path,
    opt: &Path,
    report: Option<&Path>,
    names: &[String],
) -> Result<(), Error> {
    let places = Places {
        opt: opt.to_owned(),
        report: report.map(Path::to_owned),
    };
    page::serve(&ctx.host, version_file, places, names.to_vec()).nothing_changed()
}
