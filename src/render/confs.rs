//! Drop-ins, tmpfiles.d and sysusers.d.

use super::directives;
use super::escape::{reload, words};
use super::units::gate;
use crate::app::{AbsPath, App, Line, Name, Sandbox, Service, Shape, Target, Text, Type, Upgrade};
use anyhow::{Result, anyhow};
use askama::Template;
use std::collections::BTreeSet;

/// Where the release that a service sees at `/opt/<app>/current` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseMount<'a> {
    /// Whatever `current` names when the service starts.
    Current,
    /// The instance of a template unit.
    Instance,
    /// One release, named: a service rolled back alone.
    Pinned(&'a str),
    /// None: the program is not part of the release.
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
    /// Hides the app's directory on a host whose files are visible: a mount at `current` itself
    /// would follow the link, and the process would see the next swap.
    cover: String,
    current: String,
    releases: String,
}

/// `05-execstart.conf`: commands, working directory and the release's mount.
///
/// # Errors
/// Only when a value slipped past the model's rules.
pub fn execstart(app: &App, service: &Service, mount: ReleaseMount<'_>) -> Result<String> {
    let conf = ExecStart {
        app: app.name.as_str(),
        working_directory: service.working_directory.as_str(),
        exec_start_pre: service
            .exec_start_pre
            .iter()
            .map(|argv| words(argv))
            .collect(),
        exec_start: words(&service.exec),
        exec_start_post: gate(service),
        exec_reload: reload(&service.exec_reload),
        mount,
        cover: match mount != ReleaseMount::None && service.sandbox.allows("host-files") {
            true => app.layout.opt(),
            false => String::new(),
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
    overrides: &'a [(String, Line)],
}

pub(super) fn hardening(app: &App, service: &Service, target: Target) -> Result<String> {
    let shape = Shape::of(app, service);
    let conf = Hardening {
        app: app.name.as_str(),
        lines: directives::lines(&shape, target),
        overrides: &service.sandbox.directives,
    };
    Ok(conf.render()?)
}

#[derive(Template)]
#[template(path = "15-runtime-dirs.conf", config = "packaging/askama.toml")]
struct RuntimeDirs<'a> {
    app: &'a str,
    lines: Vec<(String, String)>,
}

/// The directories that systemd makes for the service and gives to its user.
pub(super) fn runtime_dirs(app: &App, service: &Service) -> Result<Option<String>> {
    let directories = app.directories(service);
    if directories.is_empty() {
        return Ok(None);
    }
    let name = app.name.as_str();
    let mut lines = Vec::new();
    for (stem, _) in &directories {
        let names = match *stem {
            "Runtime" => format!("{name} {name}/locks"),
            _ => name.to_owned(),
        };
        lines.push((format!("{stem}Directory"), names));
        lines.push((format!("{stem}DirectoryMode"), "0750".to_owned()));
        if *stem == "Runtime" {
            // Shared by all services of the app: none may take it away from the others.
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
    read_write: Vec<&'a str>,
    read_write_directive: &'static str,
    read_only: Vec<(&'a str, &'a str)>,
}

pub(super) fn paths(app: &App, service: &Service) -> Result<Option<String>> {
    let sandbox = &service.sandbox;
    if sandbox.read_write.is_empty() && sandbox.read_only.is_empty() {
        return Ok(None);
    }
    let both = |(from, to): &'_ (AbsPath, AbsPath)| (from.to_string(), to.to_string());
    let read_only: Vec<(String, String)> = sandbox.read_only.iter().map(both).collect();
    let conf = Paths {
        app: app.name.as_str(),
        read_write: sandbox.read_write.iter().map(AbsPath::as_str).collect(),
        // An empty root has no such path to re-open: it must be mounted there.
        read_write_directive: match sandbox.allows("host-files") {
            true => "ReadWritePaths",
            false => "BindPaths",
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
    let shape = Shape::of(app, service);
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

pub(super) fn limits(app: &App, service: &Service) -> Result<Option<String>> {
    let lines = service.limits.lines();
    if lines.is_empty() {
        return Ok(None);
    }
    let app = app.name.as_str();
    Ok(Some(Limits { app, lines }.render()?))
}

#[derive(Template)]
#[template(path = "tmpfiles.conf", config = "packaging/askama.toml")]
struct Tmpfiles<'a> {
    app: &'a str,
    user: &'a str,
    root_dirs: BTreeSet<String>,
}

pub(super) fn tmpfiles(app: &App) -> Result<String> {
    let conf = Tmpfiles {
        app: app.name.as_str(),
        user: app.user.as_str(),
        root_dirs: root_dirs(app),
    };
    Ok(conf.render()?)
}

/// The directories above the mounts of an own root. systemd 247 makes those that are missing
/// with the unit's `UMask=`, so that the service could not enter them.
fn root_dirs(app: &App) -> BTreeSet<String> {
    let layout = &app.layout;
    let mut mounts = vec![
        layout.current(),
        layout.state(),
        layout.cache(),
        layout.logs(),
        layout.run(),
        layout.etc(),
    ];
    for service in &app.services {
        let sandbox = &service.sandbox;
        mounts.extend(sandbox.read_write.iter().map(ToString::to_string));
        mounts.extend(sandbox.read_only.iter().map(|(_, to)| to.to_string()));
        if sandbox.allows("system-bus") {
            mounts.extend(["/run/dbus/x", "/run/systemd/x"].map(str::to_owned));
        }
    }
    let mut out = BTreeSet::new();
    for mount in &mounts {
        let ends = mount.match_indices('/').map(|(end, _)| end).skip(1);
        out.extend(ends.filter_map(|end| mount.get(..end).map(str::to_owned)));
    }
    out
}

#[derive(Template)]
#[template(path = "sysusers.conf", config = "packaging/askama.toml")]
struct Sysusers<'a> {
    app: &'a str,
    state: String,
    users: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
}

pub(super) fn sysusers(app: &App) -> Result<String> {
    let services = app.services.iter();
    let users = services.clone().map(|service| &service.user);
    let users = users.chain([&app.user]).map(Name::as_str);
    let groups = services.flat_map(|service| &service.groups);
    let conf = Sysusers {
        app: app.name.as_str(),
        state: app.layout.state(),
        users: users.filter(|user| *user != "root").collect(),
        groups: groups.map(Name::as_str).collect(),
    };
    Ok(conf.render()?)
}

/// The service that passes bytes from the socket to a server in its own network namespace.
pub(super) fn proxy(service: &Service) -> Result<Service> {
    let text = |text: &str| Text::parse(text).map_err(|clause| anyhow!("`{text}`: {clause}"));
    let address = service
        .listen
        .iter()
        .find_map(crate::app::Listen::local_address);
    let address = address.ok_or_else(|| anyhow!("a proxy needs an address"))?;
    let mut proxy = service.clone();
    proxy.name = Name::parse(&format!("{}-proxy", service.name))
        .map_err(|clause| anyhow!("`{}-proxy`: {clause}", service.name))?;
    proxy.exec = vec![
        text("/usr/bin/robotctl")?,
        text("relay")?,
        text(&address.to_string())?,
    ];
    proxy.kind = Type::Notify;
    // It takes the listener from the socket unit by name; the address is its argument.
    proxy.listen.clear();
    proxy.upgrade = Upgrade::Restart;
    proxy.exec_start_pre.clear();
    proxy.exec_reload.clear();
    for units in [
        &mut proxy.after,
        &mut proxy.requires,
        &mut proxy.wants,
        &mut proxy.conflicts,
    ] {
        units.clear(); // It requires the service, which has them.
    }
    proxy.groups.clear();
    proxy.env.clear();
    proxy.secrets.clear();
    proxy.watchdog = None;
    // What was opened for the service is not opened for what stands before it.
    proxy.sandbox = Sandbox::default();
    proxy.limits = crate::app::Limits::default();
    proxy.working_directory = AbsPath::parse("/").map_err(|clause| anyhow!("`/`: {clause}"))?;
    Ok(proxy)
}

#[cfg(test)]
mod tests {
    use super::tmpfiles;
    use crate::app::App;
    use crate::manifest::parse;

    /// From 262 on, systemd-tmpfiles refuses an argument that the type of a line has no use for.
    #[test]
    fn no_line_of_tmpfiles_has_an_argument() {
        let text = "[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\nexec = [\"/bin/w\"]\n\
            sandbox = { read-write = [\"/srv/a/b\"], allow = [\"system-bus\"] }\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        let text = tmpfiles(&app).unwrap();
        assert!(text.contains("d /run/robotctl/root/srv/a 0755 root root -\n"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words.len(), 6, "{line}");
            assert!(["d", "f"].contains(&words[0]), "{line}");
        }
    }
}
