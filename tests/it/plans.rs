//! A deploy does exactly what its plan shows, and the hash of the plan covers all of it.

use crate::offline::{MANIFEST, app, deploy, host, live};
use crate::test::Test;
use crate::tree;
use robotctl::app::{App, Target};
use robotctl::manifest;
use robotctl::plan::{Action, Candidate, LiveRelease, Observed, Plan, plan};
use robotctl::render::render;
use std::process::Command;

/// The plan of an upgrade of a running app, on a host that may have too little memory.
fn upgrade(tight: Option<&str>) -> Plan {
    let manifest = manifest::parse(MANIFEST).expect("a manifest");
    let app = || App::from_manifest(&manifest, None).expect("an app");
    let (old, new) = (app(), app());
    let tree = |app| render(app, Target::Portable).expect("a tree");
    let (before, after) = (tree(&old), tree(&new));
    let files = before.iter();
    let observed = Observed {
        files: files.map(|(path, it)| (path.into(), it.clone())).collect(),
        live: Some(LiveRelease {
            id: "1.0-0123456789ab".into(),
            origin: "/srv/shop".into(),
            tree: before,
            app: old,
            payload: None,
        }),
        active: ["shop-web.socket", "shop-web.service"]
            .map(String::from)
            .into(),
        low_memory: tight
            .map(|text| ("shop-web.service".to_owned(), text.to_owned()))
            .into_iter()
            .collect(),
        ..Observed::default()
    };
    let candidate = Candidate {
        id: "1.1-ba9876543210",
        app: &new,
        tree: &after,
        payload: None,
    };
    plan(&candidate, &observed)
}

#[test]
fn the_hash_of_a_plan_does_not_cover_free_memory() {
    let texts = [
        "needed: 64 MiB, there: 40 MiB",
        "needed: 64 MiB, there: 39 MiB",
    ];
    let [one, two] = texts.map(|text| upgrade(Some(text)));
    let web = |plan: &Plan| {
        let unit = plan.units.iter().find(|it| it.unit == "shop-web.service");
        unit.expect("the service").clone()
    };
    assert_eq!(web(&one).action, Action::Restart);
    assert_eq!(one.hash(), two.hash());
    for (plan, text) in [(&one, texts[0]), (&two, texts[1])] {
        assert_eq!(plan.notes, [text]);
    }
    // Enough memory or not makes another plan.
    let ample = upgrade(None);
    assert_eq!(web(&ample).action, Action::Overlap);
    assert_ne!(ample.hash(), one.hash());
    assert!(ample.notes.is_empty());
}

/// Runs a command that changes nothing; what it prints.
#[track_caller]
fn shown<T: AsRef<str>>(test: &Test, args: impl AsRef<[T]>) -> String {
    let before = test.state();
    let shown = test.run(args).any_stdout().any_stderr().success().stdout;
    tree::assert_same(&before, &test.state(), "a plan changed something");
    shown
}

/// The release that a rollback after the plan would restore, as the plan says.
fn way_back(plan: &str) -> Option<&str> {
    let line = plan.lines().find(|line| line.starts_with("a rollback "));
    line.map(|line| {
        let id = line.strip_prefix("a rollback after this would restore ");
        id.unwrap_or_else(|| panic!("{line}"))
    })
}

/// An app with this many releases, deployed one after the other: `0.1`, `0.2` and so on.
pub(crate) fn releases(count: usize) -> Test {
    let test = app();
    for number in 1..=count {
        version(&test, number);
        deploy(&test);
    }
    test
}

pub(crate) fn version(test: &Test, number: usize) {
    let version = format!("\"0.{number}\"");
    test.write("robot.toml", &MANIFEST.replace("\"1.0\"", &version));
}

#[test]
fn a_plan_names_the_release_that_a_rollback_would_restore() {
    let test = releases(0);
    assert_eq!(way_back(&shown(&test, ["deploy"])), None, "a first deploy");
    let test = releases(3);
    version(&test, 4);
    assert_eq!(way_back(&shown(&test, ["deploy"])), Some("0.3-[ID]"));
    let dry_run = ["rollback", "--dry-run"];
    let plan = shown(&test, dry_run);
    assert!(
        plan.starts_with("shop 0.2: 0.3-[ID] -> 0.2-[ID]\n"),
        "{plan}"
    );
    assert_eq!(way_back(&plan), Some("0.1-[ID]"), "further back, not forth");
    test.run(["rollback"]).any_stderr().success();
    assert_eq!(way_back(&shown(&test, dry_run)), None, "the first one");
    assert_eq!(way_back(&shown(&test, ["deploy"])), Some("0.2-[ID]"));
    let forth = ["rollback", "0.3", "--dry-run"];
    assert_eq!(way_back(&shown(&test, forth)), Some("0.2-[ID]"));
    // The live release stays, and so does its previous release.
    std::fs::remove_file(test.root("opt/shop/current")).expect("remove the link");
    version(&test, 2);
    let plan = shown(&test, ["deploy"]);
    assert!(
        plan.starts_with("shop 0.2: 0.2-[ID] stays live\n"),
        "{plan}"
    );
    assert_eq!(way_back(&plan), Some("0.1-[ID]"));
    // The rollback does what the plan says.
    deploy(&test);
    test.run(["rollback"]).any_stderr().success();
    assert!(live(&test).starts_with("0.1-"));
}

