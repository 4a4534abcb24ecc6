//! The servers that the load tests upgrade, with their manifests.
//!
//! The file `fault` in a release says how the release fails:
//!
//! no-start  ends at once               sick    `/healthz` answers 503
//! crash     ends 2 s after its start   hang    never answers
//! memory    is killed as by the kernel when memory runs out

use crate::machine::{Machine, Out};
use crate::tally::Tally;
use std::collections::BTreeMap;

/// The address of all servers.
pub const ADDRESS: &str = "127.0.0.1:8080";

/// The clients.
pub const CLIENTS: &str = "fresh=4,kept=2,idle=2,slow=2";

/// The lost requests of each phase, and the messages of all units of the app.
pub fn describe_losses(machine: &Machine, tallies: &BTreeMap<String, Tally>) -> String {
    let lost = tallies.iter().filter(|(_, tally)| tally.lost() > 0);
    let mut out = String::new();
    for (phase, tally) in lost {
        out.push_str(&format!("{phase}: {:?}\n", tally.failed));
    }
    let messages = machine.sh("journalctl --no-pager -o short-precise -u 'proof-*'");
    out + &messages.stdout
}

/// All kinds of broken releases.
pub const FAULTS: [&str; 5] = ["no-start", "crash", "sick", "hang", "memory"];

/// A server, as an app.
pub struct Server {
    pub name: &'static str,
    /// Keys of `[service.web]`, without those that all servers share.
    keys: &'static str,
    /// More of these keys.
    more: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// The fault of a short run. All servers together have every kind.
    pub fault: &'static str,
}

const GUNICORN_20: Server = Server {
    keys: "exec = [\"/usr/bin/gunicorn\", \"--workers\", \"6\", \"wsgi:application\"]\n\
           type = \"notify\"\nruntime = \"gunicorn-20\"",
    ..GUNICORN
};

const GUNICORN: Server = Server {
    name: "Gunicorn",
    keys: "exec = [\"/usr/bin/gunicorn\", \"--workers\", \"6\", \"wsgi:application\"]\n\
           type = \"notify\"",
    more: "",
    files: &[("wsgi.py", include_str!("servers/wsgi.py"))],
    fault: "crash",
};

/// The Gunicorn of the machine's suite.
pub fn gunicorn(machine: &Machine) -> &'static Server {
    match machine.suite.as_str() {
        "bookworm" => &GUNICORN_20,
        _ => &GUNICORN,
    }
}

/// Gunicorn with a class of workers that has many connections at a time. Its own time to stop is shorter
/// than the drain.
fn gunicorn_with(machine: &Machine, name: &'static str, workers: &str) -> Server {
    let keys = format!(
        "exec = [\"/usr/bin/gunicorn\", \"--workers\", \"2\", {workers}, \
         \"--graceful-timeout\", \"3\", \"wsgi:application\"]\ntype = \"notify\""
    );
    let is_old = machine.suite == "bookworm";
    Server {
        name,
        keys: Box::leak(keys.into_boxed_str()),
        more: if is_old {
            "runtime = \"gunicorn-20\"\n"
        } else {
            ""
        },
        ..GUNICORN
    }
}

pub fn gunicorn_with_gevent(machine: &Machine) -> Server {
    let workers = "\"--worker-class\", \"gevent\"";
    gunicorn_with(machine, "Gunicorn with gevent", workers)
}

pub fn gunicorn_with_threads(machine: &Machine) -> Server {
    gunicorn_with(machine, "Gunicorn with threads", "\"--threads\", \"120\"")
}

pub const UVICORN: Server = Server {
    name: "Uvicorn behind the proxy",
    keys: "exec = [\"/usr/bin/python3\", \"-m\", \"uvicorn\", \"--port\", \"8080\", \
           \"--no-access-log\", \"asgi:application\"]\nsocket = \"proxy\"",
    more: "",
    files: &[("asgi.py", include_str!("servers/asgi.py"))],
    fault: "no-start",
};

pub const UVICORN_ITSELF: Server = Server {
    name: "Uvicorn with `--fd 3`",
    keys: "exec = [\"/usr/bin/python3\", \"-m\", \"uvicorn\", \"--fd\", \"3\", \
           \"--no-access-log\", \"asgi:application\"]",
    ..UVICORN
};

pub const NODE: Server = Server {
    name: "Node",
    keys: "exec = [\"/usr/bin/node\", \"server.js\"]\nruntime = \"node\"",
    more: "",
    files: &[("server.js", include_str!("servers/server.js"))],
    fault: "memory",
};

pub const NODE_BLOCKING: Server = Server {
    name: "Node on a socket that blocks",
    keys: "exec = [\"/usr/bin/node\", \"server.js\"]\nruntime = \"node\"\n\
           sandbox = { directives = { NonBlocking = \"no\" } }",
    ..NODE
};

pub const RUST: Server = Server {
    name: "Rust",
    keys: "exec = [\"/usr/local/bin/system\", \"serve\"]\ntype = \"notify\"",
    more: "",
    files: &[],
    fault: "sick",
};

pub const PLAIN: Server = Server {
    name: "http.server behind the proxy",
    keys: "exec = [\"{current}/plain.py\", \"8080\"]\nsocket = \"proxy\"",
    more: "",
    files: &[("plain.py", include_str!("servers/plain.py"))],
    fault: "hang",
};

/// The same, without the overlap.
pub fn gunicorn_restarted(machine: &Machine) -> Server {
    Server {
        name: "Gunicorn without overlap",
        more: "upgrade = \"restart\"\n",
        ..*gunicorn(machine)
    }
}

impl Server {
    /// The same, with four seconds for open connections.
    pub fn with_short_drain(&self) -> Self {
        let more = format!("{}drain = \"4s\"\n", self.more);
        Self {
            more: Box::leak(more.into_boxed_str()),
            ..*self
        }
    }

    /// Writes a version and deploys it.
    pub fn deploy(&self, machine: &Machine, version: &str, fault: &str) -> Out {
        // The settle time must be longer than the two seconds before the crash.
        let settle = if fault == "crash" { "3s" } else { "300ms" };
        // Long, for a busy host. A check that never passes takes all of it.
        let within = if fault.is_empty() { "30s" } else { "4s" };
        let manifest = format!(
            "[app]\nname = \"proof\"\nversion = \"{version}\"\n\n[service.web]\n{}\n{}\
             listen = [\"{ADDRESS}\"]\n\
             check = [{{ http = \"/healthz\", contains = \"{version}\", within = \"{within}\" }}, \
             {{ settle = \"{settle}\" }}]\n",
            self.keys, self.more
        );
        machine.ok("rm -rf /root/proof");
        machine.write("/root/proof/robot.toml", &manifest, 0o644);
        machine.write("/root/proof/VERSION", version, 0o644);
        machine.write("/root/proof/fault", fault, 0o644);
        for (name, text) in self.files {
            machine.write(&format!("/root/proof/{name}"), text, 0o755);
        }
        machine.robotctl("--manifest /root/proof/robot.toml deploy --apply")
    }
}
