//! `robotctl package`: the same bytes everywhere, what the package holds, and what is refused.

use crate::test::Test;
use std::path::Path;
use std::process::{Command, Output};

const MANIFEST: &str = "[app]\nname = \"shop\"\nversion = \"1.0\"\ndescription = \"A shop\"\n\
                        maintainer = \"Ann <ann@example.org>\"\n[release]\nsource = \"src\"\n\
                        [service.web]\nexec = [\"{current}/bin/web\"]\n";
/// The first of December 2025.
const DATE: &str = "1764547200";

fn shop() -> Test {
    Test::new()
        .manifest(MANIFEST)
        .program("src/bin/web", "#!/bin/sh\n")
        .file("src/page.html", "hello\n")
}

/// Runs robotctl by a line of shell in a directory.
fn shell(dir: &Path, line: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-ec", line]).current_dir(dir);
    command.env("robotctl", env!("CARGO_BIN_EXE_robotctl"));
    command.env("SOURCE_DATE_EPOCH", DATE);
    command.output().expect("run a shell")
}

#[track_caller]
fn made(test: &Test, line: &str) -> String {
    let output = shell(&test.app(""), line);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_same_source_is_the_same_package_everywhere() {
    let sum =
        |test: &Test, line: &str| made(test, &format!("{line}; sha256sum < out/shop_1.0_all.deb"));
    let plain = shop();
    let first = sum(&plain, "mkdir out; $robotctl --quiet package -o out >&2");
    // Another directory, umask, time zone, language, modes and times of the source.
    let other = shop();
    let line = "umask 077; export TZ=Asia/Tokyo LANG=de_DE.UTF-8; touch -d 2001-01-01 src/page.html; mkdir out; \
                chmod 600 src/page.html robot.toml; chmod 700 src src/bin src/bin/web; \
                $robotctl --quiet package -o out >&2";
    assert_eq!(sum(&other, line), first);
    // Once more, where the source holds the package.
    let inside = shop().manifest(&MANIFEST.replace("\"src\"", "\".\""));
    let line = "mkdir out; $robotctl --quiet package -o out >&2";
    let once = sum(&inside, line);
    assert_eq!(sum(&inside, "$robotctl --quiet package -o out >&2"), once);
    let changed = sum(
        &plain,
        "echo more >> src/page.html; $robotctl --quiet package -o out >&2",
    );
    assert_ne!(changed, first);
}

#[test]
fn a_package_holds_nothing_below_opt_and_etc() {
    let test = shop();
    made(&test, "$robotctl package --verify");
    let list = made(
        &test,
        "dpkg-deb --contents shop_1.0_all.deb | sed 's/ .* / /'",
    );
    let files: Vec<&str> = list.lines().filter(|line| !line.ends_with('/')).collect();
    let expected = [
        "-rw-r--r-- ./usr/lib/shop/package.json",
        "-rwxr-xr-x ./usr/lib/shop/payload/bin/web",
        "-rw-r--r-- ./usr/lib/shop/payload/page.html",
        "-rw-r--r-- ./usr/lib/shop/robot.toml",
        "-rw-r--r-- ./usr/share/doc/shop/changelog.gz",
        "-rw-r--r-- ./usr/share/doc/shop/copyright",
        "-rw-r--r-- ./usr/share/lintian/overrides/shop",
    ];
    assert_eq!(files, expected);
    let control = "mkdir x; dpkg-deb --raw-extract shop_1.0_all.deb x; cd x; md5sum --check --quiet DEBIAN/md5sums; \
                   wc -l < DEBIAN/md5sums; grep -E '^(Depends|Installed-Size)' DEBIAN/control; stat -c %Y usr/lib/shop";
    let expected = format!("7\nInstalled-Size: 19\nDepends: robot (>= 0.1.0)\n{DATE}\n");
    assert_eq!(made(&test, control), expected);
}

#[test]
fn a_build_sees_the_release_where_it_will_be() {
    let build = "source = \"src\"\nbuild = [[\"sh\", \"-c\", \"pwd > where; chmod 600 page.html; ls /opt > opt\"]]\n";
    let test = shop().manifest(&MANIFEST.replace("source = \"src\"\n", build));
    made(
        &test,
        "$robotctl package --verify; dpkg-deb --extract shop_1.0_all.deb x",
    );
    let read = |path: &str| std::fs::read_to_string(test.app(path)).expect("read a file");
    assert_eq!(read("x/usr/lib/shop/payload/where"), "/opt/shop/current\n");
    assert_eq!(read("x/usr/lib/shop/payload/opt"), "shop\n");
    // The release is built, so the manifest of the package builds nothing.
    assert!(!read("x/usr/lib/shop/robot.toml").contains("build = "));
    let list = made(&test, "dpkg-deb --contents shop_1.0_all.deb");
    assert!(
        list.lines()
            .any(|line| line.starts_with("-rw-r--r-- root/root") && line.ends_with("page.html")),
        "{list}"
    );
}

#[test]
fn a_package_names_the_libraries_and_interpreters_of_its_programs() {
    let test = shop().manifest(&MANIFEST.replace("{current}/bin/web", "/usr/bin/python3"));
    made(&test, "cp /bin/ls src/bin/ls; $robotctl package --verify");
    let architecture = made(&test, "dpkg --print-architecture");
    let deb = format!("shop_1.0_{}.deb", architecture.trim());
    let depends = made(&test, &format!("dpkg-deb --field {deb} Depends"));
    assert!(
        depends.starts_with("robot (>= 0.1.0), python3, "),
        "{depends}"
    );
    assert!(depends.contains("libselinux1"), "{depends}");
    // Without dpkg-dev, a warning says so.
    let without = "mkdir bin; for p in sh dpkg-deb tar xz find sort xargs md5sum rm; do ln -s $(command -v $p) bin/; done; \
                   PATH=$PWD/bin $robotctl package 2>&1";
    let shown = made(&test, without);
    assert!(
        shown.contains("warning: `dpkg-shlibdeps` is not installed"),
        "{shown}"
    );
}

/// What is wrong with an app: its name, what its manifest says instead, a line of shell, words of the error.
type Refused = (
    &'static str,
    (&'static str, &'static str),
    &'static str,
    &'static str,
);

const REFUSED: &[Refused] = &[
    (
        "without a maintainer",
        ("maintainer = \"Ann <ann@example.org>\"\n", ""),
        "",
        "needs a maintainer",
    ),
    (
        "a name of robotctl",
        ("[release]", "[package]\nname = \"robot\"\n[release]"),
        "",
        "reserved for robotctl",
    ),
    (
        "a name of Debian",
        ("[release]", "[package]\nname = \"bash\"\n[release]"),
        "",
        "Debian has a package of that name",
    ),
    (
        "a private file",
        ("", ""),
        "echo A=1 > src/.env",
        "these files look private: `.env`",
    ),
    (
        "another program",
        ("", ""),
        "printf '#!/home/ann/venv/bin/python\\n' > src/bin/web",
        "which only this machine has",
    ),
    (
        "byte code by time",
        ("", ""),
        "printf '\\247\\r\\r\\n\\0\\0\\0\\0aaaabbbb' > src/a.pyc",
        "one time stamp",
    ),
    ("a setuid file", ("", ""), "chmod u+s src/bin/web", "setuid"),
    (
        "a link out of it",
        ("", ""),
        "ln -s ../../etc/shadow src/link",
        "`link`",
    ),
    (
        "no directory",
        ("", ""),
        "rm -rf out",
        "`out` is not a directory",
    ),
    (
        "no changelog",
        ("[release]", "[package]\nchangelog = \"log\"\n[release]"),
        "",
        "log",
    ),
    (
        "another version",
        ("[release]", "[package]\nchangelog = \"log\"\n[release]"),
        "echo 'shop (0.9) x' > log",
        "shop (1.0)",
    ),
    (
        "the future",
        ("[release]", "[package]\nchangelog = \"log\"\n[release]"),
        "unset SOURCE_DATE_EPOCH; printf 'shop (1.0) x\\n\\n -- A <a@b.c>  Mon, 01 Jan 2125 00:00:00 +0000\\n' > log",
        "the newest entry of the changelog is in the future",
    ),
];

#[test]
fn what_a_package_must_not_hold_is_refused() {
    for (name, (from, to), line, says) in REFUSED {
        let test = shop().manifest(&MANIFEST.replacen(from, to, 1));
        let line = format!("mkdir out; {line}\n$robotctl package -o out");
        let output = shell(&test.app(""), &line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {stderr}");
        assert!(
            stderr.contains(says) && stderr.contains("hint: "),
            "{name}: {stderr}"
        );
        assert!(!test.app("out/shop_1.0_all.deb").exists(), "{name}");
    }
    let test = shop();
    let output = shell(&test.app("src"), "$robotctl package");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("there is no `robot.toml` in this directory"),
        "{stderr}"
    );
    let output = shell(
        &test.app(""),
        "p=$PWD/path; mkdir $p; ln -s $(which sh) $p/; PATH=$p; $robotctl package",
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("`dpkg-deb` is not installed"), "{stderr}");
}
