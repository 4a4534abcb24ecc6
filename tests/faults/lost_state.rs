//! State that is lost or older than the host: robotctl still knows which release is live.

use super::after_commit::{LINK, calls, rename_of};
use super::fixture::{Host, args};
use super::injection::{Fault, inject};
use super::midway::point_after;
use super::regressions::{deploy_ok, expect_eq, expect_refused, live_release};
use super::state::{HostState, record};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

tests![
    Case:
    prune_keeps_the_release_that_the_link_names,
    prune_skips_a_release_with_a_mounted_file_system,
    a_lost_state_is_rebuilt_from_the_link,
    a_rebuilt_state_is_used_even_if_it_cannot_be_saved,
    an_interrupted_first_deploy_is_not_live,
    a_failed_deploy_keeps_an_unrecorded_live_release,
    a_failed_deploy_without_records_restores_the_link,
];

fn release(host: &Host<'_>, id: &str) -> PathBuf {
    host.root.join("opt/demo/releases").join(id)
}

/// Capistrano and Ansistrano prune by name or by age. Only the link says which release runs.
fn prune_keeps_the_release_that_the_link_names(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    for version in 2..=4 {
        deploy_ok(host, version)?;
    }
    let link = host.root.join("opt/demo/current");
    // Ways in which administrators write the link.
    for text in [
        format!("releases/{first}"),
        format!("releases/{first}/"),
        format!("/opt/demo/releases/{first}"),
        format!("../demo/releases/{first}"),
    ] {
        fs::remove_file(&link).unwrap();
        symlink(&text, &link).unwrap();
        host.run_ok(&args(&["prune", "--apply", "--keep", "1"]))?;
        expect_eq(&release(host, &first).exists(), &true)
            .map_err(|error| format!("{text}: {error}"))?;
    }
    // This shows that it prunes at all.
    expect_eq(&HostState::read(&host.root).releases.len(), &3)
}

/// A recursive removal enters file systems that are mounted below.
fn prune_skips_a_release_with_a_mounted_file_system(host: &Host<'_>) -> Result<(), String> {
    struct Mounted<'a>(&'a Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = umount2(self.0, MntFlags::MNT_DETACH);
        }
    }
    let first = deploy_ok(host, 1)?;
    for version in 2..=4 {
        deploy_ok(host, version)?;
    }
    let dir = release(host, &first).join("app");
    let kind = Some("tmpfs");
    mount(kind, &dir, kind, MsFlags::empty(), None::<&str>).map_err(|errno| errno.to_string())?;
    let own = Mounted(&dir);
    fs::write(dir.join("own"), "not robotctl's").unwrap();
    host.run_ok(&args(&["prune", "--apply", "--keep", "2"]))?;
    expect_eq(&dir.join("own").exists(), &true)?;
    expect_eq(&HostState::read(&host.root).releases.len(), &3)?;
    drop(own);
    host.run_ok(&args(&["prune", "--apply", "--keep", "2"]))?;
    expect_eq(&HostState::read(&host.root).releases.len(), &2)
}

fn a_lost_state_is_rebuilt_from_the_link(host: &Host<'_>) -> Result<(), String> {
    let (first, second) = (deploy_ok(host, 1)?, deploy_ok(host, 2)?);
    let state = host.root.join("var/lib/robotctl/demo/state.json");
    fs::remove_file(&state).unwrap();
    expect_refused(&host.run(&args(&[
        "--manifest",
        &host.fixture.broken(),
        "deploy",
        "--apply",
    ])))?;
    expect_eq(&live_release(host)?, &second)?;
    fs::remove_file(&state).unwrap();
    host.run_ok(&args(&["rollback"]))?;
    expect_eq(&live_release(host)?, &first)?;
    // The release that the rollback left is not the previous release.
    fs::remove_file(&state).unwrap();
    expect_refused(&host.run(&args(&["rollback"])))?;
    expect_eq(&live_release(host)?, &first)
}

