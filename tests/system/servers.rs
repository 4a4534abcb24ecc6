//! The servers that are upgraded, with what their manifests say.
//!
//! What is broken in a release is told by its file `fault`:
//!
//! no-start  ends at once               sick    `/healthz` answers 503
//! crash     ends 2 s after its start   hang    never answers
//! memory    is killed as by the kernel when memory runs out

use crate::machine::{Machine, Out};
use crate::tally::Tally;
use std::collections::BTreeMap;

/// Where all of them listen.
pub const ADDRESS: &str = "127.0.0.1:8080";

/// Who asks them.
pub const CLIENTS: &str = "fresh=4,kept=2,idle=2,slow=2";

/// Where some processor is idle now and then, nobody waits so many milliseconds, whatever the release
/// and whoever else uses the machine. A plain restart with the socket held takes two seconds.
pub const HELD_UP: u128 = 500;

/// How many requests may cross the close of a kept connection in so many changes. Each of the four
/// clients that keep theirs may have one for each process that serves and ends, main service and
/// stand-in, so eight a change if all were cut. At most one in two changes is what was seen.
pub fn crossed_at_most(changes: usize) -> usize {
    4 + changes
}

/// What was lost in each phase, and all that the units of the app have to say of it.
pub fn losses(machine: &Machine, tallies: &BTreeMap<String, Tally>) -> String {
    let lost = tallies.iter().filter(|(_, tally)| tally.lost() > 0);
    let mut out = String::new();
    for (phase, tally) in lost {
        out.push_str(&format!("{phase}: {:?}\n", tally.failed));
    }
    let words = machine.sh("journalctl --no-pager -o short-precise -u 'proof-*'");
    out + &words.stdout
}

/// Every kind of broken release.
pub const FAULTS: [&str; 5] = ["no-start", "crash", "sick", "hang", "memory"];

/// A server that is upgraded.
pub struct Server {
    pub name: &'static str,
    /// Keys of `[service.web]` but those that all have.
    keys: &'static str,
    /// More of them.
    more: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// The faults of a short run: all servers together have every kind.
    pub faults: &'static [&'static str],
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
    faults: &["crash", "hang"],
};

/// The Gunicorn that a suite has.
pub fn gunicorn(machine: &Machine) -> &'static Server {
    match machine.suite.as_str() {
        "bookworm" => &GUNICORN_20,
        _ => &GUNICORN,
    }
}

pub const UVICORN: Server = Server {
    name: "Uvicorn behind the proxy",
    keys: "exec = [\"/usr/bin/python3\", \"-m\", \"uvicorn\", \"--port\", \"8080\", \
           \"--no-access-log\", \"asgi:application\"]\nsocket = \"proxy\"",
    more: "",
    files: &[("asgi.py", include_str!("servers/asgi.py"))],
    faults: &["no-start"],
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
    faults: &["memory"],
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
    faults: &["sick"],
};

pub const PLAIN: Server = Server {
    name: "http.server behind the proxy",
    keys: "exec = [\"{current}/plain.py\", \"8080\"]\nsocket = \"proxy\"",
    more: "",
    files: &[("plain.py", include_str!("servers/plain.py"))],
    faults: &["hang"],
};

/// The Gunicorn that a suite has, without the overlap.
pub fn gunicorn_restarted(machine: &Machine) -> Server {
    Server {
        name: "Gunicorn without overlap",
        more: "upgrade = \"restart\"\n",
        ..*gunicorn(machine)
    }
}

impl Server {
    /// Puts a version on the machine and deploys it; gives the exit code and what was said.
    pub fn deploy(&self, machine: &Machine, version: &str, fault: &str) -> Out {
        // What crashes after two seconds must be watched for longer than that.
        let settle = if fault == "crash" { "3s" } else { "300ms" };
        let manifest = format!(
            "[app]\nname = \"proof\"\nversion = \"{version}\"\n\n[service.web]\n{}\n{}\
             listen = [\"{ADDRESS}\"]\n\
             check = [{{ http = \"/healthz\", contains = \"{version}\", within = \"4s\" }}, \
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