#[test]
fn a_dry_run_of_a_service_rollback_shows_that_service_only() {
    let test = releases(3);
    let dry_run = ["rollback", "0.1", "--service", "web", "--dry-run"];
    let conf = "/usr/local/lib/systemd/system/shop-web.service.d/05-execstart.conf";
    let plan = shown(&test, dry_run);
    let head = format!(
        "shop 0.3: 0.3-[ID] stays live\n\nfiles on the host:\n  ~ {conf}\n\n\
         units:\n  unchanged shop-web.service  pinned to 0.1-[ID]\n\n\
         a rollback after this would restore 0.2-[ID]\n"
    );
    assert_eq!(plan, head);
    let with_diff = shown(&test, [&dry_run[..], &["--diff"]].concat());
    let (names, diff) = with_diff
        .split_once(&format!("--- {conf}\n"))
        .expect("a diff");
    assert!(names.contains(&format!("  ~ {conf}\n")), "{with_diff}");
    assert!(diff.contains("\n+"), "{with_diff}");
    let json = test.run([&dry_run[..], &["--format", "json"]].concat());
    let plans = json.any_stdout().success().data("plan");
    assert_eq!(plans.len(), 1);
    assert_eq!(plans[0]["files"].as_array().expect("files").len(), 1);
    assert_eq!(plans[0]["rollback_to"], "0.2-[ID]");
    let no_such = ["rollback", "--service", "wbe", "--dry-run"];
    let said = "error: 0.3-[ID] and 0.2-[ID] do not both have a service `wbe`\n";
    let refused = test.run(no_such).any_stderr().status(2).stderr;
    assert!(refused.starts_with(said), "{refused}");
    // The rollback changes exactly that; then nothing is left to do.
    let before = host(&test);
    let pin = test.run(["rollback", "0.1", "--service", "web"]);
    pin.any_stderr().success();
    let mut after = host(&test);
    let conf = conf.trim_start_matches('/');
    assert_ne!(before.get(conf), after.get(conf));
    after.insert(conf.into(), before[conf].clone());
    tree::assert_same(&before, &after, "a pin changed more");
    let nothing = "nothing to do: `shop-web.service` is pinned to 0.1-[ID]\n";
    assert_eq!(shown(&test, dry_run), nothing);
    // A rollback of the whole app removes the pin.
    let plan = shown(&test, ["rollback", "--dry-run"]);
    assert!(
        plan.starts_with("shop 0.2: 0.3-[ID] -> 0.2-[ID]\n"),
        "{plan}"
    );
    assert!(plan.contains(&format!("  ~ /{conf}\n")), "{plan}");
}

#[test]
fn a_plan_says_how_much_disk_space_the_release_needs() {
    let test = app();
    let disk = |plan: &str| {
        let line = plan.lines().find_map(|line| line.strip_prefix("disk: "));
        line.unwrap_or_else(|| panic!("{plan}")).to_owned()
    };
    let plan = shown(&test, ["deploy"]);
    assert_eq!(disk(&plan), "116.00 KiB in 6 new inodes");
    deploy(&test);
    test.write("src/data/pages.txt", "another\n");
    let plan = shown(&test, ["deploy"]);
    let shared = "12.00 KiB in 3 new inodes, 2 files shared with 1.0-[ID]";
    assert_eq!(disk(&plan), shared);
    deploy(&test);
    // The previous release is still on the disk.
    let there = "nothing, the release is already there";
    assert_eq!(disk(&shown(&test, ["rollback", "--dry-run"])), there);
    test.write("src/data/pages.txt", "one\ntwo\n");
    assert_eq!(disk(&shown(&test, ["deploy"])), there);
}

/// The hash of the plan, from JSON.
pub(crate) fn hash(test: &Test) -> String {
    let mut robotctl = Command::new(env!("CARGO_BIN_EXE_robotctl"));
    robotctl.current_dir(test.app("")).arg("--root");
    robotctl.arg(test.root(""));
    robotctl.args(["deploy", "--format", "json"]);
    let output = robotctl.output().expect("start robotctl");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = stdout.lines().next().expect("a line");
    let plan: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let hash = plan["data"]["hash"].as_str();
    hash.expect("a hash").to_owned()
}

