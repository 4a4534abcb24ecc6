//! The FILES section of the manual pages.

use crate::app::layout::{
    ENABLE_DIR, PRESET_DIR, SYSUSERS_DIR, TMPFILES_DIR, UNIT_DIR, VENDOR_DIR,
};
use crate::app::{Layout, Name};
use anyhow::{Result, anyhow};

/// The files of an app, by path.
pub(super) fn files() -> Result<Vec<(String, &'static str)>> {
    let name = Name::parse("app").map_err(|hint| anyhow!(hint))?;
    let layout = Layout::new(&name);
    let store = layout.store();
    let files = vec![
        (
            "./robot.toml".to_owned(),
            "The manifest: see robot.toml(5).",
        ),
        (
            format!("{VENDOR_DIR}/app/robot.toml"),
            "The manifest of an app that a package installed.",
        ),
        (
            layout.release("ID"),
            "A release. It is never changed after it was staged.",
        ),
        (layout.current(), "Link to the live release."),
        (layout.state(), "State of the app. Services write here."),
        (
            layout.env_file(),
            "Environment variables that you set on this host, as `NAME=value` lines. They override \
             those of the manifest. robotctl creates it empty and never overwrites it.",
        ),
        (
            layout.local_manifest(),
            "What differs on this host: the same table as an environment of the manifest, and stronger. Only \
             root may be able to write it.",
        ),
        (
            layout.credentials(),
            "Secrets, one file each. Only root can read them.",
        ),
        (
            layout.previous_credentials(),
            "The previous value of each secret that `robotctl secret` has changed. Only root can read them.",
        ),
        (UNIT_DIR.to_owned(), "Generated units and drop-ins."),
        (
            format!("{ENABLE_DIR}/UNIT.d/50-local.conf"),
            "Your own drop-in for a unit. It overrides the generated ones.",
        ),
        (
            format!("{TMPFILES_DIR}/app.conf, {SYSUSERS_DIR}/app.conf"),
            "Generated directories and accounts.",
        ),
        (
            format!("{PRESET_DIR}/20-app.preset"),
            "Keeps presets of systemd from enabling the units of services with `enable = false`.",
        ),
        (
            format!(
                "{store}/state.json, {store}/history.jsonl, {store}/attempts.jsonl, \
                 {store}/package.json, {store}/releases/ID.json"
            ),
            "The public part of what robotctl stores about the app, readable for any user: names, \
             ids, times, results. It holds no content of files and no values.",
        ),
        (
            format!(
                "{store}/journal.json, {store}/failed.json, {store}/history.private, \
                 {store}/attempts.private, {store}/releases/ID.private, \
                 {store}/releases/ID.index, {store}/releases/ID.built, {store}/overlays/ID.<digest>, {store}/reserve, {store}/lock"
            ),
            "The private part, for root only: how to undo a change in progress, earlier contents of \
             files, what each release contains, the whole history.",
        ),
        (
            "/usr/share/doc/robot/".to_owned(),
            "The documents: start.md, manifest.md, operations.md, glossary.md and more.",
        ),
    ];
    let name = |(path, about): (String, &'static str)| {
        let path = path.replace("/app", "/APP");
        (path, about)
    };
    Ok(files.into_iter().map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::files;

    /// The table at the head of `store` lists every file that robotctl keeps.
    #[test]
    fn every_file_of_the_store_is_named() {
        let paths: Vec<String> = files().unwrap().into_iter().map(|(path, _)| path).collect();
        let rows = include_str!("../../store/mod.rs").lines();
        let rows = rows.filter_map(|line| line.strip_prefix("//! | `"));
        let names = rows.filter_map(|row| row.split('`').next());
        let names: Vec<String> = names.map(|name| name.replace("<id>", "ID")).collect();
        assert!(names.len() > 5, "{names:?}");
        for name in names {
            let path = format!("/var/lib/robotctl/APP/{name}");
            let is_listed = paths
                .iter()
                .any(|paths| paths.split(", ").any(|one| one == path));
            assert!(is_listed, "{path}: {paths:?}");
        }
    }
}
