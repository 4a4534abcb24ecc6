//! Which app, and which manifest, a command uses.

use crate::bad_sources::pack;
use crate::test::{Ended, SHOP, Test};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const BUNDLED: &str = "robotctl-status";

/// Writes a file below a directory, executable.
fn put(dir: &Path, path: &str, text: &str) {
    let file = dir.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
}

/// [`SHOP`] under another name.
fn manifest(name: &str) -> String {
    SHOP.replace("shop", name)
}

/// Installs an app as its package does.
fn install(test: &Test, name: &str) {
    let dir = test.root(&format!("usr/lib/{name}"));
    put(
        &dir,
        "robot.toml",
        &manifest(name).replace("src", "payload"),
    );
    put(&dir, "payload/bin/web", "#!/bin/sh\n");
}

/// A directory without a manifest.
fn elsewhere(test: &Test) -> PathBuf {
    let dir = test.outside("elsewhere");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// A directory with the manifest and the source of an app.
fn checkout(test: &Test, name: &str) -> PathBuf {
    let dir = test.outside(name);
    put(&dir, "robot.toml", &manifest(name));
    put(&dir, "src/bin/web", "#!/bin/sh\n");
    dir
}

#[track_caller]
fn deploy_from(test: &Test, dir: &Path) -> Ended {
    let run = test.run(["deploy", "--apply"]).from(dir);
    run.any_stderr().success()
}

/// The bundled app is installed, and an app of each name is deployed.
fn host_with(names: &[&str]) -> Test {
    let test = Test::shop();
    install(&test, BUNDLED);
    for name in names {
        deploy_from(&test, &checkout(&test, name));
    }
    test
}

fn live(test: &Test, name: &str) -> bool {
    test.root(&format!("opt/{name}/current")).exists()
}

/// A CI job that changed to a wrong directory must fail.
#[test]
fn a_deploy_without_a_manifest_takes_no_deployed_app() {
    let test = host_with(&["api"]);
    let before = test.tree();
    for args in [&["deploy"][..], &["deploy", "--apply"]] {
        test.run(args)
            .from(&elsewhere(&test))
            .stderr(
                "error: there is no `robot.toml` in this directory, so no app can be deployed\n\n\
                 hint: change to the app's directory, or name its manifest with `--manifest FILE`\n\n\
                 hint: to deploy the bundled app: robotctl --root [DIR]/root/ --app robotctl-status deploy\n",
            )
            .status(2);
    }
    // A link to nothing is a manifest that cannot be read.
    std::os::unix::fs::symlink("gone", elsewhere(&test).join("robot.toml")).unwrap();
    let run = test.run(["deploy", "--apply"]).from(&elsewhere(&test));
    let ended = run.any_stderr().status(2);
    assert!(
        ended.stderr.contains("`robot.toml` does not exist"),
        "{}",
        ended.stderr
    );
    assert_eq!(test.tree(), before);
    assert!(!live(&test, BUNDLED));
}

#[test]
fn the_bundled_app_is_deployed_on_a_new_host_or_by_its_name() {
    let test = host_with(&[]);
    let said = "no robot.toml here: using the bundled app `robotctl-status`\n";
    let ended = deploy_from(&test, &elsewhere(&test));
    assert!(ended.stderr.starts_with(said), "{}", ended.stderr);
    assert!(live(&test, BUNDLED));
    let nothing = "nothing to do: robotctl-status 1.0-[ID] is live\n";
    let run = test.run(["deploy"]).from(&elsewhere(&test));
    run.stderr(said).stdout(nothing).success();
    // By its name, in the directory of another app and beside another one.
    let api = checkout(&test, "api");
    deploy_from(&test, &api);
    for dir in [&api, &elsewhere(&test)] {
        let run = test.run(["--app", BUNDLED, "deploy"]).from(dir);
        run.stdout(nothing).success();
    }
    test.run(["deploy"])
        .from(&elsewhere(&test))
        .any_stderr()
        .status(2);
}

#[test]
fn the_name_of_the_bundled_app_is_reserved_and_its_earlier_one_is_not() {
    let test = host_with(&[]);
    test.write("robot.toml", &manifest(BUNDLED));
    for args in [&["deploy", "--apply"][..], &["--app", BUNDLED, "generate"]] {
        let ended = test.run(args).any_stdout().any_stderr().status(2);
        let said = "an app cannot be called `robotctl-status`: the name is reserved for robotctl";
        assert!(ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    }
    assert!(!live(&test, BUNDLED));
    let own = checkout(&test, "robot");
    let ended = deploy_from(&test, &own);
    assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
    // It is not taken for the bundled app, which has this name no longer.
    let run = test
        .run(["--app", BUNDLED, "deploy", "--apply"])
        .from(&elsewhere(&test));
    run.any_stderr().success();
    assert!(live(&test, "robot") && live(&test, BUNDLED));
}

/// An earlier package deployed it as `robot`.
#[test]
fn the_bundled_app_is_not_deployed_beside_its_earlier_name() {
    let test = host_with(&[]);
    install(&test, "robot");
    let by_name = test.run(["--app", "robot", "deploy", "--apply"]);
    by_name.from(&elsewhere(&test)).any_stderr().success();
    let before = test.tree();
    let run = test.run(["--app", BUNDLED, "deploy", "--apply"]);
    run.from(&elsewhere(&test))
        .stderr(
            "error: an earlier version of the package deployed the bundled app as `robot`, which still runs\n\n\
             hint: remove it, then repeat the command: robotctl --root [DIR]/root/ --app robot remove --apply\n\n\
             hint: with `--purge`, this also deletes its settings and its last report\n",
        )
        .status(2);
    assert_eq!(test.tree(), before);
    test.run(["--app", "robot", "remove", "--apply"])
        .any_stderr()
        .success();
    deploy_from(&test, &elsewhere(&test));
    assert!(live(&test, BUNDLED));
}

/// What the scripts of the package say of an app below the root.
fn is_bundled(test: &Test, name: &str) -> bool {
    let script = include_str!("../../packaging/debian/prerm");
    let (_, rest) = script.split_once("\nis_bundled() {").unwrap();
    let (body, _) = rest.split_once("\n}\n").unwrap();
    let rule = format!("set -e; is_bundled() {{{body}\n}}\nis_bundled \"$1\"");
    let mut sh = Command::new("sh");
    sh.args(["-c", &rule, "sh", name]);
    sh.env("DPKG_ROOT", test.root(""));
    sh.status().unwrap().success()
}

#[test]
fn the_package_removes_only_what_came_from_it() {
    let by_name = |test: &Test, name: &str| {
        let run = test.run(["--app", name, "deploy", "--apply"]);
        run.from(&elsewhere(test)).any_stderr().success();
    };
    // Without records, only the reserved name tells whose it is.
    let test = host_with(&[]);
    assert!(is_bundled(&test, BUNDLED) && !is_bundled(&test, "robot"));
    by_name(&test, BUNDLED);
    install(&test, "robot");
    let removed = test.run(["--app", BUNDLED, "remove", "--purge", "--apply"]);
    removed.any_stderr().success();
    by_name(&test, "robot");
    assert!(is_bundled(&test, "robot"));
    // The administrator deployed a release of the same name.
    let own = checkout(&test, "robot");
    put(&own, "src/bin/web", "#!/bin/bash\n");
    deploy_from(&test, &own);
    assert!(!is_bundled(&test, "robot"));
    let test = host_with(&["robot"]);
    assert!(!is_bundled(&test, "robot"));
    // A robotctl that did not refuse the name.
    by_name(&test, BUNDLED);
    assert!(is_bundled(&test, BUNDLED));
    let records = test.root(&format!("var/lib/robotctl/{BUNDLED}/releases"));
    for record in std::fs::read_dir(records).unwrap() {
        let path = record.unwrap().path();
        if path.extension().is_some_and(|end| end == "private") {
            let record = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, record.replace("/payload\"", "/other\"")).unwrap();
        }
    }
    assert!(!is_bundled(&test, BUNDLED));
}

#[test]
fn a_deploy_uses_the_manifest_inside_its_source_first() {
    let test = host_with(&[]);
    let api = checkout(&test, "api");
    let source = api.display().to_string();
    // The directory in which this is typed has a manifest, too.
    test.run(["deploy", "--apply", &source])
        .any_stderr()
        .success();
    assert!(live(&test, "api") && !live(&test, "shop"));
    // An archive with a manifest is whole.
    put(
        &test.app("src"),
        "robot.toml",
        &manifest("wiki").replace("source = \"src\"", ""),
    );
    pack(&test, "wiki.tar");
    test.run(["deploy", "--apply", "wiki.tar"])
        .any_stderr()
        .success();
    assert!(live(&test, "wiki") && !live(&test, "shop"));
    // One that `--manifest` names comes first.
    let run = test.run(["--manifest", "robot.toml", "deploy", "--apply", "wiki.tar"]);
    run.any_stderr().success();
    assert!(live(&test, "shop"));
    // Without one in the source, that of the directory is used.
    std::fs::remove_file(test.app("src/robot.toml")).unwrap();
    pack(&test, "two.tar");
    test.write("robot.toml", &manifest("blog"));
    test.run(["deploy", "--apply", "two.tar"])
        .any_stderr()
        .success();
    assert!(live(&test, "blog") && !live(&test, BUNDLED));
}

/// It was planned as the bundled app, or as the only one.
#[test]
fn a_source_without_a_manifest_is_no_known_app() {
    let test = host_with(&[]);
    pack(&test, "two.tar");
    let archive = test.app("two.tar").display().to_string();
    let dir = test.app("src").display().to_string();
    for source in [&archive, &dir] {
        for app in [None, Some(BUNDLED)] {
            let mut args = vec!["deploy", "--apply", source];
            args.extend(app.iter().flat_map(|app| ["--app", *app]));
            let run = test.run(&args).from(&elsewhere(&test));
            run.stderr(&format!(
                "error: there is no `robot.toml` in `{}`, and none in this directory\n\n\
                 hint: add it to the source, change to the directory that has it, or name it with \
                 `--manifest FILE`\n",
                test.plain(source)
            ))
            .status(2);
        }
    }
    assert!(!live(&test, BUNDLED) && !test.root("var").exists());
}

#[test]
fn a_manifest_in_an_archive_is_refused_where_it_cannot_be_used() {
    let test = host_with(&[]);
    let refused = |manifest: &[u8], message: &str, hint: &str| {
        std::fs::write(test.app("src/robot.toml"), manifest).unwrap();
        pack(&test, "a.tar");
        let run = test.run(["deploy", "a.tar"]);
        run.stderr(&format!("error: {message}\n\nhint: {hint}\n"))
            .status(2);
    };
    refused(
        manifest("wiki").as_bytes(),
        "`a.tar/robot.toml` sets `release.source` to `src`, and a manifest in an archive releases the \
         whole archive",
        "remove `release.source` from it, or name a manifest outside the archive with `--manifest FILE`",
    );
    refused(
        b"[app]\nname = \"wiki\"\nversion = \"1\"\nfoo = 1\n",
        "a.tar/robot.toml:4: unknown key `foo`",
        "known keys here: `name`, `version`, `description`, `maintainer`, `user`, `group`, `state-mode`, \
         `run-mode`, `target`",
    );
    let replace = "replace it in the archive, or name the manifest with `--manifest FILE`";
    let archive = "`robot.toml` in the archive `[DIR]/app/a.tar`";
    refused(b"\xff", &format!("{archive} is not text in UTF-8"), replace);
    refused(
        &vec![b'#'; 1024 * 1024 + 1],
        &format!("{archive} is larger than 1 MiB"),
        replace,
    );
    std::fs::remove_file(test.app("src/robot.toml")).unwrap();
    std::os::unix::fs::symlink("bin/web", test.app("src/robot.toml")).unwrap();
    pack(&test, "a.tar");
    let run = test.run(["deploy", "a.tar"]);
    run.stderr(&format!(
        "error: {archive} is not a regular file\n\nhint: {replace}\n"
    ))
    .status(2);
}

#[test]
fn the_app_that_is_named_must_be_that_of_the_manifest() {
    let test = host_with(&["api"]);
    let api = test.outside("api").display().to_string();
    let with = |args: &[&str], message: &str| {
        let before = test.tree();
        let run = test.run(args).case(&args.join(" "));
        run.stderr(&format!(
            "error: {message}\n\nhint: remove `--app`, or give the manifest of `blog` with `--manifest FILE`\n"
        ))
        .status(2);
        assert_eq!(test.tree(), before);
    };
    let here = "`robot.toml` is the manifest of `shop`, not of `blog`";
    let there = "`[DIR]/api/robot.toml` is the manifest of `api`, not of `blog`";
    with(&["--app", "blog", "deploy", "--apply"], here);
    with(&["--app", "blog", "generate"], here);
    with(&["--app", "blog", "deploy", "--apply", &api], there);
    let file = format!("{api}/robot.toml");
    with(&["--app", "blog", "--manifest", &file, "deploy"], there);
    // The app of an environment is one of the manifest.
    test.write("robot.toml", &format!("{SHOP}[environment.staging]\n"));
    test.run(["--app", "shop-staging", "deploy"])
        .stderr(
            "error: `robot.toml` is the manifest of `shop`, not of `shop-staging`\n\n\
             hint: add `--environment staging`\n",
        )
        .status(2);
}

#[test]
fn other_commands_take_the_only_app_besides_the_bundled_one() {
    let test = host_with(&[]);
    let dir = elsewhere(&test);
    let rollback = |test: &Test| {
        test.run(["rollback"])
            .from(&dir)
            .any_stderr()
            .status(2)
            .stderr
    };
    assert!(rollback(&test).starts_with("error: no app is deployed on this host\n"));
    // It alone is the app of the host.
    deploy_from(&test, &dir);
    let first = |name: &str, options: &str| {
        format!(
            "error: 1.0-[ID] has no previous release: it is the first one of `{name}`\n\n\
             hint: deploy another release; a rollback then restores this one: \
             robotctl --root [DIR]/root/ {options}deploy\n"
        )
    };
    assert_eq!(rollback(&test), first(BUNDLED, ""));
    deploy_from(&test, &checkout(&test, "api"));
    // In this directory, a deploy would not find its manifest.
    let manifest = "--manifest [DIR]/api/robot.toml ";
    assert_eq!(rollback(&test), first("api", manifest));
    // A manifest that says the same is meant, and one that says something else is not.
    let file = test.outside("api").join("robot.toml");
    let written = self::manifest("api");
    std::fs::write(&file, format!("# The shop.\n{written}")).unwrap();
    assert_eq!(rollback(&test), first("api", manifest));
    std::fs::write(&file, written.replace("1.0", "2.0")).unwrap();
    let place = "restores this one, in the directory of the app's robot.toml: ";
    let expected = first("api", "").replace("restores this one: ", place);
    assert_eq!(rollback(&test), expected);
    deploy_from(&test, &checkout(&test, "blog"));
    assert_eq!(
        rollback(&test),
        "error: several apps are deployed: api, blog, and the bundled app robotctl-status\n\n\
         hint: choose one with `--app NAME`\n"
    );
}

/// Typed where it is read, a command of a hint means the app that the hint is about.
#[test]
fn hints_name_the_app_where_the_command_would_take_another() {
    let test = host_with(&["api", "blog"]);
    let hint = |args: &[&str], dir: &Path| {
        let run = test.run(args).from(dir).any_stdout().any_stderr();
        let ended = run.status(2);
        let (_, hint) = ended
            .stderr
            .rsplit_once("robotctl --root [DIR]/root/ ")
            .unwrap();
        hint.trim().to_owned()
    };
    let (api, other, none) = (test.outside("api"), test.outside("blog"), elsewhere(&test));
    let by_name = ["--app", "api", "rollback"];
    assert_eq!(hint(&["rollback"], &api), "deploy");
    assert_eq!(hint(&by_name, &api), "deploy");
    let deploy = "--manifest [DIR]/api/robot.toml deploy";
    assert_eq!(hint(&by_name, &other), deploy);
    assert_eq!(hint(&by_name, &none), deploy);
    assert_eq!(
        hint(&["--app", "api", "rollback", "9"], &none),
        "--app api releases"
    );
    let file = api.join("robot.toml").display().to_string();
    let by_file = hint(&["--manifest", &file, "rollback"], &none);
    assert_eq!(by_file, "--manifest [DIR]/api/robot.toml deploy");
    // One error of several apps.
    std::fs::write(test.root("var/lib/robotctl/api/state.json"), "{").unwrap();
    let ended = test
        .run(["releases"])
        .from(&none)
        .any_stdout()
        .any_stderr()
        .status(2);
    let command = "robotctl --root [DIR]/root/ --app api deploy --apply\n";
    assert!(ended.stderr.contains(command), "{}", ended.stderr);
}

#[test]
fn generate_and_score_show_the_app_that_status_shows() {
    let test = host_with(&[]);
    let dir = elsewhere(&test);
    for command in ["generate", "score"] {
        let run = test.run([command]).case(command).from(&dir);
        run.stderr(&format!(
            "error: there is no `robot.toml` in this directory, and no app is deployed\n\n\
             hint: change to the app's directory, or name its manifest with `--manifest FILE`\n\n\
             hint: or name the bundled app: robotctl --root [DIR]/root/ --app robotctl-status {command}\n"
        ))
        .status(2);
        let run = test.run(["--app", BUNDLED, command]).from(&dir);
        let ended = run.any_stdout().success();
        assert!(
            ended.stdout.contains("robotctl-status-web.service"),
            "{}",
            ended.stdout
        );
    }
    // The bundled app alone.
    deploy_from(&test, &dir);
    let ended = test.run(["score"]).from(&dir).any_stdout().success();
    assert!(
        ended.stdout.contains("robotctl-status-web.service"),
        "{}",
        ended.stdout
    );
    // The live release of the only other app.
    deploy_from(&test, &checkout(&test, "api"));
    let live = "no robot.toml of `api` here: using its live release 1.0-[ID]\n";
    for args in [
        &["score"][..],
        &["--app", "api", "score"],
        &["generate", "--check"],
    ] {
        let run = test.run(args).case(&args.join(" ")).from(&dir);
        run.any_stdout().stderr(live).success();
    }
    let ended = test
        .run(["score"])
        .from(&dir)
        .any_stdout()
        .any_stderr()
        .success();
    assert!(ended.stdout.contains("api-web.service"), "{}", ended.stdout);
    // In the directory of another app, `--app` decides.
    let ended = test
        .run(["--app", "api", "score"])
        .any_stdout()
        .stderr(live)
        .success();
    assert!(ended.stdout.contains("api-web.service"), "{}", ended.stdout);
    let ended = test.run(["score"]).any_stdout().success();
    assert!(
        ended.stdout.contains("shop-web.service"),
        "{}",
        ended.stdout
    );
    deploy_from(&test, &checkout(&test, "blog"));
    let run = test.run(["score"]).from(&dir);
    let several =
        "error: several apps are deployed: api, blog, and the bundled app robotctl-status\n";
    let ended = run.any_stderr().status(2);
    assert!(ended.stderr.starts_with(several), "{}", ended.stderr);
}
