//! Small archives that stand for something huge, and the memory that reading them takes.

use crate::test::{SHOP, Test};
use flate2::{Compression, write::GzEncoder};
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use tar::{Builder, EntryType, Header};

/// Runs a program and writes the largest memory that it or one of its children had, in KiB (getrusage(2)).
const MEASURED: &str = "import resource, subprocess, sys\n\
    code = subprocess.run(sys.argv[2:]).returncode\n\
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n\
    open(sys.argv[1], 'w').write(str(used))\n\
    sys.exit(code)";

/// What an archive may take, in MiB.
const WORKING_MEMORY: u64 = 64;
/// The largest window of a decoder, in MiB.
const WINDOW: u64 = 128;
/// What the program itself takes before it reads anything, in MiB: its code, without optimisation.
const PROGRAM: u64 = 40;

const LINKS: &str =
    "leave out what the application does not need, or deploy a directory, which has no such limit";
const PLAIN: &str =
    "create the archive again without extended attributes: `tar --format=gnu -C DIR -cf app.tar .`";
const WINDOWS: &str =
    "compress it again without `--long` and without a larger dictionary: `zstd -19` or `xz -9`";
const SHORTER: &str = "shorten the path, or list it in `release.exclude`";

type Gzip = Builder<GzEncoder<BufWriter<File>>>;

fn gzip(path: &Path, add_members: impl FnOnce(&mut Gzip)) {
    let file = BufWriter::new(File::create(path).unwrap());
    let mut archive = Builder::new(GzEncoder::new(file, Compression::fast()));
    add_members(&mut archive);
    archive
        .into_inner()
        .unwrap()
        .finish()
        .unwrap()
        .flush()
        .unwrap();
}

fn header(kind: EntryType, name: &str, len: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(name).unwrap();
    header.set_mode(0o755);
    header.set_size(len);
    header.set_cksum();
    header
}

fn add(archive: &mut Gzip, kind: EntryType, name: &str, content: &[u8]) {
    let header = header(kind, name, content.len() as u64);
    archive.append(&header, content).unwrap();
}

/// One attribute of a header in the format of POSIX (pax(1)): its length counts itself.
fn attribute(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut len = rest.len() + 1;
    while len != rest.len() + len.to_string().len() {
        len = rest.len() + len.to_string().len();
    }
    format!("{len}{rest}").into_bytes()
}

fn long_path(archive: &mut Gzip, path: &str) {
    add(archive, EntryType::XHeader, "pax", &attribute("path", path));
    add(archive, EntryType::Regular, "short", b"x");
}

/// A tar file of one program, as bytes.
fn plain_tar() -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    let content = b"#!/bin/sh\n";
    let header = header(EntryType::Regular, "bin/web", content.len() as u64);
    archive.append(&header, &content[..]).unwrap();
    archive.into_inner().unwrap()
}

/// A Zstandard frame of one raw block whose header asks for a window of this logarithm (RFC 8878, 3.1.1).
fn zstd_frame(window_log: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3];
    let block = (u32::try_from(content.len()).unwrap() << 3) | 1;
    frame.extend(&block.to_le_bytes()[..3]);
    frame.extend(content);
    frame
}

/// A real `.xz`, whose header asks for another dictionary (The .xz File Format, 5.3.1).
fn xz_file(dictionary: u8, content: &[u8]) -> Vec<u8> {
    let mut xz = Command::new("xz");
    xz.args(["-0", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut xz = xz.spawn().unwrap();
    xz.stdin.take().unwrap().write_all(content).unwrap();
    let mut bytes = xz.wait_with_output().unwrap().stdout;
    let len = (usize::from(bytes[12]) + 1) * 4;
    let at = 12 + 4;
    assert_eq!(bytes[at - 2..at], [0x21, 1], "the filter is LZMA2");
    bytes[at] = dictionary;
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..12 + len - 4]);
    bytes[12 + len - 4..12 + len].copy_from_slice(&crc.sum().to_le_bytes());
    bytes
}

/// Deploys an archive; `refusal` is the message and the hint. Prints and checks the peak of memory, in MiB.
#[track_caller]
fn deploy(name: &str, limit: u64, make: impl FnOnce(&Path), refusal: Option<(&str, &str)>) {
    let test = Test::new().manifest(SHOP);
    let archive = test.app(name);
    make(&archive);
    let peak = test.outside("peak");
    let measured = ["python3", "-c", MEASURED, peak.to_str().unwrap()];
    let run = test.run(["deploy", name]).through(&measured).case(name);
    match refusal {
        Some((message, hint)) => {
            let said = format!("error: {message}\n\nhint: {hint}\n");
            run.stderr(&said).status(2);
        }
        None => drop(run.any_stdout().any_stderr().success()),
    }
    let peak: u64 = std::fs::read_to_string(peak).unwrap().parse().unwrap();
    let size = std::fs::metadata(&archive).unwrap().len();
    eprintln!("{name}: {size} bytes, {} MiB", peak / 1024);
    let most = PROGRAM + limit;
    assert!(peak / 1024 <= most, "{name}: {} MiB of {most}", peak / 1024);
}

