//! Where an archive comes from: its digest, and the signatures that a host asks for. ssh-keygen(1) is the real one.

use crate::test::Test;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The manifest in the archive. The archive is the whole release.
const MANIFEST: &str = "[app]\nname = \"shop\"\nversion = \"1.0\"\n\
                        [service.web]\nexec = [\"{current}/bin/web\"]\n";
const SIGN: &str =
    "sign an archive where you build it: ssh-keygen -Y sign -n robotctl -f KEY ARCHIVE";
const CHECK: &str =
    "check who made the archive; `/etc/robotctl/allowed-signers` lists the keys that may sign it";
const WORDS: &str = "write `sha256:` and the 64 digits that `sha256sum FILE` prints";

fn run(program: &str, args: &[&str], dir: PathBuf) -> String {
    let mut command = Command::new(program);
    let output = command.args(args).current_dir(dir).stdin(Stdio::null());
    let output = output.output().expect(program);
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A host with an archive beside it: `app.tar`, whose program says `good`.
fn signed_app() -> Test {
    let test = Test::new().file("src/robot.toml", MANIFEST);
    let test = test.program("src/bin/web", "#!/bin/sh\necho good\n");
    pack(&test, "app.tar");
    test
}

/// Makes an archive of `src`.
fn pack(test: &Test, archive: &str) {
    let args = [
        "--sort=name",
        "-cf",
        archive,
        "-C",
        "src",
        "robot.toml",
        "bin",
    ];
    run("tar", &args, test.app(""));
}

/// Makes a key, and returns it as a line of allowed signers has it.
fn key(test: &Test, name: &str) -> String {
    let args = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name];
    run("ssh-keygen", &args, test.app(""));
    let public = fs::read_to_string(test.app(&format!("{name}.pub"))).unwrap();
    public.rsplit_once(' ').unwrap().0.to_owned()
}

fn sign(test: &Test, namespace: &str, key: &str, archive: &str) {
    let _ = fs::remove_file(test.app(&format!("{archive}.sig")));
    let args = ["-q", "-Y", "sign", "-n", namespace, "-f", key, archive];
    run("ssh-keygen", &args, test.app(""));
}

