//! The proof: upgrades, rollbacks and broken releases under load, on real servers.
//!
//! Each server is at rest for a while, and then goes through rounds of four changes: two upgrades, a rollback and a release that
//! is broken in one way. It is at rest again after each of them, so that there are many answers of either kind: the
//! slowest of many is slower than the slowest of a few. What is broken, by the file `fault` in the release:
//!
//! no-start  ends at once               sick    `/healthz` answers 503
//! crash     ends 2 s after its start   hang    never answers
//! memory    is killed as by the kernel when memory runs out

use crate::load::{Load, Tally};
use crate::machine::{Machine, until};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Every kind of broken release on every server, in place of one or two.
pub static FULL: AtomicBool = AtomicBool::new(false);

const FAULTS: [&str; 5] = ["no-start", "crash", "sick", "hang", "memory"];
const CLIENTS: &str = "fresh=4,kept=2,idle=2,slow=2";
const ADDRESS: &str = "127.0.0.1:8080";

/// An answer may take twice what it does at rest, or so many milliseconds, on a machine that others
/// may be using too. A plain restart with the socket held takes several hundred.
const FELT: u128 = 200;

/// A server that is upgraded.
struct Server {
    name: &'static str,
    /// Keys of `[service.web]` but those that all have.
    keys: String,
    files: &'static [(&'static str, &'static str)],
    /// The faults of a short run: all servers together have every kind.
    faults: &'static [&'static str],
}

pub fn gunicorn_loses_nothing(machine: &Machine) {
    prove(machine, &gunicorn(machine, "Gunicorn", &["crash", "hang"]));
}

