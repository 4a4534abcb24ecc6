//! Archives that are refused, for reasons that only archives have.

use crate::bad_sources::refused;
use crate::test::Test;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use tar::{EntryType, Header};

/// An archive with a valid program and one member with any name, type and link target, also invalid
/// ones.
fn archive(test: &Test, name: &str, member: &str, kind: EntryType, link: &str) {
    let file = File::create(test.app(name)).expect("make a file");
    let mut builder = tar::Builder::new(file);
    let mut add = |member: &str, kind: EntryType, link: &str, bytes: &[u8]| {
        let mut header = Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..member.len()].copy_from_slice(member.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append(&header, bytes).expect("append");
    };
    add("bin/web", EntryType::Regular, "", b"#!/bin/sh\n");
    let bytes: &[u8] = if kind == EntryType::Regular {
        b"x"
    } else {
        b""
    };
    add(member, kind, link, bytes);
    builder.finish().expect("finish");
}

const INSIDE: &str =
    "create the archive again from inside the directory: `tar -C DIR -cf app.tar .`";
const WHOLE: &str = "create the archive again from the whole directory";
const SPECIAL: &str = "a release holds files, directories and links; list it in `release.exclude`";
const RELATIVE: &str = "make it relative and keep it inside, or list it in `release.exclude`";

/// A member's name, its type, its link target, the message of the refusal, and the hint.
#[rustfmt::skip]
const MEMBERS: &[(&str, EntryType, &str, &str, &str)] = &[
    ("../evil", EntryType::Regular, "", "the archive's member `../evil` leads out of the release", INSIDE),
    ("a/../../evil", EntryType::Regular, "", "the archive's member `a/../../evil` leads out of the release", INSIDE),
    ("/etc/evil", EntryType::Regular, "", "the archive's member `/etc/evil` leads out of the release", INSIDE),
    ("null", EntryType::Char, "", "the source holds a device, pipe or other special file: `null`", SPECIAL),
    ("disk", EntryType::Block, "", "the source holds a device, pipe or other special file: `disk`", SPECIAL),
    ("pipe", EntryType::Fifo, "", "the source holds a device, pipe or other special file: `pipe`", SPECIAL),
    ("out", EntryType::Symlink, "../out", "the link `out` -> `../out` leads out of the release", RELATIVE),
    ("passwd", EntryType::Symlink, "/etc/passwd", "the link `passwd` -> `/etc/passwd` leads out of the release", RELATIVE),
    ("hard", EntryType::Link, "/etc/passwd", "the archive's member `hard` is a hard link to `/etc/passwd`, which is not in the archive before it", WHOLE),
    ("hard", EntryType::Link, "../passwd", "the archive's member `hard` is a hard link to `../passwd`, which is not in the archive before it", WHOLE),
    ("bin/web", EntryType::Regular, "", "the archive holds `bin/web` twice", "create the archive again; `tar --append` and `tar --update` leave the old member in it"),
    ("bin", EntryType::Symlink, "lib", "the archive holds `bin` twice", "create the archive again; `tar --append` and `tar --update` leave the old member in it"),
    ("bin/web/below", EntryType::Regular, "", "the archive has `bin/web/below` below `bin/web`, which is not a directory", "create the archive again from one directory"),
];

#[test]
fn archive_members_that_leave_the_tree_are_refused() {
    for (member, kind, link, message, hint) in MEMBERS {
        let test = Test::shop();
        archive(&test, "evil.tar", member, *kind, link);
        refused(&test, Some("evil.tar"), message, hint);
        assert!(!Path::new("/etc/evil").exists());
    }
}

/// A link, then a member below it: the member must not be written to the link's target.
#[test]
fn a_member_below_a_link_is_refused() {
    let test = Test::shop();
    let file = File::create(test.app("evil.tar")).expect("make a file");
    let mut builder = tar::Builder::new(file);
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "lib", "bin").unwrap();
    let mut header = Header::new_ustar();
    header.set_size(1);
    header.set_mode(0o644);
    builder
        .append_data(&mut header, "lib/x", &b"x"[..])
        .unwrap();
    builder.finish().unwrap();
    refused(
        &test,
        Some("evil.tar"),
        "the archive has `lib/x` below `lib`, which is not a directory",
        "create the archive again from one directory",
    );
}

/// Names and attributes are held in memory, so that megabytes of them are refused in both formats.
#[test]
fn a_member_with_very_long_headers_is_refused() {
    for (kind, sparse) in [
        (EntryType::GNULongName, false),
        (EntryType::GNULongName, true),
        (EntryType::GNULongLink, false),
        (EntryType::XHeader, false),
    ] {
        let test = Test::shop();
        let file = File::create(test.app("long.tar")).expect("make a file");
        let mut builder = tar::Builder::new(file);
        let add = |builder: &mut tar::Builder<File>, kind: EntryType, name: &str, bytes: &[u8]| {
            let mut header = Header::new_ustar();
            header.set_entry_type(kind);
            header.set_path(name).expect("a name");
            header.set_mode(0o755);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            builder.append(&header, bytes).expect("append");
        };
        // A large member before it does not count as headers.
        add(
            &mut builder,
            EntryType::Regular,
            "bin/web",
            &vec![b'x'; 3 << 20],
        );
        if sparse {
            // It claims to be 32 GiB long and has no data.
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::GNUSparse);
            header.set_path("./").expect("a name");
            header.set_size(0);
            let gnu = header.as_gnu_mut().expect("a GNU header");
            gnu.realsize[..11].copy_from_slice(b"40000000000");
            gnu.sparse[0].offset[..11].copy_from_slice(b"40000000000");
            gnu.sparse[0].numbytes[..11].copy_from_slice(b"00000000000");
            header.set_cksum();
            builder.append(&header, &[][..]).expect("append");
        }
        add(&mut builder, kind, "long", &vec![b'a'; 2 << 20]);
        add(&mut builder, EntryType::Regular, "app", b"x");
        builder.finish().expect("finish");
        refused(
            &test,
            Some("long.tar"),
            "the archive `[DIR]/app/long.tar` has a member with headers of more than 1 MiB",
            "create the archive again without extended attributes: `tar --format=gnu -C DIR -cf app.tar .`",
        );
    }
}

