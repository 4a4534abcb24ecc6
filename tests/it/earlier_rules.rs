//! Releases that an earlier robotctl deployed, with values that this one refuses. They stay what they are:
//! every command still reads them.

use crate::offline::{deploy, host, live};
use crate::records::store;
use crate::test::{SHOP, Test};
use robotctl::sandbox::refused::{REFUSED, REFUSED_VALUES};

/// Values of every directive that is refused.
fn refused_directives() -> String {
    let names = REFUSED.iter().flat_map(|row| row.names);
    let values = REFUSED_VALUES.iter().flat_map(|row| row.names);
    let line = |name: &&str| format!("sandbox.directives.{name} = \"/srv\"\n");
    names.chain(values).map(line).collect()
}

#[test]
fn a_release_with_refused_values_is_read_replaced_and_restored() {
    for line in [
        "timeout-stop = \"2h\"\n",
        "timeout-start = \"0s\"\n",
        "sandbox.read-only = [\"/run/credentials\"]\n",
        "description = \"left\u{202a} to right\"\n",
        &refused_directives(),
    ] {
        let test = Test::shop();
        deploy(&test);
        let (first, before) = (live(&test), host(&test));
        let mut record = store(&test).release(&first).unwrap().expect("a record");
        record.manifest.push_str(line);
        store(&test).set_release(&record).unwrap();
        // As a manifest, it is refused.
        test.write("robot.toml", &record.manifest);
        test.run(["deploy"]).case(line).any_stderr().status(2);
        test.write("robot.toml", &SHOP.replace("1.0", "1.1"));
        let run = test.run(["doctor"]).case(line);
        let ended = run.any_stdout().success();
        assert!(!ended.stdout.contains("error"), "{line}: {}", ended.stdout);
        deploy(&test);
        assert_ne!(live(&test), first, "{line}");
        test.run(["rollback"]).case(line).any_stderr().success();
        assert_eq!(live(&test), first, "{line}");
        assert_eq!(host(&test), before, "{line}");
    }
}
