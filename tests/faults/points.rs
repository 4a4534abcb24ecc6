//! Every state-changing system call of a command, and what is done to it there.

use super::bench::{Place, Ran};
use std::collections::BTreeMap;
use std::fs;

/// What changes a file system. A question mark lets strace pass over what an architecture lacks.
const CALLS: &str = "openat,?open,?creat,write,pwrite64,writev,pwritev,copy_file_range,sendfile,ioctl,\
    ?rename,?renameat,renameat2,?link,linkat,?symlink,symlinkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,\
    ?mknod,mknodat,?chmod,fchmod,fchmodat,?chown,fchown,?lchown,fchownat,ftruncate,truncate,fallocate,\
    fsync,fdatasync,syncfs,sync,?utimes,utimensat,setxattr,fsetxattr,clone,?clone3";

/// One call of a command.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// The system call.
    pub(crate) name: String,
    /// Which of the calls of this name, from 1.
    pub(crate) nth: usize,
    /// As strace shows it.
    pub(crate) line: String,
}

/// What is done at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill,
    Error(&'static str),
}

pub(crate) const FAULTS: [Fault; 4] = [
    Fault::Kill,
    Fault::Error("ENOSPC"),
    Fault::Error("EIO"),
    Fault::Error("EINTR"),
];

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Error(name) => name,
        }
    }
}

impl Point {
    /// Whether POSIX lets the call end with EINTR, so that it must be made again.
    pub(crate) fn may_be_interrupted(&self) -> bool {
        [
            "open",
            "openat",
            "creat",
            "write",
            "fsync",
            "fdatasync",
            "ftruncate",
            "fchmod",
            "syncfs",
        ]
        .contains(&self.name.as_str())
    }

    /// The call and its paths, without what is random or another number in each run.
    pub(crate) fn kind(&self) -> String {
        let call = self.line.split(") = ").next().unwrap_or_default();
        let words = call.split(|c: char| !c.is_ascii_alphanumeric());
        let plain = words.map(|word| match word.contains(|c: char| c.is_ascii_digit()) {
            true => "#",
            false => word,
        });
        plain.collect::<Vec<_>>().join(" ")
    }

    /// As a person finds it again.
    pub(crate) fn shown(&self) -> String {
        let short: String = self.line.chars().take(180).collect();
        format!("{}#{} `{short}`", self.name, self.nth)
    }
}

/// Runs a command and lists its points.
pub(crate) fn points(place: &Place<'_>, arguments: &[String]) -> Result<(Ran, Vec<Point>), String> {
    let log = place.root.with_extension("strace");
    let wrapper = [
        "strace",
        "-qq",
        "-y",
        "-o",
        &log.display().to_string(),
        "-e",
        &format!("trace={CALLS}"),
    ];
    let ran = place.under(&super::bench::words(&wrapper), arguments);
    let text = fs::read_to_string(&log)
        .map_err(|error| format!("strace wrote nothing: {error}: {}", ran.said))?;
    let root = place.root.display().to_string();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut out = Vec::new();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once('(') else {
            continue;
        };
        if name.starts_with("clone") && rest.contains("CLONE_THREAD") {
            return Err(
                "a thread was started although there is one processor: its calls would be missed"
                    .into(),
            );
        }
        let nth = counts.entry(name).or_default();
        *nth += 1;
        if changes(name, rest, &root) {
            out.push(Point {
                name: name.to_owned(),
                nth: *nth,
                line: line.replace(&root, ""),
            });
        }
    }
    Ok((ran, out))
}

fn changes(name: &str, rest: &str, root: &str) -> bool {
    match name {
        "clone" | "clone3" => false,
        "openat" | "open" => {
            rest.contains(root)
                && ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]
                    .iter()
                    .any(|flag| rest.contains(flag))
        }
        "ioctl" => rest.contains("FICLONE"),
        _ => rest.contains(root),
    }
}

/// Runs a command with a fault at a point.
///
/// # Errors
/// When the point was not reached.
pub(crate) fn strike(
    place: &Place<'_>,
    arguments: &[String],
    point: &Point,
    fault: Fault,
) -> Result<Ran, String> {
    let log = place.root.with_extension("strace");
    let what = match fault {
        Fault::Kill => "signal=KILL".to_owned(),
        Fault::Error(errno) => format!("error={errno}"),
    };
    let inject = format!("inject={}:{what}:when={}", point.name, point.nth);
    let trace = format!("trace={}", point.name);
    let wrapper = [
        "strace",
        "-o",
        &log.display().to_string(),
        "-e",
        &trace,
        "-e",
        &inject,
    ];
    let ran = place.under(&super::bench::words(&wrapper), arguments);
    let text = fs::read_to_string(&log).unwrap_or_default();
    let hit = match fault {
        Fault::Kill => text.contains("killed by SIGKILL"),
        Fault::Error(_) => text.contains("(INJECTED)"),
    };
    if hit {
        Ok(ran)
    } else {
        Err(format!("the point {} was never hit", point.shown()))
    }
}
