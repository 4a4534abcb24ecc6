//! With `--format json`, every line is one envelope that its schema describes, and the last line is
//! the result or the error with the real exit code.

use crate::formats::Earlier;
use crate::offline::{MANIFEST, app, deploy};
use crate::plans::{releases, version};
use crate::test::{Ended, SHOP, Test};
use jsonschema::Validator;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The schemas in the reference, by the kind of line.
fn schemas() -> BTreeMap<String, Validator> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/output");
    let files = fs::read_dir(dir).expect("list the schemas");
    let schemas = files.map(|file| {
        let path = file.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        let kind = name.strip_suffix(".schema.json").expect("a schema");
        let text = fs::read_to_string(&path).expect("read");
        let mut schema: Value = serde_json::from_str(&text).expect("JSON");
        refuse_undescribed_fields(&mut schema);
        let validator = jsonschema::validator_for(&schema).expect("a valid schema");
        (kind.to_owned(), validator)
    });
    schemas.collect()
}

/// A field that the schema does not describe is a mistake in our output, although programs that read
/// it must ignore it.
fn refuse_undescribed_fields(schema: &mut Value) {
    let Value::Object(object) = schema else {
        return;
    };
    if object.contains_key("properties") {
        object.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
    }
    for (key, value) in object {
        match (key.as_str(), value) {
            ("properties" | "$defs", Value::Object(all)) => {
                all.values_mut().for_each(refuse_undescribed_fields);
            }
            ("items", items) => refuse_undescribed_fields(items),
            _ => {}
        }
    }
}

/// One command: its kinds of lines in their order, repeated ones once, and its exit code.
struct Case {
    host: fn() -> Test,
    args: &'static [&'static str],
    kinds: &'static [&'static str],
    code: i32,
}

const fn case(
    host: fn() -> Test,
    args: &'static [&'static str],
    kinds: &'static [&'static str],
    code: i32,
) -> Case {
    Case {
        host,
        args,
        kinds,
        code,
    }
}

fn cases() -> Vec<Case> {
    let deployed: fn() -> Test = || releases(1);
    let three: fn() -> Test = || releases(3);
    vec![
        case(app, &["deploy"], &["plan", "result"], 0),
        case(app, &["deploy", "--diff"], &["plan", "result"], 0),
        case(changed, &["deploy", "--diff"], &["plan", "result"], 0),
        case(app, &["deploy", "--apply"], &["event", "result"], 0),
        case(deployed, &["deploy"], &["plan", "result"], 0),
        case(deployed, &["deploy", "--apply"], &["result"], 0),
        case(without_secret, &["deploy"], &["plan", "error"], 2),
        case(without_secret, &["deploy", "--apply"], &["error"], 2),
        case(three, &["rollback", "--dry-run"], &["plan", "result"], 0),
        case(
            three,
            &["rollback", "--service", "web", "--dry-run"],
            &["plan", "result"],
            0,
        ),
        case(three, &["rollback"], &["event", "result"], 0),
        case(deployed, &["rollback"], &["error"], 2),
        case(three, &["remove"], &["plan", "result"], 0),
        case(
            three,
            &["remove", "--app", "shop", "--purge"],
            &["plan", "result"],
            0,
        ),
        case(three, &["remove", "--apply"], &["event", "result"], 0),
        case(three, &["prune", "--keep", "2"], &["plan", "result"], 0),
        case(
            three,
            &["prune", "--keep", "2", "--apply"],
            &["event", "result"],
            0,
        ),
        case(three, &["prune"], &["plan", "result"], 0),
        case(three, &["status"], &["status", "result"], 0),
        case(pinned, &["status"], &["status", "result"], 0),
        case(interrupted, &["status"], &["status", "result"], 0),
        case(two, &["status"], &["status", "app-error", "error"], 2),
        case(two, &["releases"], &["release", "app-error", "error"], 2),
        case(failed, &["releases"], &["release", "result"], 0),
        case(pinned, &["history"], &["event", "result"], 0),
        case(Test::new, &["deplyo"], &["error"], 2),
        case(Test::new, &["deploy", "--nope"], &["error"], 2),
        case(deployed, &["check"], &["error"], 2),
        case(with_secret, &["secret", "list"], &["secret", "result"], 0),
        case(
            with_secret,
            &["secret", "rotate", "KEY"],
            &["event", "result"],
            0,
        ),
        case(app, &["secret", "set", "KEY"], &["error"], 2),
        case(with_secret, &["env", "set", "A=1"], &["event", "result"], 0),
        case(with_variable, &["env", "list"], &["variable", "result"], 0),
        case(app, &["score"], &["score", "result"], 0),
        case(
            app,
            &["score", "--threshold", "0.0"],
            &["score", "result"],
            1,
        ),
        case(app, &["generate"], &["file", "result"], 0),
        case(linted, &["generate"], &["lint", "file", "result"], 0),
        case(Test::new, &["status"], &["error"], 2),
        case(damaged_journal, &["recover"], &["error"], 4),
        case(deployed, &["recover"], &["result"], 0),
        case(interrupted, &["recover"], &["event", "result"], 0),
        case(Test::new, &["deploy"], &["error"], 2),
    ]
}