#[test]
fn one_path_takes_no_memory() {
    deploy(
        "path.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, |archive| long_path(archive, &"a/".repeat(400_000))),
        Some((
            "the archive `[DIR]/app/path.tar.gz` has a member whose name or link target is longer than 4095 bytes",
            "shorten the path, or leave it out of the archive with `tar --exclude`",
        )),
    );
    let deep = "the source has a file in more than 128 directories: \
        `a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/…`";
    deploy(
        "deep.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, |archive| long_path(archive, &"a/".repeat(1000))),
        Some((deep, SHORTER)),
    );
    let name = "n".repeat(300);
    let long = format!(
        "the source has a file name that is too long: `{}…`",
        &name[..60]
    );
    deploy(
        "name.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, |archive| long_path(archive, &name)),
        Some((&long, SHORTER)),
    );
}

#[test]
fn many_members_take_bounded_memory() {
    let many = |archive: &mut Gzip| {
        for number in 0..300_000 {
            add(archive, EntryType::Regular, &format!("f{number}"), b"");
        }
    };
    deploy(
        "members.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, many),
        Some((
            "the archive has more files than a list of 64 MiB can hold",
            LINKS,
        )),
    );
    // Each brings a hundred directories of its own.
    let directories = |archive: &mut Gzip| {
        for number in 0..4000 {
            let path = format!("{number}/{}", "d/".repeat(100));
            add(
                archive,
                EntryType::XHeader,
                "pax",
                &attribute("path", &path),
            );
            add(archive, EntryType::Directory, "short", b"");
        }
    };
    deploy(
        "directories.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, directories),
        Some((
            "the archive has more files than a list of 64 MiB can hold",
            LINKS,
        )),
    );
    let links = |archive: &mut Gzip| {
        for number in 0..20_000 {
            let target = attribute("linkpath", &format!("{}{number}", "t".repeat(4000)));
            add(archive, EntryType::XHeader, "pax", &target);
            add(archive, EntryType::Symlink, &format!("l{number}"), b"");
        }
    };
    deploy(
        "links.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, links),
        Some((
            "the archive has more files than a list of 64 MiB can hold",
            LINKS,
        )),
    );
}

/// One directory, many times: a list with a line for each member would grow without limit.
#[test]
fn a_directory_that_comes_again_takes_no_memory() {
    let again = |archive: &mut Gzip| {
        add(archive, EntryType::Regular, "bin/web", b"#!/bin/sh\n");
        let path = format!("{}d", "long-name/".repeat(100));
        for _ in 0..50_000 {
            add(
                archive,
                EntryType::XHeader,
                "pax",
                &attribute("path", &path),
            );
            let mut header = header(EntryType::Directory, "short", 0);
            header.set_mode(0o700);
            header.set_cksum();
            archive.append(&header, &[][..]).unwrap();
        }
    };
    deploy(
        "again.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, again),
        None,
    );
}

/// What is left out is read as well, and must not cost much.
#[test]
fn what_is_left_out_has_the_same_limits() {
    deploy(
        "deep-left-out.tar.gz",
        WORKING_MEMORY,
        |path| {
            gzip(path, |archive| {
                long_path(archive, &format!(".git/{}x", "a/".repeat(1000)));
            });
        },
        Some((
            "the source has a file in more than 128 directories: `.git/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a…`",
            SHORTER,
        )),
    );
}

/// A limit of the caller, or a host without /proc, is no damage of the archive.
#[test]
fn a_process_that_keeps_its_rights_reads_nothing() {
    let test = Test::shop();
    std::fs::write(test.app("app.tar"), plain_tar()).unwrap();
    let inject = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "inject=seccomp:error=ENOSYS",
    ];
    test.run(["deploy", "app.tar"])
        .through(&inject)
        .stderr(
            "error: the archive `[DIR]/app/app.tar` cannot be read here: this host does not let a process give up its \
             rights (seccomp(2), setrlimit(2))\n\n\
             hint: unpack it as an ordinary user, and deploy the directory\n",
        )
        .status(2);
}