/// If a full disk or a kill prevents the write, a deploy and its rollback use the state that was
/// rebuilt from the link.
fn a_rebuilt_state_is_used_even_if_it_cannot_be_saved(host: &Host<'_>) -> Result<(), String> {
    let (first, second) = (deploy_ok(host, 1)?, deploy_ok(host, 2)?);
    let state = host.root.join("var/lib/robotctl/demo/state.json");
    fs::remove_file(&state).unwrap();
    let keep = host.root.with_extension("lost");
    fs::create_dir(&keep).unwrap();
    super::fixture::copy_tree(&host.root, &keep);
    let found = calls(host, 3)?;
    let states = found.iter().filter(|one| one.name.starts_with("rename"));
    let states: Vec<_> = states
        .filter(|point| point.line.contains("/demo/state.json"))
        .collect();
    let [rebuilt, committed] = states[..] else {
        return Err(format!("the state was renamed {} times", states.len()));
    };
    for (fault, ends) in [
        (Fault::Error("ENOSPC"), Some(0)),
        (Fault::Error("EIO"), Some(0)),
        (Fault::Kill, None),
    ] {
        host.restore(&keep);
        let ran = inject(host, &host.deploy(3), rebuilt, fault)?;
        expect_eq(&ran.code, &ends).map_err(|error| format!("{error}: {}", ran.stderr))?;
        if ends.is_some() {
            host.run_ok(&args(&["rollback"]))?;
            expect_eq(&live_release(host)?, &second)?;
        }
        expect_eq(&state.exists(), &ends.is_some())?;
        host.run_ok(&args(&["rollback"]))?;
        expect_eq(&live_release(host)?, &first)?;
    }
    // The same, for a deploy that is reverted.
    host.restore(&keep);
    let ran = inject(host, &host.deploy(3), committed, Fault::Error("EIO"))?;
    expect_eq(&ran.code, &Some(3)).map_err(|error| format!("{error}: {}", ran.stderr))?;
    expect_eq(&live_release(host)?, &second)?;
    fs::remove_dir_all(&keep).unwrap();
    Ok(())
}

/// A first deploy is interrupted, and then its journal is lost too: the release was never
/// committed.
fn an_interrupted_first_deploy_is_not_live(host: &Host<'_>) -> Result<(), String> {
    let found = calls(host, 1)?;
    inject(
        host,
        &host.deploy(1),
        point_after(&found, &format!("{LINK}\""))?,
        Fault::Kill,
    )?;
    fs::remove_file(host.root.join("var/lib/robotctl/demo/journal.json")).unwrap();
    let first = deploy_ok(host, 1)?;
    let record = record(
        &host.root,
        &format!("var/lib/robotctl/demo/releases/{first}.json"),
    );
    expect_eq(&record["mark"].as_str(), &Some("good"))
}

/// A failed deploy must not remove what it did not create.
fn a_failed_deploy_keeps_an_unrecorded_live_release(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    fs::remove_dir_all(host.root.join("var/lib/robotctl/demo")).unwrap();
    let program = release(host, &first).join("bin/run");
    let mode = |mode| fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    expect_refused(&host.run(&host.deploy(1)))?;
    expect_eq(&host.root.join("opt/demo/current/bin/run").exists(), &true)?;
    mode(0o755);
    expect_eq(&deploy_ok(host, 1)?, &first)
}

fn a_failed_deploy_without_records_restores_the_link(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    fs::remove_dir_all(host.root.join("var/lib/robotctl/demo")).unwrap();
    let current = host.root.join("opt/demo/current");
    let link = || fs::read_link(&current).ok();
    // As an administrator would write it.
    fs::remove_file(&current).unwrap();
    symlink(format!("./releases/{first}/"), &current).unwrap();
    let (before, text) = (HostState::read(&host.root), link());
    expect_eq(&text.is_some(), &true)?;
    let found = calls(host, 2)?;
    let point = rename_of(&found, "/demo/state.json")?;
    // The deploy fails, or it is killed and the next command reverts it.
    for fault in [Fault::Error("EIO"), Fault::Kill] {
        let keep = host.root.with_extension("keep");
        fs::create_dir(&keep).unwrap();
        super::fixture::copy_tree(&host.root, &keep);
        let ran = inject(host, &host.deploy(2), point, fault)?;
        expect_eq(&(ran.code == Some(0)), &false)?;
        // Otherwise there was nothing to restore.
        expect_eq(&(link() == text), &(fault != Fault::Kill))?;
        host.run_ok(&args(&["recover"]))?;
        expect_eq(&link(), &text)?;
        expect_eq(&HostState::read(&host.root).files, &before.files)?;
        expect_eq(&release(host, &first).join("bin/run").exists(), &true)?;
        host.restore(&keep);
        fs::remove_dir_all(&keep).unwrap();
    }
    Ok(())
}