/// Writes a file of `/etc/robotctl`.
fn write_etc(test: &Test, name: &str, content: &str) {
    let path = test.root("etc/robotctl").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn digest(test: &Test) -> String {
    let sum = run("sha256sum", &["app.tar"], test.app(""));
    format!("sha256:{}", sum.split(' ').next().unwrap())
}

/// Expects that a deploy is refused with these words, and that nothing was changed.
#[track_caller]
fn refused(test: &Test, args: &[&str], message: &str, hint: &str) {
    let before = test.state();
    for apply in [&[][..], &["--apply"]] {
        let all = [args, apply].concat();
        let said = format!("error: {message}\n\nhint: {hint}\n");
        test.run(&all).stderr(&said).status(2);
    }
    assert!(test.state() == before, "{message}");
}

/// What the live release prints.
fn program(test: &Test) -> String {
    fs::read_to_string(test.root("opt/shop/current/bin/web")).unwrap()
}

#[test]
fn an_archive_with_another_digest_is_not_read() {
    let test = signed_app();
    let good = digest(&test);
    let other = format!("sha256:{}", "0".repeat(64));
    let upper = good.to_uppercase().replace("SHA", "sha");
    let short = &good[..70];
    let sha512 = good.replace("256", "512");
    for (digest, what) in [
        (&upper[..], "has upper-case digits"),
        (short, "has 63 digits"),
        (&sha512, "has an algorithm that robotctl does not know"),
        (&good[7..], "does not name its algorithm"),
    ] {
        let shown = test.plain(&format!("`{digest}` in `--digest` {what}"));
        refused(
            &test,
            &["deploy", "app.tar", "--digest", digest],
            &shown,
            WORDS,
        );
    }
    refused(
        &test,
        &["deploy", "src", "--digest", &good],
        "`--digest` is about an archive, and `src` is a directory",
        "name an archive, or leave out `--digest`",
    );
    refused(
        &test,
        &["deploy", "--digest", &good],
        "`--digest` is about an archive, and the command names none",
        "name the archive after `deploy`",
    );
    refused(
        &test,
        &["deploy", "app.tar", "--signature", "app.tar.sig"],
        "`--signature` needs to know who may sign, and there is no `/etc/robotctl/allowed-signers`",
        "write the file of allowed signers (ssh-keygen(1)), or use `--digest`",
    );
    let differs = |archive: &str, found: &str| {
        test.plain(&format!(
            "`{archive}` has the digest `{found}`, and not `{other}`"
        ))
    };
    let again = "get the archive again, or check the digest where the archive was made";
    let args = ["deploy", "app.tar", "--digest", &other];
    refused(&test, &args, &differs("app.tar", &good), again);
    // A manifest in another place reads no more of it.
    test.write("robot.toml", MANIFEST);
    let args = [
        "deploy",
        "app.tar",
        "--manifest",
        "robot.toml",
        "--digest",
        &other,
    ];
    refused(&test, &args, &differs("app.tar", &good), again);
    // Nothing of it is parsed: its content would be refused in other words.
    test.write("junk.tar", "this is not an archive");
    let junk = "sha256:".to_owned()
        + run("sha256sum", &["junk.tar"], test.app(""))
            .split(' ')
            .next()
            .unwrap();
    let args = ["deploy", "junk.tar", "--digest", &other];
    refused(&test, &args, &differs("junk.tar", &junk), again);
    let right = ["deploy", "app.tar", "--apply", "--digest", &good];
    test.run(right).any_stderr().success();
    let listed = test
        .run(["releases", "--format", "json"])
        .any_stdout()
        .success();
    let public = fs::read_to_string(one_record(&test)).unwrap();
    let public: serde_json::Value = serde_json::from_str(&public).unwrap();
    assert_eq!(public["archive"], serde_json::json!({ "digest": good }));
    assert!(
        listed.stdout.contains("\"archive\":{\"digest\":\"sha256:"),
        "{}",
        listed.stdout
    );
}

/// The public record of the only release.
fn one_record(test: &Test) -> PathBuf {
    let dir = fs::read_dir(test.root("var/lib/robotctl/shop/releases")).unwrap();
    let mut paths = dir.map(|entry| entry.unwrap().path());
    let is_public = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
    paths.find(is_public).unwrap()
}

#[test]
fn a_signature_is_recorded_with_its_signer() {
    let test = signed_app();
    let ci = key(&test, "ci");
    write_etc(&test, "allowed-signers", &format!("ci@example {ci}\n"));
    sign(&test, "robotctl", "ci", "app.tar");
    let plan = test.run(["deploy", "app.tar"]).any_stderr().any_stdout();
    let plan = plan.success().stdout;
    let line = "archive: signed by ci@example, sha256:";
    assert!(plan.lines().any(|one| one.starts_with(line)), "{plan}");
    test.run(["deploy", "app.tar", "--apply"])
        .any_stderr()
        .success();
    let says = |args: &[&str], words: &str| {
        let said = test.run(args).any_stdout().any_stderr().success();
        assert!(said.stdout.contains(words), "{args:?}: {}", said.stdout);
    };
    says(&["releases"], ", signed by ci@example\n");
    says(&["history"], ", signed by ci@example\n");
    says(&["status"], "  its archive: signed by ci@example\n");
    for command in ["releases", "history", "status"] {
        says(&[command, "--format", "json"], "\"signer\":\"ci@example\"");
    }
    // The signature may have any name, and a link may lead to the archive.
    fs::rename(test.app("app.tar.sig"), test.app("other")).unwrap();
    symlink("app.tar", test.app("latest.tar")).unwrap();
    let args = ["deploy", "latest.tar", "--apply", "--signature", "other"];
    test.run(args).any_stderr().success();
}

/// What changes before a deploy of `app.tar`, which `ci` has signed.
type Attack = fn(&Test, &str);

/// Each attack, and what robotctl says.
const ATTACKS: &[(&str, Attack, &str, &str)] = &[
    (
        "no signature",
        |test, _| fs::remove_file(test.app("app.tar.sig")).unwrap(),
        "`app.tar` has no signature: there is no `app.tar.sig`",
        SIGN,
    ),
    (
        "another archive",
        |test, _| {
            test.write("src/bin/web", "#!/bin/sh\necho evil\n");
            pack(test, "app.tar");
        },
        "`app.tar.sig` is not a signature of `[DIR]/app/app.tar` by an allowed signer: Signature verification failed: incorrect signature",
        CHECK,
    ),
    (
        "another key",
        |test, _| {
            key(test, "mallory");
            sign(test, "robotctl", "mallory", "app.tar");
        },
        "`app.tar.sig` is not a signature of `[DIR]/app/app.tar` by an allowed signer: No principal matched.",
        CHECK,
    ),
    (
        "a signature for another purpose",
        |test, _| sign(test, "git", "ci", "app.tar"),
        "`app.tar.sig` is not a signature of `[DIR]/app/app.tar` by an allowed signer: Couldn't verify signature: namespace does not match",
        CHECK,
    ),
    (
        "a key that may not sign for this purpose",
        |test, ci| {
            write_etc(
                test,
                "allowed-signers",
                &format!("ci@example namespaces=\"git\" {ci}\n"),
            );
        },
        "`app.tar.sig` is not a signature of `[DIR]/app/app.tar` by an allowed signer: /etc/robotctl/allowed-signers:1: key is not permitted for use in signature namespace \"robotctl\"",
        CHECK,
    ),
    (
        "a revoked key",
        |test, ci| write_etc(test, "revoked-keys", &format!("{ci}\n")),
        "the key of `app.tar.sig` is revoked, or `/etc/robotctl/revoked-keys` cannot be read as a list of keys",
        "sign the archive with another key",
    ),
    (
        "a list of revoked keys that cannot be read",
        |test, _| write_etc(test, "revoked-keys", "SSHKRL\n\0broken"),
        "the key of `app.tar.sig` is revoked, or `/etc/robotctl/revoked-keys` cannot be read as a list of keys",
        "sign the archive with another key",
    ),
    (
        "a list of no signers",
        |test, _| write_etc(test, "allowed-signers", ""),
        "`app.tar.sig` is not a signature of `[DIR]/app/app.tar` by an allowed signer: No principal matched.",
        CHECK,
    ),
    (
        "text in place of a signature",
        |test, _| test.write("app.tar.sig", "-----BEGIN SSH SIGNATURE-----\n\u{202e}\n"),
        "`app.tar.sig` is not a signature of `[DIR]/app/app.tar` by an allowed signer: Couldn't parse signature: missing footer; sig_find_principals: sshsig_armor: incomplete message; No principal matched.",
        CHECK,
    ),
    (
        "the signers of the app count, and not those of the host",
        |test, _| {
            let other = key(test, "other");
            write_etc(test, "shop.allowed-signers", &format!("o {other}\n"));
        },
        "an app of this host has allowed signers of its own, so the command must name the app of `app.tar`",
        "add `--app NAME`",
    ),
    (
        "a link in place of the allowed signers",
        |test, ci| {
            let path = test.root("etc/robotctl/allowed-signers");
            fs::remove_file(&path).unwrap();
            test.write("signers", &format!("ci@example {ci}\n"));
            symlink(test.app("signers"), path).unwrap();
        },
        "`[DIR]/root/etc/robotctl/allowed-signers` is a link, so robotctl does not believe it",
        "read what it says, then write it again as root: sudo ls -l [DIR]/root/etc/robotctl/allowed-signers",
    ),
    (
        "allowed signers that others can write",
        |test, _| {
            let path = test.root("etc/robotctl/allowed-signers");
            fs::set_permissions(path, Permissions::from_mode(0o664)).unwrap();
        },
        "`[DIR]/root/etc/robotctl/allowed-signers` can be written by other users than root, so robotctl does not believe it",
        "read what it says, then write it again as root: sudo ls -l [DIR]/root/etc/robotctl/allowed-signers",
    ),
];

#[test]
fn each_attack_on_a_signature_is_refused() {
    for (case, attack, message, hint) in ATTACKS {
        println!("{case}");
        let test = signed_app();
        let ci = key(&test, "ci");
        write_etc(&test, "allowed-signers", &format!("ci@example {ci}\n"));
        sign(&test, "robotctl", "ci", "app.tar");
        attack(&test, &ci);
        refused(&test, &["deploy", "app.tar"], message, hint);
    }
}

/// The dates are those of the key. ssh-keygen says which, with the time of the check.
#[test]
fn a_key_counts_only_in_its_time() {
    let test = signed_app();
    let ci = key(&test, "ci");
    sign(&test, "robotctl", "ci", "app.tar");
    for (dates, words) in [
        ("valid-before=\"20200101\"", "key has expired"),
        ("valid-after=\"20990101\"", "key is not yet valid"),
    ] {
        write_etc(
            &test,
            "allowed-signers",
            &format!("ci@example {dates} {ci}\n"),
        );
        let run = test.run(["deploy", "app.tar", "--apply"]).any_stderr();
        let said = run.status(2).stderr;
        assert!(
            said.contains(&format!("allowed-signers:1: {words}")),
            "{said}"
        );
    }
    let dates = "valid-after=\"20200101\",valid-before=\"20990101\"";
    write_etc(
        &test,
        "allowed-signers",
        &format!("ci@example {dates} {ci}\n"),
    );
    test.run(["deploy", "app.tar", "--apply"])
        .any_stderr()
        .success();
}

/// What a signature does not cover is refused where signatures are needed, and only there.
#[test]
fn a_source_without_a_signature_is_refused_for_an_app_with_signers() {
    let test = signed_app();
    let ci = key(&test, "ci");
    sign(&test, "robotctl", "ci", "app.tar");
    test.run(["deploy", "src", "--apply"])
        .any_stderr()
        .success();
    write_etc(&test, "shop.allowed-signers", &format!("ci@example {ci}\n"));
    let rule = "`/etc/robotctl/shop.allowed-signers` lists who may sign `shop`";
    let directory = format!("{rule}, and a directory has no signature");
    for args in [
        &["deploy", "src"][..],
        &["--app", "shop", "deploy", "src"],
        &["--manifest", "src/robot.toml", "deploy"],
        &["--manifest", "src/robot.toml", "deploy", "src"],
    ] {
        refused(&test, args, &directory, SIGN);
    }
    let outside = "put `robot.toml` at the top of the archive, sign it, and leave out `--manifest`";
    let covers = |manifest: &str| {
        format!("{rule}, and a signature of the archive does not cover the manifest `{manifest}`")
    };
    let args = ["--manifest", "src/robot.toml", "deploy", "app.tar"];
    refused(&test, &args, &covers("src/robot.toml"), outside);
    // An archive without a manifest takes the one of the directory.
    let all = ["-cf", "bare.tar", "-C", "src", "bin"];
    run("tar", &all, test.app(""));
    sign(&test, "robotctl", "ci", "bare.tar");
    test.write("robot.toml", MANIFEST);
    let args = ["--app", "shop", "deploy", "bare.tar"];
    refused(&test, &args, &covers("robot.toml"), outside);
    // A signed archive of one app is not another one.
    test.write("src/robot.toml", &MANIFEST.replace("shop", "other"));
    pack(&test, "other.tar");
    sign(&test, "robotctl", "ci", "other.tar");
    let args = ["--app", "shop", "deploy", "other.tar", "--apply"];
    let said = test.run(args).any_stderr().status(2).stderr;
    assert!(
        said.contains("is the manifest of `other`, not of `shop`"),
        "{said}"
    );
    // An app without signers needs no signature.
    let args = ["--app", "other", "deploy", "src", "--apply"];
    test.run(args).any_stderr().success();
    // A rollback to the release without a signature works, and the plan says so.
    test.write("src/robot.toml", MANIFEST);
    test.write("src/bin/web", "#!/bin/sh\necho newer\n");
    pack(&test, "app.tar");
    sign(&test, "robotctl", "ci", "app.tar");
    let args = ["--app", "shop", "deploy", "app.tar", "--apply"];
    test.run(args).any_stderr().success();
    assert!(program(&test).contains("newer"));
    let plan = test.run(["--app", "shop", "rollback", "--dry-run"]);
    let plan = plan.any_stdout().any_stderr().success().stdout;
    let note = "was deployed without a signature, which `/etc/robotctl/shop.allowed-signers` asks of new releases";
    assert!(plan.contains(note), "{plan}");
    test.run(["--app", "shop", "rollback"])
        .any_stderr()
        .success();
    assert!(program(&test).contains("good"));
}

/// A program that robotctl finds in place of ssh-keygen. It runs the real one, and then these lines.
fn replace_ssh_keygen(test: &Test, lines: &str) -> String {
    let script = format!("#!/bin/sh\n/usr/bin/ssh-keygen \"$@\"; code=$?\n{lines}\nexit $code\n");
    test.write("path/ssh-keygen", &script);
    test.mode("path/ssh-keygen", 0o755);
    format!("{}:/usr/bin:/bin", test.app("path").display())
}

/// The user who owns the archive replaces it while robotctl verifies it.
#[test]
fn what_is_released_is_what_was_verified() {
    for replace in [
        "mv -f evil.tar app.tar",
        "cat evil.tar > app.tar",
        "rm -f app.tar; ln -s evil.tar app.tar",
    ] {
        let test = signed_app();
        let ci = key(&test, "ci");
        write_etc(&test, "allowed-signers", &format!("ci@example {ci}\n"));
        sign(&test, "robotctl", "ci", "app.tar");
        test.write("src/bin/web", "#!/bin/sh\necho evil\n");
        pack(&test, "evil.tar");
        test.open_to_all();
        test.mode("", 0o777);
        test.mode("app.tar", 0o666);
        let dir = test.app("");
        let lines = format!(
            "cd '{}' && if [ -e evil.tar ]; then {replace}; fi",
            dir.display()
        );
        let path = replace_ssh_keygen(&test, &lines);
        let run = test
            .run(["deploy", "app.tar", "--apply"])
            .env("PATH", &path);
        run.any_stderr().success();
        assert!(program(&test).contains("good"), "{replace}");
        let now = run_tar(&test);
        assert!(now.contains("evil"), "{replace}");
    }
}

/// The program in `app.tar` as it is now.
fn run_tar(test: &Test) -> String {
    run("tar", &["-xOf", "app.tar", "bin/web"], test.app(""))
}

#[test]
fn ssh_keygen_has_no_rights_and_no_other_process_takes_it_over() {
    let other_user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let as_other_user = |words: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(other_user).args(words).output().unwrap()
    };
    // Another user than root, and root of a namespace without this user, cannot give up rights.
    let has_ids = as_other_user(&["true"]).status.success();
    let test = signed_app();
    let ci = key(&test, "ci");
    write_etc(&test, "allowed-signers", &format!("ci@example {ci}\n"));
    sign(&test, "robotctl", "ci", "app.tar");
    test.open_to_all();
    test.mode("", 0o777);
    let (seen, go) = (test.app("seen"), test.app("go"));
    run("mkfifo", &["-m", "666", "seen", "go"], test.app(""));
    let lines = format!(
        "cat /proc/$$/status > '{}'; cat '{}' > /dev/null",
        seen.display(),
        go.display()
    );
    let path = replace_ssh_keygen(&test, &lines);
    let watched = std::thread::scope(|scope| {
        let deploy = scope.spawn(|| {
            let run = test.run(["deploy", "app.tar", "--apply"]);
            run.env("PATH", &path).any_stderr().success();
        });
        let mut all = Vec::new();
        // Once for the principal, once for the signature.
        for _ in 0..2 {
            let status = fs::read_to_string(&seen).unwrap();
            let field = |name: &str| {
                let mut lines = status.lines();
                let line = lines.find_map(|line| line.strip_prefix(name)).unwrap();
                line.trim().to_owned()
            };
            let memory = format!("/proc/{}/environ", field("Pid:"));
            let taken = as_other_user(&["cat", &memory]).status.success();
            all.push((
                field("Uid:"),
                field("CapPrm:"),
                field("CapBnd:"),
                field("NoNewPrivs:"),
                taken,
            ));
            fs::write(&go, "go").unwrap();
        }
        deploy.join().unwrap();
        all
    });
    if has_ids {
        let caps = "0000000000000400";
        let ids = "65534\t65534\t65534\t65534";
        for (uid, permitted, bounding, no_new, taken) in watched {
            assert_eq!((&*uid, &*permitted, &*bounding), (ids, caps, caps));
            assert_eq!((&*no_new, taken), ("1", false));
        }
    }
}