#[test]
fn what_is_left_out_takes_no_memory() {
    let test = |archive: &mut Gzip| {
        add(archive, EntryType::Regular, "bin/web", b"#!/bin/sh\n");
        for number in 0..300_000 {
            add(archive, EntryType::Regular, &format!(".git/{number}"), b"");
        }
    };
    deploy(
        "left-out.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, test),
        None,
    );
}

#[test]
fn headers_and_holes_take_no_memory() {
    let attributes = |archive: &mut Gzip| {
        let long = attribute("comment", &"c".repeat(200 << 20));
        add(archive, EntryType::XHeader, "pax", &long);
        add(archive, EntryType::Regular, "short", b"x");
    };
    deploy(
        "attributes.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, attributes),
        Some((
            "the archive `[DIR]/app/attributes.tar.gz` has a member with headers of more than 1 MiB",
            PLAIN,
        )),
    );
    let hole = |archive: &mut Gzip| {
        let mut keys = attribute("GNU.sparse.major", "1");
        keys.extend(attribute("GNU.sparse.minor", "0"));
        keys.extend(attribute("GNU.sparse.name", "hole"));
        keys.extend(attribute("GNU.sparse.realsize", "1099511627776"));
        add(archive, EntryType::XHeader, "pax", &keys);
        add(
            archive,
            EntryType::Regular,
            "GNUSparseFile.0/hole",
            b"1\n1099511627776\n0\n",
        );
    };
    deploy(
        "hole.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, hole),
        Some((
            "the archive's member `hole` is a sparse file",
            "create the archive again without `--sparse`; bsdtar needs `--no-read-sparse`",
        )),
    );
}

/// A long content is no bomb: it is hashed as it comes.
#[test]
fn a_large_file_takes_no_memory() {
    let zeros = |archive: &mut Gzip| {
        add(archive, EntryType::Regular, "bin/web", b"#!/bin/sh\n");
        let len = 256 << 20;
        let header = header(EntryType::Regular, "zeros", len);
        archive
            .append(&header, std::io::repeat(0).take(len))
            .unwrap();
    };
    deploy(
        "zeros.tar.gz",
        WORKING_MEMORY,
        |path| gzip(path, zeros),
        None,
    );
}

#[test]
fn windows_up_to_128_mib_are_decoded_and_larger_ones_refused() {
    let tar = plain_tar();
    let refused = |name: &str| {
        format!("the archive `[DIR]/app/{name}` was compressed with a window of more than 128 MiB")
    };
    // `zstd --ultra -22` asks for 2^27 bytes, `zstd --long=31` for 2^31. A dictionary of `xz -9` is 64 MiB (28),
    // the largest is 4 GiB (40).
    for (name, bytes, is_read) in [
        ("27.tar.zst", zstd_frame(27, &tar), true),
        ("28.tar.zst", zstd_frame(28, &tar), false),
        ("31.tar.zst", zstd_frame(31, &tar), false),
        ("28.tar.xz", xz_file(28, &tar), true),
        ("30.tar.xz", xz_file(30, &tar), true),
        ("31.tar.xz", xz_file(31, &tar), false),
        ("40.tar.xz", xz_file(40, &tar), false),
    ] {
        let message = refused(name);
        deploy(
            name,
            WORKING_MEMORY + WINDOW,
            |path| std::fs::write(path, bytes).unwrap(),
            (!is_read).then_some((message.as_str(), WINDOWS)),
        );
    }
}

/// The process that decodes has no rights: it can open nothing, and it runs as another user.
#[test]
fn the_process_that_decodes_has_no_rights() {
    let test = Test::new();
    let calls = test.outside("calls");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(&calls);
    strace
        .arg(env!("CARGO_BIN_EXE_robotctl"))
        .args(["read-archive", "tar"]);
    test.write("plain.tar", "");
    std::fs::write(test.app("plain.tar"), plain_tar()).unwrap();
    strace.stdin(File::open(test.app("plain.tar")).unwrap());
    let output = strace.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.ends_with(b"#!/bin/sh\nE"), "{output:?}");
    let calls = std::fs::read_to_string(calls).unwrap();
    assert!(calls.contains("PR_SET_PDEATHSIG, SIGKILL"), "{calls}");
    let (before, after) = calls.split_once("SECCOMP_SET_MODE_FILTER").unwrap();
    assert!(
        !before.contains("read(0,"),
        "it reads before it is confined"
    );
    assert!(before.contains("RLIMIT_AS"), "{before}");
    if nix::unistd::geteuid().is_root() {
        assert!(
            before.contains("setresuid(65534, 65534, 65534)"),
            "{before}"
        );
    }
    assert!(after.contains("getpriority(PRIO_PROCESS, 0)"), "{after}");
    assert!(after.contains("read(0,"), "{after}");
}
