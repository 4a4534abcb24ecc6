//! Every rule about a manifest, with the exact message. `UPDATE_GOLDEN=1` writes the messages anew.

use crate::test::Test;

const CASES: &str = include_str!("bad_manifests.txt");

/// Name, manifest and expected stderr of each case.
fn cases() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    CASES.split("#### ").skip(1).map(|case| {
        let (name, rest) = case.split_once('\n').expect("a name");
        let (manifest, stderr) = rest.split_once("----\n").expect("a text");
        (name, manifest, stderr.trim_end_matches('\n'))
    })
}

#[test]
fn a_bad_manifest_is_refused_in_one_sentence_with_a_hint() {
    let test = Test::new().program("bin/web", "#!/bin/sh\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return update(&test);
    }
    let before = test.tree();
    let mut count = 0;
    for (name, manifest, stderr) in cases() {
        test.write("robot.toml", manifest);
        let run = test.run(["deploy", "--apply"]);
        run.case(name).stderr(&format!("{stderr}\n")).status(2);
        assert_eq!(test.tree(), before, "{name}: files were left behind");
        let line = stderr.lines().next().unwrap_or_default();
        assert!(line.starts_with("error: robot.toml:"), "{name}: {line}");
        assert!(!line.ends_with('.'), "{name}: {line}");
        let hint = stderr.split_once("\n\nhint: ").map(|(_, hint)| hint);
        let hint = hint.unwrap_or_else(|| panic!("{name}: no hint"));
        for general in ["/manifest.md", "robot.toml(5)", "every key"] {
            assert!(!hint.contains(general), "{name}: {hint}");
        }
        assert!(!hint.contains('\n'), "{name}: {hint}");
        count += 1;
    }
    assert!(count > 80, "only {count} cases were read");
}

/// Writes what each case prints now.
fn update(shop: &Test) {
    let mut text = CASES.split("#### ").next().unwrap_or_default().to_owned();
    for (name, manifest, _) in cases() {
        shop.write("robot.toml", manifest);
        let said = shop.run(["deploy", "--apply"]).any_stderr().status(2);
        text.push_str(&format!("#### {name}\n{manifest}----\n{}\n", said.stderr));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/bad_manifests.txt");
    std::fs::write(path, text.trim_end().to_owned() + "\n").expect("write the cases");
}

/// `generate`, the plan and the deploy print the same message.
#[test]
fn every_command_refuses_a_bad_manifest_with_the_same_message() {
    let test = Test::new().manifest("[app]\nname = \"shop\"\nversion = \"1.0\"\n");
    let stderr = "error: robot.toml:1: there is no service\n\n\
                  hint: add a table `[service.web]` with `exec = [\"{current}/bin/web\"]`\n";
    for command in ["generate", "deploy"] {
        test.run([command]).case(command).stderr(stderr).status(2);
    }
    // These commands also work without a manifest.
    let stderr = stderr.to_owned() + "\nhint: or name the app with `--app NAME`\n";
    for command in ["rollback", "prune", "status", "history"] {
        test.run([command]).case(command).stderr(&stderr).status(2);
    }
}

#[test]
fn an_unknown_environment_suggests_the_nearest_name() {
    let manifest = "[app]\nname = \"shop\"\nversion = \"1.0\"\n\
                    [service.web]\nexec = [\"{current}/bin/web\"]\n[environment.staging]\n";
    let test = Test::new().manifest(manifest);
    test.run(["deploy", "--apply", "--environment", "stagin"])
        .stderr(
            "error: robot.toml:6: there is no environment `stagin`\n\n\
             hint: did you mean `staging`?\n",
        )
        .status(2);
    test.run(["deploy", "--apply", "--environment", "qa"])
        .stderr(
            "error: robot.toml:6: there is no environment `qa`\n\n\
             hint: add a table `[environment.qa]`\n",
        )
        .status(2);
}

/// The whole name counts: neither part alone is reserved.
#[test]
fn an_environment_that_makes_a_reserved_name_is_refused() {
    let manifest = "[app]\nname = \"multi\"\nversion = \"1.0\"\n\
                    [service.web]\nexec = [\"{current}/bin/web\"]\n[environment.user]\n";
    Test::new()
        .manifest(manifest)
        .run(["deploy", "--apply", "--environment", "user"])
        .stderr(
            "error: robot.toml:6: an app cannot be called `multi-user`: \
             the system has units of that name\n\n\
             hint: rename the environment or the app\n",
        )
        .status(2);
}

#[test]
fn a_manifest_that_cannot_be_read_is_refused() {
    let test = Test::new();
    test.run(["deploy"])
        .stderr(
            "error: there is no `robot.toml` in this directory, so no app can be deployed\n\n\
             hint: change to the app's directory, or name its manifest with `--manifest FILE`\n",
        )
        .status(2);
    test.run(["deploy", "--manifest", "other.toml"])
        .stderr(
            "error: `other.toml` does not exist\n\n\
             hint: name the manifest with `--manifest FILE`\n",
        )
        .status(2);
    std::fs::write(test.app("robot.toml"), b"\xff\xfe").expect("write");
    test.run(["deploy"])
        .stderr(
            "error: `robot.toml` is not text in UTF-8\n\n\
             hint: name the manifest with `--manifest FILE`\n",
        )
        .status(2);
}