/// A few bytes in the archive would become a gigabyte.
#[test]
fn a_sparse_member_is_refused() {
    let test = Test::shop();
    let hole = File::create(test.app("src/hole")).expect("make a file");
    hole.set_len(1 << 30).expect("make it long");
    for format in ["--format=gnu", "--format=pax"] {
        let mut tar = Command::new("tar");
        tar.args(["--create", "--sparse", format, "--directory"]);
        tar.arg(test.app("src"))
            .arg("--file")
            .arg(test.app("app.tar"));
        assert!(tar.arg("hole").status().expect("start tar").success());
        refused(
            &test,
            Some("app.tar"),
            "the archive's member `hole` is a sparse file",
            "create the archive again without `--sparse`; bsdtar needs `--no-read-sparse`",
        );
    }
}

/// Each of two links alone stays in the tree; the second one leaves it through the first.
#[test]
fn a_link_that_leaves_the_tree_through_another_link_is_refused() {
    let test = Test::shop();
    let file = File::create(test.app("evil.tar")).expect("make a file");
    let mut builder = tar::Builder::new(file);
    for (name, target) in [
        ("a/b/c/one", "../../../top"),
        ("a/b/c/two", "one/../../../.."),
    ] {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
    }
    builder.finish().unwrap();
    refused(
        &test,
        Some("evil.tar"),
        "the link `a/b/c/two` -> `one/../../../..` leads out of the release",
        RELATIVE,
    );
}

#[track_caller]
fn refused_as_damaged(test: &Test, name: &str) {
    refused(
        test,
        Some(name),
        &format!(
            "the archive `[DIR]/app/{name}` is damaged, truncated, or not of the type that its name says"
        ),
        "create it again, for example: `tar --create --auto-compress --file app.tar.zst -C DIR .`",
    );
}

#[test]
fn a_file_that_is_not_an_archive_is_refused() {
    for end in ["tar", "tar.gz", "tgz", "tar.zst", "tar.xz", "txz"] {
        let name = format!("app.{end}");
        let test = Test::shop().file(&name, "this is no archive of any kind");
        refused_as_damaged(&test, &name);
        test.write(&name, "");
        match end {
            // No member and no end mark: a valid archive without content.
            "tar" => refused(
                &test,
                Some("app.tar"),
                "the source `[DIR]/app/app.tar` is empty",
                "build the application first, or check `release.exclude`",
            ),
            _ => refused_as_damaged(&test, &name),
        }
    }
}

/// An incomplete or damaged archive must not become a release, wherever the damage is.
#[test]
fn a_truncated_or_damaged_archive_is_refused() {
    let test = Test::shop();
    let numbers: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    test.write("src/data", &numbers.join(" "));
    for name in ["app.tar", "app.tar.gz", "app.tar.zst", "app.tar.xz"] {
        let path = test.app(name);
        let mut tar = Command::new("tar");
        tar.args(["--create", "--sort=name", "--auto-compress", "--file"])
            .arg(&path)
            .arg("--directory")
            .arg(test.app("src"))
            .arg(".");
        assert!(tar.status().expect("start tar").success(), "{name}");
        let whole = std::fs::read(&path).unwrap();
        let cut = match name {
            "app.tar" => whole.len() / 2,
            _ => whole.len() - 5, // After the last member: only the checksum shows it.
        };
        std::fs::write(&path, &whole[..cut]).unwrap();
        refused_as_damaged(&test, name);
        if name != "app.tar" {
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 4;
            std::fs::write(&path, flipped).unwrap();
            refused_as_damaged(&test, name);
        }
    }
}

/// `zstd` writes one frame; parallel tools and `cat` write several.
#[test]
fn all_frames_of_an_archive_are_read() {
    let test = Test::shop();
    let sources = test.app("src").display().to_string();
    let make = format!("tar -C {sources} -cf - . | split -b 3000 --filter='zstd -q' > app.tar.zst");
    let mut shell = Command::new("sh");
    let status = shell.args(["-c", &make]).current_dir(test.app("")).status();
    assert!(status.expect("start sh").success());
    let whole = test.run(["deploy"]).any_stdout().any_stderr().success();
    let framed = test.run(["deploy", "app.tar.zst"]);
    assert_eq!(
        framed.any_stdout().any_stderr().success().stdout,
        whole.stdout
    );
}
