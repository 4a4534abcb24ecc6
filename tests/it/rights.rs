//! The plan lists the rights that a release asks for, and `--same-rights` refuses new ones.

use crate::offline::live;
use crate::test::{SHOP, Test};
use crate::tree;
use robotctl::plan::RIGHT_KINDS;
use std::fs;
use std::os::unix::fs::symlink;

/// An app that asks for everything that it should not have.
pub(crate) const HOSTILE: &str = "[app]\nname = \"shop\"\nversion = \"1.0\"\n\
    [release]\nsource = \"../elsewhere\"\n\
    [service.web]\nexec = [\"{current}/bin/web\"]\n\
    user = \"mallory\"\ngroups = [\"shadow\"]\nconflicts = [\"systemd-logind.service\"]\n\
    listen = [\"0.0.0.0:80\"]\n\
    sandbox = { directives = { ProtectProc = \"default\" }, read-write = [\"/srv/data/x\"], \
    allow = [\"home\", \"host-files\"] }\n";

/// A host with the hostile app beside it. Its source is outside the directory of the manifest, and a
/// user owns a directory on the way to a path that it opens.
pub(crate) fn hostile() -> Test {
    let test = Test::new().manifest(HOSTILE);
    let source = test.outside("elsewhere/bin");
    fs::create_dir_all(&source).expect("make a directory");
    fs::write(source.join("web"), "#!/bin/sh\n").expect("write a program");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(source.join("web"), mode).expect("set a mode");
    let data = test.root("srv/data");
    fs::create_dir_all(&data).expect("make a directory");
    std::os::unix::fs::chown(&data, Some(1), Some(1)).expect("change the owner");
    test
}

const DEPLOY: [&str; 5] = ["--app", "shop", "deploy", "--apply", "--same-rights"];

/// The command of a user whom root does not trust: the manifest is named by its whole path.
fn deploy(test: &Test) -> Vec<String> {
    let manifest = test.app("robot.toml").canonicalize().expect("a manifest");
    let manifest = manifest.display().to_string();
    let words = ["--manifest", &manifest];
    let words = words.iter().chain(&DEPLOY);
    words.map(ToString::to_string).collect()
}

#[track_caller]
fn deployed(manifest: &str) -> Test {
    let test = Test::shop().manifest(manifest);
    test.run(["deploy", "--apply"]).any_stderr().success();
    test
}

/// The deploy is refused, says this, and changes nothing.
#[track_caller]
fn refused(test: &Test, case: &str, stderr: &str) {
    let before = test.state();
    let run = test.run(deploy(test)).case(case);
    run.stderr(stderr).status(2);
    tree::assert_same(&before, &test.state(), case);
}

#[test]
fn a_release_with_the_same_rights_is_deployed() {
    let granted = format!("{SHOP}groups = [\"adm\"]\nsandbox = {{ allow = [\"home\"] }}\n");
    let test = deployed(&granted);
    let other = granted.replace("1.0", "2.0");
    test.write("robot.toml", &other.replace("allow = [\"home\"]", ""));
    test.write("src/bin/web", "#!/bin/sh\nexec true\n");
    test.run(deploy(&test)).any_stderr().success();
    assert!(live(&test).starts_with("2.0-"));
    // The right was given up, so it is new now.
    test.write("robot.toml", &granted.replace("1.0", "3.0"));
    let error = "error: the release asks for rights that 2.0-[ID] lacks: \
                 allow `home` of service web\n\n\
                 hint: remove them from the manifest, or read the plan and deploy it once \
                 without `--same-rights`: ";
    let said = test.run(deploy(&test)).any_stderr().status(2).stderr;
    assert!(said.starts_with(error), "{said}");
    assert!(live(&test).starts_with("2.0-"));
    // So does the preview, below the plan.
    let preview = [&DEPLOY[..3], &["--same-rights"]].concat();
    let preview = test.run(preview).any_stdout().any_stderr().status(2);
    assert!(
        preview.stdout.contains("  + service web  allow  home\n"),
        "{}",
        preview.stdout
    );
    assert!(
        preview.stdout.contains("    service web  group  adm\n"),
        "{}",
        preview.stdout
    );
    assert!(preview.stderr.starts_with(error), "{}", preview.stderr);
}

#[test]
fn a_first_deploy_has_no_rights_to_compare_with() {
    let test = Test::shop();
    let before = test.state();
    let said = test.run(deploy(&test)).any_stderr().status(2).stderr;
    let error = "error: no release of `shop` is live, so there are no rights to compare with\n\n\
                 hint: read the plan and deploy it once without `--same-rights`: ";
    assert!(said.starts_with(error), "{said}");
    tree::assert_same(&before, &test.state(), "a refusal changed something");
}

#[test]
fn the_command_line_chooses_the_app() {
    let test = deployed(SHOP);
    for (case, words) in [
        ("no app", &["deploy", "--apply", "--same-rights"][..]),
        ("no app in a preview", &["deploy", "--same-rights"]),
    ] {
        test.run(words)
            .case(case)
            .stderr(
                "error: `--same-rights` needs `--app`: without it, the manifest chooses the app\n\n\
                 hint: add `--app NAME`\n",
            )
            .status(2);
    }
    test.write("robot.toml", &SHOP.replace("\"shop\"", "\"other\""));
    refused(
        &test,
        "another app",
        "error: `[DIR]/app/robot.toml` is the manifest of `other`, not of `shop`\n\n\
         hint: remove `--app`, or give the manifest of `shop` with `--manifest FILE`\n",
    );
    test.write("robot.toml", &format!("{SHOP}[environment.x]\n"));
    let words = [&["--environment", "x"], &DEPLOY[..]].concat();
    let said = test.run(words).any_stderr().status(2).stderr;
    assert!(
        said.contains("is the manifest of `shop-x`, not of `shop`"),
        "{said}"
    );
}