fn with_secret() -> Test {
    let secret = "[[secret]]\nname = \"KEY\"\ngenerate = \"hex:32\"\n";
    Test::shop().manifest(&format!("{SHOP}{secret}"))
}

fn with_variable() -> Test {
    let test = Test::shop();
    let set = test.run(["env", "set", "A=1"]);
    drop(set.any_stdout().any_stderr().success());
    test
}

#[test]
fn every_line_is_as_its_schema_describes_it() {
    let schemas = schemas();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for Case {
        host,
        args,
        kinds,
        code,
    } in cases().into_iter().chain(cases_of_doctor())
    {
        let test = host();
        let name = args.join(" ");
        let args = [args, &["--format", "json"]].concat();
        // Nothing is on standard error.
        let run = test.run(args).case(&name).any_stdout();
        let ended = run.status(code);
        let lines = ended.json();
        assert_eq!(kinds_of(&ended), kinds, "{name}: {}", ended.stdout);
        for line in &lines {
            let kind = line["kind"].as_str().expect("a kind");
            let schema = schemas
                .get(kind)
                .unwrap_or_else(|| panic!("no schema of {kind}"));
            let errors: Vec<String> = schema
                .iter_errors(line)
                .map(|error| format!("{} at {}", error, error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{name}: {line}\n{errors:#?}");
            assert_eq!(line["schema"], 1, "{name}: {line}");
            *seen.entry(kind.to_owned()).or_default() += 1;
        }
        let last = lines.last().expect("a line");
        assert_eq!(last["exit_code"], code, "{name}: {last}");
        for line in &lines[..lines.len() - 1] {
            assert!(line.get("exit_code").is_none(), "{name}: {line}");
        }
        // One command, one trace id; events of the history have that of their own command.
        if name != "history" {
            let same = lines
                .iter()
                .all(|line| line["trace_id"] == last["trace_id"]);
            assert!(same, "{name}: {}", ended.stdout);
        }
    }
    // A line of `package` has a size that depends on xz. Lines of `check`, `logs` and `doctor --trace` need running services, which a tree does not have.
    let unseen: Vec<&String> = schemas
        .keys()
        .filter(|kind| !seen.contains_key(*kind))
        .collect();
    assert_eq!(unseen, ["check", "log", "package", "trace"]);
}

/// The kinds of the lines, repeated ones once.
fn kinds_of(ended: &Ended) -> Vec<String> {
    let lines = ended.json().into_iter();
    let mut kinds: Vec<String> = lines
        .map(|line| line["kind"].as_str().expect("a kind").to_owned())
        .collect();
    kinds.dedup();
    kinds
}

/// Previews of all commands have one shape: the same fields, whatever is planned.
#[test]
fn plans_of_all_commands_have_the_same_fields() {
    const OPTIONAL: [&str; 6] = [
        "version",
        "content",
        "repair",
        "rollback_to",
        "hash",
        "apply",
    ];
    let fields = |test: &Test, args: &[&str]| {
        let args = [args, &["--format", "json"]].concat();
        let ended = test.run(args).any_stdout().success();
        let plan = ended.data("plan").pop().expect("a plan");
        let fields = plan.as_object().expect("an object").keys().cloned();
        fields
            .filter(|field| !OPTIONAL.contains(&field.as_str()))
            .collect::<Vec<String>>()
    };
    let test = changed();
    let deploy = fields(&test, &["deploy"]);
    for args in [
        &["rollback", "--dry-run"][..],
        &["remove"],
        &["prune", "--keep", "2"],
    ] {
        assert_eq!(fields(&test, args), deploy, "{args:?}");
    }
}

/// The command in a plan carries it out, and a prune names the release that stays live.
#[test]
fn a_plan_says_which_command_applies_it() {
    let test = changed();
    let plan = |args: &[&str]| {
        let args = [args, &["--format", "json"]].concat();
        let ended = test.run(args).any_stdout().success();
        ended.data("plan").pop().expect("a plan")
    };
    let prune = plan(&["prune", "--keep", "2"]);
    assert_eq!(
        prune["apply"],
        "robotctl --root [DIR]/root/ --app shop prune --keep 2 --apply"
    );
    assert_eq!(prune["from"], "0.3-[ID]");
    assert_eq!(prune["to"], "0.3-[ID]");
    let prune = ["--app", "shop", "prune", "--keep", "2", "--apply"];
    test.run(prune).any_stderr().success();
    // There is nothing left to remove.
    let again = plan(&["prune", "--keep", "2"]);
    assert_eq!(again["empty"], true, "{again}");
    assert_eq!(again["apply"], Value::Null, "{again}");
    let remove = plan(&["remove"]);
    assert_eq!(
        remove["apply"],
        "robotctl --root [DIR]/root/ remove --apply"
    );
    let deploy = plan(&["deploy"]);
    assert_eq!(
        deploy["apply"],
        "robotctl --root [DIR]/root/ deploy --apply --plan [HASH]"
    );
}

#[test]
fn a_field_without_a_description_is_refused() {
    let schema = &schemas()["status"];
    let test = releases(1);
    let ended = test.run(["status", "--format", "json"]).any_stdout();
    let line = ended.success().of_kind("status").pop().expect("a status");
    assert!(schema.is_valid(&line));
    for path in ["", "/data", "/data/units/0"] {
        let mut more = line.clone();
        more.pointer_mut(path).expect("a value")["more"] = Value::Bool(true);
        assert!(!schema.is_valid(&more), "{path}");
    }
    for (path, field) in [("", "data"), ("/data", "app")] {
        let mut less = line.clone();
        let object = less.pointer_mut(path).and_then(Value::as_object_mut);
        object.expect("an object").remove(field);
        assert!(!schema.is_valid(&less), "without {path}/{field}");
    }
    let mut other = line;
    other["kind"] = "report".into();
    assert!(!schema.is_valid(&other));
}

fn changed() -> Test {
    let test = releases(3);
    version(&test, 4);
    test.write("src/data/pages.txt", "another\n");
    test
}

/// A service that runs as root, which a lint reports.
fn linted() -> Test {
    Test::shop().manifest(&format!("{SHOP}user = \"root\"\n"))
}

fn without_secret() -> Test {
    let secret = "[[secret]]\nname = \"KEY\"\n";
    Test::shop().manifest(&format!("{SHOP}{secret}"))
}

fn pinned() -> Test {
    let test = releases(2);
    let pin = test.run(["rollback", "--service", "web"]);
    pin.any_stderr().success();
    test
}

/// A deploy that was killed; without a manifest in the directory.
fn interrupted() -> Test {
    Earlier::new("interrupted-deploy").test
}

/// Two apps, of which one has a damaged state; without a manifest in the directory.
fn two() -> Test {
    let test = app();
    for name in ["second", "shop"] {
        let manifest = MANIFEST.replace("\"shop\"", &format!("\"{name}\""));
        test.write("robot.toml", &manifest);
        deploy(&test);
    }
    fs::write(test.root("var/lib/robotctl/shop/state.json"), "{").expect("write");
    fs::remove_file(test.app("robot.toml")).expect("remove the manifest");
    test
}

fn failed() -> Test {
    let test = releases(2);
    let id = crate::offline::live(&test);
    let record = test.root(&format!("var/lib/robotctl/shop/releases/{id}.json"));
    let good = fs::read_to_string(&record).expect("read");
    let bad = "\"mark\": \"bad\",\n  \"why\": \"it did not start\"";
    let marked = good.replace("\"mark\": \"good\"", bad);
    assert_ne!(good, marked);
    fs::write(record, marked).expect("write");
    test
}

/// The same for the doctor.
fn cases_of_doctor() -> Vec<Case> {
    vec![
        case(|| releases(1), &["doctor"], &["report", "result"], 0),
        case(pinned, &["doctor"], &["report", "result"], 0),
        case(changed_by_hand, &["doctor"], &["report", "result"], 1),
        case(interrupted, &["doctor"], &["report", "result"], 1),
        case(two, &["doctor"], &["report", "result"], 1),
        case(without_unit, &["doctor", "--fix"], &["fix", "result"], 1),
        case(
            without_unit,
            &["doctor", "--fix", "--apply"],
            &["event", "fix", "result"],
            0,
        ),
        case(
            Test::new,
            &["doctor", "--explain", "units"],
            &["doctor-check", "result"],
            0,
        ),
        case(
            Test::new,
            &["doctor", "--list"],
            &["doctor-check", "result"],
            0,
        ),
    ]
}

fn without_unit() -> Test {
    let test = releases(1);
    let unit = test.root("usr/local/lib/systemd/system/shop-web.service");
    fs::remove_file(unit).expect("remove a unit");
    test
}

fn changed_by_hand() -> Test {
    let test = releases(1);
    let unit = test.root("usr/local/lib/systemd/system/shop-web.service");
    fs::write(unit, "[Service]\n").expect("write");
    test
}

fn damaged_journal() -> Test {
    let test = releases(1);
    fs::write(test.root("var/lib/robotctl/shop/journal.json"), "{").expect("write");
    test
}

/// The common fields of a line: app, environment, release, service.
fn subject(line: &Value) -> [Option<&str>; 4] {
    ["app", "environment", "release", "service"].map(|field| line[field].as_str())
}

#[test]
fn a_line_of_data_says_what_it_is_about() {
    let test = app();
    let manifest = format!("{MANIFEST}[environment.staging]\n");
    test.write("robot.toml", &manifest);
    let run = |args: &[&str]| {
        let json = ["--format", "json"];
        let run = test.run([args, &json].concat()).any_stdout();
        run.any_stderr().success()
    };
    let apply = ["deploy", "--apply", "--environment", "staging"];
    let plan = run(&["deploy", "--environment", "staging"]).of_kind("plan");
    let id = plan[0]["data"]["to"].as_str().expect("a release");
    let (shop, staging) = (Some("shop-staging"), Some("staging"));
    assert_eq!(subject(&plan[0]), [shop, staging, Some(id), None]);
    run(&apply);
    fs::remove_file(test.app("robot.toml")).expect("remove the manifest");
    for (args, kind) in [
        (&["status"][..], "status"),
        (&["releases"], "release"),
        (&["doctor"], "report"),
        (&["prune"], "plan"),
    ] {
        for line in run(args).of_kind(kind) {
            assert_eq!(subject(&line), [shop, staging, Some(id), None], "{args:?}");
        }
    }
    // Nothing is live afterwards.
    let removal = run(&["remove"]).of_kind("plan");
    assert_eq!(subject(&removal[0]), [shop, staging, None, None]);
    test.write("robot.toml", &manifest);
    let scores = run(&["score", "--environment", "staging"]).of_kind("score");
    let unit = scores[0]["data"]["unit"].as_str();
    assert_eq!(subject(&scores[0]), [shop, staging, None, unit]);
    assert!(
        unit.is_some_and(|unit| unit.starts_with("shop-staging-")),
        "{unit:?}"
    );
}