fn gunicorn(machine: &Machine, name: &'static str, faults: &'static [&'static str]) -> Server {
    let runtime = match machine.suite.as_str() {
        "bookworm" => "runtime = \"gunicorn-20\"",
        _ => "",
    };
    Server {
        name,
        keys: format!(
            "exec = [\"/usr/bin/gunicorn\", \"--workers\", \"6\", \"wsgi:application\"]\n\
             type = \"notify\"\n{runtime}"
        ),
        files: &[("wsgi.py", include_str!("servers/wsgi.py"))],
        faults,
    }
}

pub fn uvicorn_loses_nothing(machine: &Machine) {
    prove(
        machine,
        &Server {
            name: "Uvicorn behind the proxy",
            keys: "exec = [\"/usr/bin/python3\", \"-m\", \"uvicorn\", \"--port\", \"8080\", \
                   \"--no-access-log\", \"asgi:application\"]\nsocket = \"proxy\""
                .to_owned(),
            files: &[("asgi.py", include_str!("servers/asgi.py"))],
            faults: &["no-start"],
        },
    );
}

/// Stopped, Uvicorn closes what it has accepted and not read from yet (`H11Protocol.shutdown`):
/// with the socket handed over, a few requests a stop are reset.
pub fn uvicorn_on_its_own_for_comparison(machine: &Machine) {
    let server = Server {
        name: "Uvicorn with `--fd 3`",
        keys: "exec = [\"/usr/bin/python3\", \"-m\", \"uvicorn\", \"--fd\", \"3\", \
               \"--no-access-log\", \"asgi:application\"]"
            .to_owned(),
        files: &[("asgi.py", include_str!("servers/asgi.py"))],
        faults: &["no-start"],
    };
    server.deploy(machine, "0.0", "").exits(0);
    let account = go_through(machine, &server, server.faults);
    let all = tell(machine, &server, &account);
    assert_eq!(never(&account, &all), 0, "{:?}", all.bodies);
}

pub fn node_loses_nothing(machine: &Machine) {
    prove(
        machine,
        &Server {
            name: "Node",
            keys: "exec = [\"/usr/bin/node\", \"server.js\"]\nruntime = \"node\"".to_owned(),
            files: &[("server.js", include_str!("servers/server.js"))],
            faults: &["memory"],
        },
    );
}

/// Accept(2) blocks in whoever loses the race for a connection while another process of the same
/// socket starts: see `docs/decisions/0006-non-blocking-sockets.md`.
pub fn node_on_a_blocking_socket_for_comparison(machine: &Machine) {
    let server = Server {
        name: "Node on a socket that blocks",
        keys: "exec = [\"/usr/bin/node\", \"server.js\"]\nruntime = \"node\"\n\
               sandbox = { directives = { NonBlocking = \"no\" } }"
            .to_owned(),
        files: &[("server.js", include_str!("servers/server.js"))],
        faults: &["memory"],
    };
    server.deploy(machine, "0.0", "").exits(0);
    let account = go_through(machine, &server, server.faults);
    tell(machine, &server, &account);
}

pub fn rust_loses_nothing(machine: &Machine) {
    prove(
        machine,
        &Server {
            name: "Rust",
            keys: "exec = [\"/usr/local/bin/system\", \"serve\"]\ntype = \"notify\"".to_owned(),
            files: &[],
            faults: &["sick"],
        },
    );
}

pub fn a_server_behind_the_proxy_loses_nothing(machine: &Machine) {
    prove(
        machine,
        &Server {
            name: "http.server behind the proxy",
            keys: "exec = [\"{current}/plain.py\", \"8080\"]\nsocket = \"proxy\"".to_owned(),
            files: &[("plain.py", include_str!("servers/plain.py"))],
            faults: &["hang"],
        },
    );
}

impl Server {
    /// Puts a version on the machine and deploys it; gives the exit code and what was said.
    fn deploy(&self, machine: &Machine, version: &str, fault: &str) -> crate::machine::Out {
        // What crashes after two seconds must be watched for longer than that.
        let settle = if fault == "crash" { "3s" } else { "300ms" };
        let manifest = format!(
            "[app]\nname = \"proof\"\nversion = \"{version}\"\n\n[service.web]\n{}\n\
             listen = [\"{ADDRESS}\"]\n\
             check = [{{ http = \"/healthz\", contains = \"{version}\", within = \"4s\" }}, \
             {{ settle = \"{settle}\" }}]\n",
            self.keys
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

/// What a server went through.
struct Account {
    changes: usize,
    /// Broken releases, each with its exit code.
    refused: Vec<String>,
    tallies: BTreeMap<String, Tally>,
    /// Versions whose pre-check failed.
    never: Vec<String>,
    upgrade: Duration,
}

fn prove(machine: &Machine, server: &Server) {
    server.deploy(machine, "0.0", "").exits(0);
    let faults: Vec<&str> = match FULL.load(Ordering::Relaxed) {
        true => FAULTS.to_vec(),
        false => server.faults.to_vec(),
    };
    let account = go_through(machine, server, &faults);
    cycles(machine);
    judge(machine, server, &account);
}

fn go_through(machine: &Machine, server: &Server, faults: &[&str]) -> Account {
    let mut load = Load::start(machine, ADDRESS, CLIENTS);
    rest(5);
    let (mut changes, mut refused, mut never) = (0, Vec::new(), Vec::new());
    let mut upgrades = Vec::new();
    let mut change = |load: &mut Load, phase: &str, then: &mut dyn FnMut()| {
        load.phase(phase);
        then();
        load.phase("after");
        changes += 1;
        rest(1);
        load.phase("rest");
        rest(if FULL.load(Ordering::Relaxed) { 3 } else { 1 });
    };
    for (round, fault) in faults.iter().enumerate() {
        for step in ["a", "b"] {
            change(&mut load, "upgrade", &mut || {
                let start = Instant::now();
                let version = format!("{}.0{step}", round + 1);
                server.deploy(machine, &version, "").exits(0);
                upgrades.push(start.elapsed());
            });
        }
        change(&mut load, "rollback", &mut || {
            machine.robotctl("rollback").exits(0);
        });
        change(&mut load, "broken", &mut || {
            let version = format!("{}.9-{fault}", round + 1);
            let out = server.deploy(machine, &version, fault);
            assert!(matches!(out.code, 2 | 3), "{fault}: {out}");
            refused.push(format!("{fault} {}", out.code));
            if out.code == 2 {
                never.push(version);
            }
        });
        let answer = machine.get(&format!("http://{ADDRESS}/"));
        assert_eq!(answer, format!("200 {}.0a", round + 1), "after {fault}");
    }
    Account {
        changes,
        refused,
        tallies: load.stop(),
        never,
        upgrade: upgrades.iter().sum::<Duration>() / u32::try_from(upgrades.len()).unwrap(),
    }
}

/// Nothing announces that enough was asked.
fn rest(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// Clients that ask again at once, so that no processor is ever idle: what starts can only take its
/// time from what answers. Nothing is lost all the same.
pub fn a_server_at_its_limit(machine: &Machine) {
    let server = gunicorn(machine, "Gunicorn, 8 clients without a pause", &[]);
    server.deploy(machine, "0.0", "").exits(0);
    let mut load = Load::start(machine, ADDRESS, "hard=8");
    rest(20);
    let start = Instant::now();
    let mut changes = 0;
    while start.elapsed() < Duration::from_secs(20) {
        load.phase("upgrade");
        changes += 1;
        let out = server.deploy(machine, &format!("{changes}.0"), "");
        out.exits(0);
    }
    let upgrade = start.elapsed() / u32::try_from(changes).unwrap();
    load.phase("rollback");
    machine.robotctl("rollback").exits(0);
    let account = Account {
        changes: changes + 1,
        refused: Vec::new(),
        tallies: load.stop(),
        never: Vec::new(),
        upgrade,
    };
    let all = tell(machine, &server, &account);
    assert_eq!(all.lost(), 0, "{:?}", failures(&account));
}

/// Three times down and up: no process and no held port is left behind.
fn cycles(machine: &Machine) {
    for _ in 0..3 {
        machine.ok("systemctl stop proof.target");
        let left = "pgrep -u proof || ss -Hltn 'sport = :8080'";
        // A Gunicorn that is stopped while its workers start has one that does not hear it.
        until("everything is down", Duration::from_secs(40), || {
            machine.sh(left).stdout.is_empty()
        });
        machine.ok("systemctl start proof.target");
        assert!(
            machine
                .get(&format!("http://{ADDRESS}/"))
                .starts_with("200 ")
        );
    }
    machine.robotctl("check").exits(0);
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

fn judge(machine: &Machine, server: &Server, account: &Account) {
    let all = tell(machine, server, account);
    assert_eq!(all.lost(), 0, "{:?}", failures(account));
    assert_eq!(never(account, &all), 0, "{:?}", all.bodies);
    let rest = account.tallies["rest"].slowest_ms;
    let bound = FELT.max(2 * rest);
    assert!(
        all.slowest_ms <= bound,
        "slowest {} ms, {rest} ms at rest",
        all.slowest_ms
    );
}

/// Notes a line of the table.
fn tell(machine: &Machine, server: &Server, account: &Account) -> Tally {
    let rest = &account.tallies["rest"];
    let mut all = Tally::default();
    let mut moving = Tally::default();
    for (phase, tally) in &account.tallies {
        all.add(tally);
        if phase != "rest" {
            moving.add(tally);
        }
    }
    machine.note(&format!(
        "| {} | {} | {} | {} | {} | {} | {} / {} | {} / {} | {} / {} | {} / {} | {:.1} s | {} |",
        machine.suite,
        server.name,
        account.changes,
        all.answered,
        all.lost(),
        never(account, &all),
        moving.slowest_ms,
        rest.slowest_ms,
        moving.p99(),
        rest.p99(),
        moving.slowest_slow_ms,
        rest.slowest_slow_ms,
        all.closed,
        all.crossed,
        account.upgrade.as_secs_f32(),
        account.refused.join(", "),
    ));
    let phases = account.tallies.iter();
    let slowest: Vec<String> = phases
        .map(|(phase, tally)| {
            let (slowest, after) = (tally.slowest_ms, tally.slowest_after_ms);
            format!("{phase} {slowest} ms, {after} ms after it began")
        })
        .collect();
    machine.note(&format!("slowest: {}", slowest.join("; ")));
    all
}

/// Answers from releases that failed their pre-check.
fn never(account: &Account, all: &Tally) -> usize {
    let counts = account.never.iter();
    counts.filter_map(|version| all.bodies.get(version)).sum()
}

fn failures(account: &Account) -> Vec<(&String, &BTreeMap<String, usize>)> {
    let tallies = account.tallies.iter();
    tallies
        .map(|(phase, tally)| (phase, &tally.failed))
        .collect()
}

/// The same load on `systemctl restart` of a service that binds its own address.
pub fn a_plain_restart_for_comparison(machine: &Machine) {
    machine.write(
        "/root/plain/plain.py",
        include_str!("servers/plain.py"),
        0o755,
    );
    machine.write("/root/plain/VERSION", "1.0", 0o644);
    machine.write("/root/plain/fault", "", 0o644);
    let unit = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nWorkingDirectory=/root/plain\nExecStart=/root/plain/plain.py 8080\n";
    machine.write("/etc/systemd/system/plain.service", unit, 0o644);
    machine.ok("systemctl daemon-reload && systemctl start plain.service");
    until("it answers", Duration::from_secs(10), || {
        machine.get(&format!("http://{ADDRESS}/")) == "200 1.0"
    });
    let mut load = Load::start(machine, ADDRESS, CLIENTS);
    rest(3);
    let restarts = if FULL.load(Ordering::Relaxed) { 20 } else { 5 };
    for _ in 0..restarts {
        load.phase("restart");
        machine.ok("systemctl restart plain.service");
        until("it answers", Duration::from_secs(10), || {
            machine.get(&format!("http://{ADDRESS}/")) == "200 1.0"
        });
        load.phase("rest");
        rest(1);
    }
    let tallies = load.stop();
    let (restart, rest) = (&tallies["restart"], &tallies["rest"]);
    let mut all = rest.clone();
    all.add(restart);
    machine.note(&format!(
        "| {} | http.server, `systemctl restart` | {restarts} | {} | {} {:?} | | {} / {} | {} / {} | {} / {} | {} / {} | | |",
        machine.suite,
        all.answered,
        all.lost(),
        all.failed,
        restart.slowest_ms,
        rest.slowest_ms,
        restart.p99(),
        rest.p99(),
        restart.slowest_slow_ms,
        rest.slowest_slow_ms,
        all.closed,
        all.crossed,
    ));
    assert!(all.lost() > 0, "a comparison that compares nothing");
}
