//! Files and directories that an attribute of chattr(1) protects, even from root.

use crate::offline::{app, live};
use crate::plans::releases;
use crate::previews::{DEPLOY, PRUNE, PURGE, REMOVE, ROLLBACK, SHARED, changed, changed_unit};
use crate::test::Test;
use crate::tree;
use crate::unsuitable_hosts::not_run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An attribute of a file or directory, until the end of the test.
struct Attribute(char, PathBuf);

impl Attribute {
    /// None when this user, or this file system, cannot set it.
    fn set(flag: char, path: &Path) -> Option<Self> {
        chattr('+', flag, path).then(|| Self(flag, path.to_owned()))
    }
}

impl Drop for Attribute {
    fn drop(&mut self) {
        chattr('-', self.0, &self.1);
    }
}

fn chattr(sign: char, flag: char, path: &Path) -> bool {
    let mut command = Command::new("chattr");
    let output = command.arg(format!("{sign}{flag}")).arg(path).output();
    output.expect("run chattr").status.success()
}

/// A host, what is protected on it, and the commands that must be refused.
type Case = (
    fn() -> Test,
    char,
    &'static str,
    &'static [[&'static [&'static str]; 2]],
);

const CASES: &[Case] = &[
    (app, 'i', "opt", &[DEPLOY]),
    (app, 'a', "usr/local/lib/systemd/system", &[DEPLOY]),
    (
        app,
        'i',
        "etc/systemd/system/multi-user.target.wants",
        &[DEPLOY],
    ),
    (
        || changed(releases(3)),
        'i',
        "var/lib/robotctl/shop",
        &[DEPLOY, ROLLBACK, REMOVE, PURGE, PRUNE],
    ),
    (
        || changed(releases(3)),
        'a',
        "var/lib/robotctl/shop/releases",
        &[DEPLOY, ROLLBACK, REMOVE, PRUNE],
    ),
    (
        || changed(releases(3)),
        'i',
        "opt/shop/releases",
        &[DEPLOY, ROLLBACK, REMOVE, PRUNE],
    ),
    (|| changed(releases(3)), 'i', "var/lib/shop", &[PURGE]),
    (
        || changed_unit(releases(3)),
        'i',
        "usr/local/lib/systemd/system/shop-web.service",
        &[DEPLOY, REMOVE],
    ),
];

#[test]
fn a_protected_path_is_refused_by_preview_and_apply() {
    for (host, flag, path, commands) in CASES {
        let test = host();
        let real = test.root(path);
        if !real.exists() {
            fs::create_dir_all(&real).expect("make a directory");
        }
        let Some(protection) = Attribute::set(*flag, &real) else {
            return not_run("this needs root of the host, and a file system with attributes");
        };
        let before = test.state();
        for args in commands.iter().flatten() {
            let case = format!("{path}, {}", args.join(" "));
            test.run(args)
                .case(&case)
                .any_stdout()
                .stderr(&format!(
                    "error: `[DIR]/root/{path}` has the attribute `{flag}`, so it cannot be \
                     changed\n\nhint: take the attribute away: sudo chattr -{flag} \
                     [DIR]/root/{path}\n"
                ))
                .status(2);
            let mut after = test.state();
            after.retain(|path, _| before.contains_key(path) || !SHARED.contains(&path.as_str()));
            tree::assert_same(&before, &after, &case);
        }
        drop(protection);
        // The hint helps: the same commands work.
        for args in &commands[0] {
            test.run(args).any_stdout().any_stderr().success();
        }
    }
}

/// The other releases are pruned, and the plan says why this one stays.
#[test]
fn a_protected_release_is_kept_by_a_prune() {
    let test = releases(4);
    let kept = |text: &str| text.contains("0.1-") && text.contains("has the attribute `i`");
    let list = fs::read_dir(test.root("opt/shop/releases")).expect("list");
    let names = list.map(|entry| entry.expect("an entry").path());
    let oldest = names.min().expect("a release");
    let Some(_protection) = Attribute::set('i', &oldest) else {
        return not_run("this needs root of the host, and a file system with attributes");
    };
    let plan = test.run(PRUNE[0]).any_stdout().any_stderr().success();
    assert!(kept(&plan.stdout), "{}", plan.stdout);
    let done = test.run(PRUNE[1]).any_stdout().any_stderr().success();
    assert!(kept(&done.stderr), "{}", done.stderr);
    assert!(oldest.exists() && test.root("opt/shop/releases").join(live(&test)).exists());
    let left = fs::read_dir(test.root("opt/shop/releases")).expect("list");
    assert_eq!(left.count(), 3);
}
