//! A deploy that waits in the middle, with its lock held and its journal written.

use crate::plans::version;
use crate::test::Test;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The deploy. End it with [`Self::finish`].
pub(crate) struct DeployUnderWay {
    child: Child,
    fifo: PathBuf,
}

impl DeployUnderWay {
    /// Deploys version 0.2 of a deployed app, until its `systemd-tmpfiles` waits.
    pub(crate) fn start(test: &Test) -> Self {
        let tools = test.outside("tools");
        fs::create_dir(&tools).expect("make a directory");
        let fifo = test.outside("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("make a fifo");
        let tool = tools.join("systemd-tmpfiles");
        let script = format!(
            "#!/bin/sh\necho ready > {0}\ncat {0} > /dev/null\n",
            fifo.display()
        );
        fs::write(&tool, script).expect("write a program");
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("set a mode");
        fs::remove_dir(test.root("var/lib/shop")).expect("remove a directory");
        version(test, 2);
        let mut deploy = Command::new(env!("CARGO_BIN_EXE_robotctl"));
        deploy
            .args(["deploy", "--apply", "--root"])
            .arg(test.root(""))
            .current_dir(test.app(""))
            .stderr(Stdio::null());
        let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", tools.display());
        let child = deploy.env("PATH", path).spawn().expect("start robotctl");
        let ready = fs::read_to_string(&fifo).expect("wait for the tool");
        assert_eq!(ready, "ready\n");
        Self { child, fifo }
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets the deploy continue, and waits until it has succeeded.
    pub(crate) fn finish(mut self) {
        // The tool ends when the pipe is opened for writing and closed.
        fs::write(&self.fifo, "").expect("let it continue");
        assert!(self.child.wait().expect("wait").success());
    }
}