/// Something that happens between a plan and its deploy.
type Change<'a> = (&'a str, &'a dyn Fn(&Test));

#[test]
fn a_deploy_of_another_plan_than_the_one_shown_is_refused() {
    let unit = "usr/local/lib/systemd/system/shop-web.service";
    let changes: [Change<'_>; 5] = [
        ("a file of the host", &|test| {
            std::fs::write(test.root(unit), "[Service]\n").expect("write");
        }),
        ("a file that is missing", &|test| {
            std::fs::remove_file(test.root(unit)).expect("remove");
        }),
        ("the manifest", &|test| {
            let more = format!("{MANIFEST}[env]\nMORE = \"1\"\n");
            test.write("robot.toml", &more);
        }),
        ("the source", &|test| {
            test.write("src/data/pages.txt", "four\n");
        }),
        ("what is live", &|test| {
            test.run(["rollback"]).any_stderr().success();
        }),
    ];
    for (what, change) in changes {
        let test = releases(2);
        version(&test, 3);
        let planned = hash(&test);
        assert_eq!(
            planned,
            hash(&test),
            "{what}: another hash of the same plan"
        );
        change(&test);
        let before = test.state();
        test.run(["deploy", "--apply", "--plan", &planned])
            .case(what)
            .stderr(
                "error: the plan is no longer `[HASH]`: the source or the host has changed\n\n\
                 hint: look at the new plan: the same command without `--apply` and `--plan`\n",
            )
            .status(2);
        tree::assert_same(&before, &test.state(), what);
        let now = hash(&test);
        assert_ne!(planned, now, "{what}");
        let done = test.run(["deploy", "--apply", "--plan", &now]).case(what);
        done.any_stderr().success();
        let id = live(&test);
        assert!(
            id.starts_with("0.3-") || id.starts_with("1.0-"),
            "{what}: {id}"
        );
        test.run(["deploy", "--apply", "--plan", &hash(&test)])
            .stderr(&format!("nothing to do: shop {}-[ID] is live\n", &id[..3]))
            .success();
    }
}

#[test]
fn a_pin_is_shown_and_removed_only_on_request() {
    let test = releases(2);
    let status = || test.run(["status"]).any_stdout().success().stdout;
    assert!(!status().contains("pinned"), "{}", status());
    let unpinned = host(&test);
    let pin = test.run(["rollback", "--service", "web"]);
    pin.any_stderr().success();
    let pinned = status();
    let lines: Vec<&str> = pinned.lines().filter(|it| it.contains("pinned")).collect();
    assert_eq!(lines.len(), 1, "{pinned}");
    assert!(
        lines[0].starts_with("  shop-web.service ") && lines[0].ends_with("  pinned to 0.1-[ID]"),
        "{pinned}"
    );
    let json = test.run(["status", "--format", "json"]).any_stdout();
    let json = json.success().data("status");
    let units = json[0]["units"].as_array().expect("units");
    let web = units.iter().find(|unit| unit["unit"] == "shop-web.service");
    assert_eq!(web.expect("the service")["note"], "pinned to 0.1-[ID]");
    let (before, live_before) = (test.state(), live(&test));
    let refused = "error: service `web` is pinned to 0.1-[ID]\n\n\
                   hint: deploy it with the other services: add `--lift-pins`\n";
    version(&test, 3);
    test.run(["deploy"]).any_stdout().stderr(refused).status(2);
    let run = test.run(["deploy", "--apply"]);
    run.stderr(refused).status(2);
    tree::assert_same(&before, &test.state(), "a refusal changed something");
    // Removed without a new release: the service runs the live release again.
    version(&test, 2);
    let run = test.run(["deploy", "--apply", "--lift-pins"]);
    run.any_stderr().success();
    assert_eq!(live(&test), live_before);
    tree::assert_same(&unpinned, &host(&test), "a part of the pin is left");
    assert!(!status().contains("pinned"), "{}", status());
    // Removed with a new release, with the command that the plan names.
    let pin = test.run(["rollback", "--service", "web"]);
    pin.any_stderr().success();
    version(&test, 3);
    let run = test
        .run(["deploy", "--lift-pins"])
        .any_stdout()
        .any_stderr();
    let plan = run.success();
    assert!(
        plan.stderr
            .contains(" deploy --lift-pins --apply --plan [HASH]\n"),
        "{}",
        plan.stderr
    );
    assert!(!plan.stdout.contains("changed by hand"), "{}", plan.stdout);
    let run = test.run(["deploy", "--lift-pins", "--apply"]);
    run.any_stderr().success();
    assert!(live(&test).starts_with("0.3-"));
    assert!(!status().contains("pinned"), "{}", status());
    let conf = "usr/local/lib/systemd/system/shop-web.service.d/05-execstart.conf";
    assert_eq!(host(&test)[conf], unpinned[conf]);
}