#[test]
fn without_ssh_keygen_the_message_names_the_package() {
    let test = signed_app();
    let ci = key(&test, "ci");
    write_etc(&test, "allowed-signers", &format!("ci@example {ci}\n"));
    sign(&test, "robotctl", "ci", "app.tar");
    let run = test
        .run(["deploy", "app.tar", "--apply"])
        .env("PATH", "/sbin");
    run.stderr(
        "error: `ssh-keygen` is not installed, and it verifies signatures\n\n\
         hint: install it: sudo apt-get install openssh-client\n",
    )
    .status(2);
}

#[test]
fn only_root_decides_who_may_sign() {
    let test = signed_app();
    let ci = key(&test, "ci");
    write_etc(&test, "allowed-signers", &format!("ci@example {ci}\n"));
    sign(&test, "robotctl", "ci", "app.tar");
    let path = test.root("etc/robotctl/allowed-signers");
    if chown(&path, Some(1), None).is_err() {
        return;
    }
    refused(
        &test,
        &["deploy", "app.tar"],
        "`[DIR]/root/etc/robotctl/allowed-signers` belongs to another user than root, so robotctl does not believe it",
        "read what it says, then write it again as root: sudo ls -l [DIR]/root/etc/robotctl/allowed-signers",
    );
}

/// dpkg(1) installed its files as root.
#[test]
fn an_app_of_a_package_needs_no_signature() {
    let test = signed_app();
    write_etc(&test, "allowed-signers", "");
    let dir = test.root("usr/lib/shop");
    let copied = dir.display().to_string();
    fs::create_dir_all(dir.parent().unwrap()).unwrap();
    run("cp", &["-r", "src", &copied], test.app(""));
    test.run(["--app", "shop", "deploy", "--apply"])
        .any_stderr()
        .success();
    let rule = "`/etc/robotctl/allowed-signers` lists who may sign `shop`";
    let directory = format!("{rule}, and a directory has no signature");
    let manifest = format!("{copied}/robot.toml");
    let args = ["--manifest", &manifest, "deploy", "src"];
    refused(&test, &args, &directory, SIGN);
    // Its source is not in the directory of the package.
    let elsewhere = format!(
        "{MANIFEST}[release]\nsource = \"{}\"\n",
        test.app("src").display()
    );
    fs::write(&manifest, elsewhere).unwrap();
    refused(&test, &["--app", "shop", "deploy"], &directory, SIGN);
}