#[test]
fn a_link_to_the_manifest_or_the_source_does_not_lead_root_elsewhere() {
    let test = deployed(SHOP);
    let secret = test.outside("secret");
    fs::create_dir(&secret).expect("make a directory");
    fs::write(secret.join("robot.toml"), "root:$y$hash:1:2:\n").expect("write");
    let manifest = test.app("robot.toml");
    let link = "error: `[DIR]/app/robot.toml` is a link, or a link leads to it\n\n\
                hint: name the manifest by its path without links: `realpath FILE` prints it\n";
    let words = deploy(&test);
    fs::remove_file(&manifest).expect("remove the manifest");
    symlink(secret.join("robot.toml"), &manifest).expect("make a link");
    let said = test.run(&words).case("the manifest").stderr(link).status(2);
    assert!(!said.stderr.contains("hash"), "{}", said.stderr);
    fs::remove_file(&manifest).expect("remove the link");
    let dir = test.app("");
    let away = test.outside("away");
    fs::rename(&dir, &away).expect("rename");
    symlink(
        &secret,
        dir.as_os_str()
            .to_str()
            .expect("UTF-8")
            .trim_end_matches('/'),
    )
    .expect("make a link");
    test.run(&words)
        .case("its directory")
        .stderr(link)
        .status(2);
    fs::remove_file(
        dir.as_os_str()
            .to_str()
            .expect("UTF-8")
            .trim_end_matches('/'),
    )
    .expect("remove");
    fs::rename(&away, &dir).expect("rename");
    test.write("robot.toml", &SHOP.replace("1.0", "2.0"));
    fs::rename(test.app("src"), test.app("real")).expect("rename");
    for (target, is_inside) in [
        (secret.as_path(), false),
        (test.app("real").as_path(), true),
    ] {
        symlink(target, test.app("src")).expect("make a link");
        let run = test.run(deploy(&test)).case("the source").any_stderr();
        if is_inside {
            run.success();
        } else {
            let said = run.status(2).stderr;
            let wanted = "error: the release asks for rights that 1.0-[ID] lacks: source \
                          `[DIR]/secret` of app\n";
            assert!(said.starts_with(wanted), "{said}");
        }
        fs::remove_file(test.app("src")).expect("remove the link");
    }
    assert!(live(&test).starts_with("2.0-"));
}

#[test]
fn every_right_of_a_hostile_manifest_is_named_in_the_refusal() {
    let test = hostile();
    test.write("robot.toml", SHOP);
    test.write("src/bin/web", "#!/bin/sh\n");
    test.mode("src/bin/web", 0o755);
    test.run(["deploy", "--apply"]).any_stderr().success();
    test.write("robot.toml", HOSTILE);
    let said = test.run(deploy(&test)).any_stderr().status(2).stderr;
    let (sentence, _) = said.split_once("\n\nhint: ").expect("a hint");
    assert_eq!(
        sentence,
        "error: the release asks for rights that 1.0-[ID] lacks: source `[DIR]/elsewhere` of app; \
         user `mallory` of service web; group `shadow` of service web; \
         allow `home` of service web; allow `host-files` of service web; \
         read-write `/srv/data/x` of service web; \
         directive `ProtectProc=default` of service web; \
         unit `conflicts with systemd-logind.service` of service web; \
         address `0.0.0.0:80` of service web"
    );
    // The administrator may give it these rights. Then they are not new.
    test.run(["deploy", "--apply"]).any_stderr().success();
    test.write("robot.toml", &HOSTILE.replace("1.0", "2.0"));
    test.run(deploy(&test)).any_stderr().success();
    assert!(live(&test).starts_with("2.0-"));
}

#[test]
fn a_rollback_shows_the_rights_that_return() {
    let granted = format!("{SHOP}groups = [\"adm\"]\n");
    let test = deployed(&granted);
    test.write("robot.toml", &SHOP.replace("1.0", "2.0"));
    test.run(["deploy", "--apply"]).any_stderr().success();
    let plan = test.run(["rollback", "--dry-run"]).any_stdout().success();
    assert!(
        plan.stdout
            .contains("rights:\n  + service web  group  adm\n"),
        "{}",
        plan.stdout
    );
}

#[test]
fn the_rights_are_data() {
    let test = hostile();
    let run = test.run(["deploy", "--format", "json"]).any_stdout();
    let plan = run.success().data("plan").remove(0);
    let rights = plan["rights"].as_array().expect("rights");
    assert_eq!(rights.len(), 9);
    for right in rights {
        let kind = right["kind"].as_str().expect("a kind");
        assert!(
            RIGHT_KINDS.iter().any(|(_, word, _)| *word == kind),
            "{kind}"
        );
        assert_eq!(right["is_new"], false, "{right}");
    }
    assert_eq!(rights[0]["service"], serde_json::Value::Null);
    assert_eq!(rights[1]["service"], "web");
    assert_eq!(rights[1]["notes"][0], "does not exist yet");
}
