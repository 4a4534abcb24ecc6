//! Lists the state-changing system calls of a command, and injects faults into them with strace.

use super::fixture::{Host, Outcome};
use std::collections::BTreeMap;
use std::fs;

/// Calls that change a file system. The question mark makes strace skip calls that the architecture
/// lacks.
const CALLS: &str = "openat,?open,?creat,write,pwrite64,writev,pwritev,copy_file_range,sendfile,ioctl,\
    ?rename,?renameat,renameat2,?link,linkat,?symlink,symlinkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,\
    ?mknod,mknodat,?chmod,fchmod,fchmodat,?chown,fchown,?lchown,fchownat,ftruncate,truncate,fallocate,\
    fsync,fdatasync,syncfs,sync,?utimes,utimensat,setxattr,fsetxattr,clone,?clone3";

/// One system call of a command, as an injection point.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// The name of the system call.
    pub(crate) name: String,
    /// The number of this call among those of the same name, from 1.
    pub(crate) nth: usize,
    /// The line that strace printed.
    pub(crate) line: String,
}

/// A fault to inject.
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
    /// Whether POSIX lets the call fail with EINTR, so that it must be repeated.
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

    /// The call and its paths, without the parts that are random or that differ between runs.
    pub(crate) fn kind(&self) -> String {
        let call = self.line.split(") = ").next().unwrap_or_default();
        let words = call.split(|c: char| !c.is_ascii_alphanumeric());
        let plain = words.map(|word| match word.contains(|c: char| c.is_ascii_digit()) {
            true => "#",
            false => word,
        });
        plain.collect::<Vec<_>>().join(" ")
    }

    /// A text by which a person can find the call.
    pub(crate) fn shown(&self) -> String {
        let short: String = self.line.chars().take(180).collect();
        format!("{}#{} `{short}`", self.name, self.nth)
    }
}

/// Runs a command and lists its injection points.
pub(crate) fn list_points(
    host: &Host<'_>,
    arguments: &[String],
) -> Result<(Outcome, Vec<Point>), String> {
    let log = host.root.with_extension("strace");
    let wrapper = [
        "strace",
        "-qq",
        "-y",
        "-o",
        &log.display().to_string(),
        "-e",
        &format!("trace={CALLS}"),
    ];
    let ran = host.run_under(&super::fixture::args(&wrapper), arguments);
    let text = fs::read_to_string(&log)
        .map_err(|error| format!("strace wrote nothing: {error}: {}", ran.stderr))?;
    let root = host.root.display().to_string();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut out = Vec::new();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once('(') else {
            continue;
        };
        if name.starts_with("clone") && rest.contains("CLONE_THREAD") {
            return Err(
                "robotctl started a thread on one processor: its calls would be missed".into(),
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

/// Runs a command and injects a fault at one point.
///
/// # Errors
/// The command did not reach the point.
pub(crate) fn inject(
    host: &Host<'_>,
    arguments: &[String],
    point: &Point,
    fault: Fault,
) -> Result<Outcome, String> {
    let log = host.root.with_extension("strace");
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
    let ran = host.run_under(&super::fixture::args(&wrapper), arguments);
    let text = fs::read_to_string(&log).unwrap_or_default();
    let hit = match fault {
        Fault::Kill => text.contains("killed by SIGKILL"),
        Fault::Error(_) => text.contains("(INJECTED)"),
    };
    if hit {
        Ok(ran)
    } else {
        Err(format!(
            "the command did not reach the point {}",
            point.shown()
        ))
    }
}
