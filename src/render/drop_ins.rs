//! The drop-ins of a service.

use super::escape::reload;
use super::units::{command, wait_for_port};
use crate::app::{AbsPath, App, Line, Service};
use crate::sandbox::directives;
use crate::units::{Target, UNIT_DIR, UnitFile};
use anyhow::Result;
use askama::Template;

/// The drop-in with the commands and the release.
pub(super) const EXECSTART: &str = "05-execstart.conf";

/// The path of a service's `05-execstart.conf`, which alone decides the release that it runs.
pub fn execstart_path(unit: &str) -> String {
    UnitFile::drop_in(unit, EXECSTART).path_in(UNIT_DIR)
}

/// Which release a service sees at `/opt/<app>/current`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseMount<'a> {
    /// The one that `current` points at when the service starts.
    Current,
    /// This one.
    Pinned(&'a str),
    /// None, since the program is not part of a release.
    None,
}

#[derive(Template)]
#[template(path = "05-execstart.conf", config = "packaging/askama.toml")]
struct ExecStart<'a> {
    app: &'a str,
    working_directory: &'a str,
    exec_start_pre: Vec<String>,
    exec_start: String,
    exec_start_post: String,
    exec_reload: String,
    mount: ReleaseMount<'a>,
    /// A directory to hide, if the files of the host are visible. A mount at `current` itself would
    /// follow the link, and the process would see the next switch.
    cover: String,
    current: String,
    releases: String,
}

/// `05-execstart.conf`: commands, working directory and the mount of the release.
///
/// # Errors
/// When a value would change the meaning of the file: the types of [`App`] allow none.
pub fn execstart(app: &App, service: &Service, mount: ReleaseMount<'_>) -> Result<String> {
    let conf = ExecStart {
        app: app.name.as_str(),
        working_directory: service.working_directory.as_str(),
        exec_start_pre: service
            .exec_start_pre
            .iter()
            .map(|argv| command(service, argv))
            .collect(),
        exec_start: command(service, &service.exec),
        exec_start_post: wait_for_port(service),
        exec_reload: reload(&service.exec_reload),
        mount,
        cover: if mount != ReleaseMount::None && service.sandbox.allows("host-files") {
            app.layout.opt()
        } else {
            String::new()
        },
        current: app.layout.current(),
        releases: app.layout.releases(),
    };
    Ok(conf.render()?)
}

#[derive(Template)]
#[template(path = "10-hardening.conf", config = "packaging/askama.toml")]
struct Hardening<'a> {
    app: &'a str,
    lines: Vec<(&'static str, String)>,
}

pub(super) fn hardening(app: &App, service: &Service, target: Target) -> Result<String> {
    let shape = app.shape(service);
    let conf = Hardening {
        app: app.name.as_str(),
        lines: directives::lines(&shape, target),
    };
    Ok(conf.render()?)
}

#[derive(Template)]
#[template(path = "15-runtime-dirs.conf", config = "packaging/askama.toml")]
struct RuntimeDirs<'a> {
    app: &'a str,
    lines: Vec<(String, String)>,
}

/// `15-runtime-dirs.conf`: the directories that systemd creates for the service.
pub(super) fn runtime_dirs(app: &App, service: &Service) -> Result<Option<String>> {
    let directories = app.directories(service);
    if directories.is_empty() {
        return Ok(None);
    }
    let name = app.name.as_str();
    let mut lines = Vec::new();
    // Only names directly below `/run`, `/var/lib`, `/var/cache` and `/var/log`: root owns those. A name in
    // a directory of the service, such as `shop/locks`, the service could replace by a link, and systemd
    // would start no service of the app again.
    for (stem, _) in &directories {
        lines.push((format!("{stem}Directory"), name.to_owned()));
        let mode = app.directory_mode(stem).to_string();
        lines.push((format!("{stem}DirectoryMode"), mode));
        if *stem == "Runtime" {
            // All services of the app share it, so it stays when one of them stops.
            lines.push(("RuntimeDirectoryPreserve".to_owned(), "yes".to_owned()));
        }
    }
    let app = name;
    Ok(Some(RuntimeDirs { app, lines }.render()?))
}

#[derive(Template)]
#[template(path = "20-paths.conf", config = "packaging/askama.toml")]
struct Paths<'a> {
    app: &'a str,
    /// The directories of the app, which systemd has created for the service when it reads this.
    own: String,
    read_write: Vec<&'a str>,
    read_write_directive: &'static str,
    read_only: Vec<(&'a str, &'a str)>,
}

/// `20-paths.conf`: the paths that the service can use besides its programs and libraries.
pub(super) fn paths(
    app: &App,
    service: &Service,
    mount: ReleaseMount<'_>,
) -> Result<Option<String>> {
    let sandbox = &service.sandbox;
    let own = match mount {
        ReleaseMount::None => Vec::new(),
        _ => app.directories(service),
    };
    if own.is_empty() && sandbox.read_write.is_empty() && sandbox.read_only.is_empty() {
        return Ok(None);
    }
    let mut own: Vec<String> = own.into_iter().map(|(_, path)| path).collect();
    own.sort_by_key(|path| path.starts_with("/run/"));
    let pair = |(from, to): &'_ (AbsPath, AbsPath)| (from.to_string(), to.to_string());
    let read_only: Vec<(String, String)> = sandbox.read_only.iter().map(pair).collect();
    let conf = Paths {
        app: app.name.as_str(),
        own: own.join(" "),
        read_write: sandbox.read_write.iter().map(AbsPath::as_str).collect(),
        // In its own root the path does not exist: it must be mounted.
        read_write_directive: if sandbox.allows("host-files") {
            "ReadWritePaths"
        } else {
            "BindPaths"
        },
        read_only: read_only
            .iter()
            .map(|(from, to)| (from.as_str(), to.as_str()))
            .collect(),
    };
    Ok(Some(conf.render()?))
}

#[derive(Template)]
#[template(path = "25-capabilities.conf", config = "packaging/askama.toml")]
struct Capabilities<'a> {
    app: &'a str,
    capabilities: String,
}

pub(super) fn capabilities(app: &App, service: &Service) -> Result<Option<String>> {
    let shape = app.shape(service);
    if shape.capabilities.is_empty() {
        return Ok(None);
    }
    let conf = Capabilities {
        app: app.name.as_str(),
        capabilities: shape.capabilities.join(" "),
    };
    Ok(Some(conf.render()?))
}

#[derive(Template)]
#[template(path = "30-limits.conf", config = "packaging/askama.toml")]
struct Limits<'a> {
    app: &'a str,
    lines: Vec<(&'static str, String)>,
}

pub(super) fn limits(app: &App, service: &Service) -> Result<String> {
    let lines = service.limits.lines();
    let app = app.name.as_str();
    Ok(Limits { app, lines }.render()?)
}

#[derive(Template)]
#[template(path = "40-directives.conf", config = "packaging/askama.toml")]
struct Directives<'a> {
    app: &'a str,
    lines: &'a [(String, Line)],
}

/// `40-directives.conf`: the raw directives of the manifest, after everything else that is generated.
pub(super) fn raw_directives(app: &App, service: &Service) -> Result<Option<String>> {
    let lines = service.sandbox.directives.as_slice();
    if lines.is_empty() {
        return Ok(None);
    }
    let app = app.name.as_str();
    Ok(Some(Directives { app, lines }.render()?))
}
