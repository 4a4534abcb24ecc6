//! tmpfiles.d(5): the directories of an app.

use crate::app::{App, Mode};
use anyhow::Result;
use askama::Template;
use std::collections::BTreeSet;

#[derive(Template)]
#[template(path = "tmpfiles.conf", config = "packaging/askama.toml")]
struct Tmpfiles<'a> {
    app: &'a str,
    user: &'a str,
    group: &'a str,
    state_mode: Mode,
    run_mode: Mode,
    root_dirs: BTreeSet<String>,
}

pub(super) fn tmpfiles(app: &App) -> Result<String> {
    let conf = Tmpfiles {
        app: app.name.as_str(),
        user: app.user.as_str(),
        group: app.group.as_str(),
        state_mode: app.state_mode,
        run_mode: app.run_mode,
        root_dirs: root_dirs(app),
    };
    Ok(conf.render()?)
}

/// The parent directories of all mounts in a service's own root. systemd 247 would create them with
/// the unit's `UMask=`, and the service could not enter them.
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

#[cfg(test)]
mod tests {
    use super::tmpfiles;
    use crate::app::App;
    use crate::manifest::parse;

    /// From 262 on, systemd-tmpfiles refuses an argument that the type of a line does not use.
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
