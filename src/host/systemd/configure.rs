//! Tools of systemd that read configuration: systemd-sysusers(8), systemd-tmpfiles(8),
//! systemd-analyze(1).

use super::Systemd;
use crate::host::root::Root;
use crate::host::runner::{Command, Output};
use anyhow::Result;
use std::path::Path;

impl Systemd {
    /// Creates the users of a sysusers.d(5) file.
    ///
    /// # Errors
    /// With the end of the tool's standard error.
    pub fn sysusers(&self, root: &Root, file: &str) -> Result<()> {
        self.configure("systemd-sysusers", &[], root, file)
    }

    /// Creates the users of a sysusers.d(5) text that is not installed yet.
    ///
    /// # Errors
    /// With the end of the tool's standard error.
    pub fn sysusers_of(&self, text: &str) -> Result<()> {
        let command = Command::new(["systemd-sysusers", "-"]);
        command.input(text).run().map(drop)
    }

    /// Creates the files and directories of a tmpfiles.d(5) file.
    ///
    /// # Errors
    /// With the end of the tool's standard error.
    pub fn tmpfiles(&self, root: &Root, file: &str) -> Result<()> {
        self.configure("systemd-tmpfiles", &["--create"], root, file)
    }

    /// Runs a tool on a file. For a directory tree, the tool gets the text with paths that contain no
    /// symbolic link, because both tools follow links of the tree to the running host
    /// (systemd-tmpfiles to create parent directories).
    fn configure(&self, tool: &str, flags: &[&str], root: &Root, file: &str) -> Result<()> {
        let mut argv = vec![tool.to_owned()];
        argv.extend(flags.iter().map(|flag| (*flag).to_owned()));
        if !self.offline {
            argv.push(file.to_owned());
            return Command::new(argv).run().map(drop);
        }
        argv.push(format!("--root={}", root.path("/").display()));
        argv.push("-".to_owned());
        let text = root.read_text(file)?.unwrap_or_default();
        let lines: Vec<String> = text.lines().map(|line| resolved(root, line)).collect();
        let text = lines.join("\n") + "\n";
        Command::new(argv).input(text).run().map(drop)
    }

    /// Runs `systemd-analyze verify` on unit files in `dir`, with their drop-ins.
    ///
    /// # Errors
    /// When it cannot be run. Its findings are in the output.
    pub fn verify(&self, dir: &Path, units: &[String]) -> Result<Output> {
        let files = units
            .iter()
            .map(|unit| dir.join(unit).display().to_string());
        let head = ["systemd-analyze", "verify", "--man=no"].map(str::to_owned);
        Command::new(head.into_iter().chain(files))
            .env("SYSTEMD_UNIT_PATH", &format!("{}:", dir.display()))
            .output()
    }
}

/// A line of configuration with its second word, a path, resolved in the tree.
fn resolved(root: &Root, line: &str) -> String {
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(kind), Some(path), Some(rest)) if path.starts_with('/') => {
            let base = root.path("/");
            let real = root.path(path);
            let below = real.strip_prefix(&base).unwrap_or(&real);
            format!("{kind} /{} {rest}", below.display())
        }
        _ => line.to_owned(),
    }
}
