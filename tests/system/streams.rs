//! Upgrades under clients with long-lived connections: at most one cut for each client and upgrade,
//! and no short request lost.

use crate::load::Load;
use crate::machine::{Machine, until};
use crate::servers::{
    ADDRESS, NODE, PLAIN, RUST, Server, UVICORN, describe_losses, gunicorn_with_gevent,
    gunicorn_with_threads,
};
use crate::stream_clients::{AllStreams, StreamClients, Streams};
use crate::tally::Tally;
use crate::upgrades::is_full;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

tests![
    Load:
    gunicorn_cuts_each_client_once_at_most,
    uvicorn_cuts_each_client_once_at_most,
    node_cuts_each_client_once_at_most,
    rust_cuts_each_client_once_at_most,
    a_server_behind_the_proxy_cuts_each_client_once_at_most,
];
tests![
    Comparison:
    gunicorn_with_threads_for_comparison,
    a_thousand_clients_through_the_proxy,
    a_thousand_clients_of_node,
    a_reload_of_nginx_for_comparison,
    a_reload_of_haproxy_for_comparison,
];

/// How many clients of each kind.
const CLIENTS: usize = 50;
/// The clients with short requests.
const SHORT: &str = "fresh=2,kept=2,slow=2";

fn gunicorn_cuts_each_client_once_at_most(machine: &Machine) {
    cuts_once_at_most(machine, &gunicorn_with_gevent(machine), [CLIENTS; 2]);
}

/// When it stops, a worker with threads closes connections that it has accepted and not read from yet, so a
/// few requests are reset.
fn gunicorn_with_threads_for_comparison(machine: &Machine) {
    upgrade(machine, &gunicorn_with_threads(machine), [CLIENTS; 2]);
}

fn uvicorn_cuts_each_client_once_at_most(machine: &Machine) {
    cuts_once_at_most(machine, &UVICORN, [CLIENTS; 2]);
}

fn node_cuts_each_client_once_at_most(machine: &Machine) {
    cuts_once_at_most(machine, &NODE, [CLIENTS; 2]);
}

fn rust_cuts_each_client_once_at_most(machine: &Machine) {
    cuts_once_at_most(machine, &RUST, [CLIENTS; 2]);
}

fn a_server_behind_the_proxy_cuts_each_client_once_at_most(machine: &Machine) {
    cuts_once_at_most(machine, &PLAIN, [CLIENTS; 2]);
}

fn a_thousand_clients_through_the_proxy(machine: &Machine) {
    cuts_once_at_most(machine, &UVICORN, [1000, 0]);
}

fn a_thousand_clients_of_node(machine: &Machine) {
    cuts_once_at_most(machine, &NODE, [1000, 0]);
}

fn a_reload_of_nginx_for_comparison(machine: &Machine) {
    let text = "events { worker_connections 4096; }\n\
                http { access_log off; server { listen 127.0.0.1:8080; location / {\n\
                proxy_pass http://127.0.0.1:9000; proxy_http_version 1.1; proxy_buffering off;\n\
                proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;\n\
                } } }\n";
    machine.write("/etc/nginx/nginx.conf", text, 0o644);
    reload_proxy(machine, "nginx");
}

fn a_reload_of_haproxy_for_comparison(machine: &Machine) {
    let text = "global\n maxconn 4096\ndefaults\n mode http\n timeout connect 5s\n timeout client 1h\n\
                timeout server 1h\n timeout tunnel 1h\nfrontend f\n bind 127.0.0.1:8080\n\
                default_backend b\nbackend b\n server s 127.0.0.1:9000\n";
    machine.write("/etc/haproxy/haproxy.cfg", text, 0o644);
    reload_proxy(machine, "haproxy");
}

/// The same clients on a reload of a proxy, which keeps its old processes. The server behind it stays.
fn reload_proxy(machine: &Machine, proxy: &'static str) {
    let plain = include_str!("servers/plain.py");
    machine.write("/root/plain/plain.py", plain, 0o755);
    machine.write("/root/plain/VERSION", "1.0", 0o644);
    machine.write("/root/plain/fault", "", 0o644);
    machine.ok("systemd-run --quiet --unit=plain -p WorkingDirectory=/root/plain /root/plain/plain.py 9000");
    machine.ok(&format!(
        "systemctl unmask -q {proxy} && systemctl restart {proxy}"
    ));
    until("it answers", || {
        machine.get(&format!("http://{ADDRESS}/")) == "200 1.0"
    });
    let clients = StreamClients::start(machine, ADDRESS, CLIENTS, CLIENTS);
    let load = Load::start(machine, ADDRESS, SHORT);
    let mut took = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        machine.ok(&format!("systemctl reload {proxy}"));
        took.push(start.elapsed());
    }
    let short = load.stop();
    note_row(
        machine,
        &format!("reload of {proxy}"),
        &short["rest"],
        &clients.stop(),
        &took,
    );
}

fn cuts_once_at_most(machine: &Machine, server: &Server, clients: [usize; 2]) {
    let (tallies, all, upgrades) = upgrade(machine, server, clients);
    let lost = tallies["rest"].lost();
    assert_eq!(lost, 0, "{}", describe_losses(machine, &tallies));
    for streams in [&all.events, &all.sockets] {
        assert!(streams.failed.is_empty(), "{:?}", streams.failed);
        assert!(streams.most() <= upgrades, "{:?}", streams.cuts);
    }
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

/// Upgrades a server under clients of server-sent events and of WebSockets, waits until what drains
/// has ended, and counts. Returns what the clients with short requests and the others got, and the number
/// of upgrades.
fn upgrade(
    machine: &Machine,
    server: &Server,
    [events, sockets]: [usize; 2],
) -> (BTreeMap<String, Tally>, AllStreams, usize) {
    let server = server.with_short_drain();
    server.deploy(machine, "0.0", "").exits(0);
    let clients = StreamClients::start(machine, ADDRESS, events, sockets);
    let load = Load::start(machine, ADDRESS, SHORT);
    let upgrades = if is_full() { 3 } else { 1 };
    let mut took = Vec::new();
    for version in 1..=upgrades {
        let start = Instant::now();
        server.deploy(machine, &format!("{version}.0"), "").exits(0);
        took.push(start.elapsed());
        let scopes = "systemctl list-units --plain --no-legend 'proof-*-old-*'";
        until("what drains has ended", || machine.ok(scopes).is_empty());
    }
    let tallies = load.stop();
    let all = clients.stop();
    note_row(machine, server.name, &tallies["rest"], &all, &took);
    (tallies, all, upgrades)
}

fn note_row(machine: &Machine, name: &str, short: &Tally, all: &AllStreams, took: &[Duration]) {
    let cell = |streams: &Streams| {
        let (total, most) = (streams.total(), streams.most());
        format!(
            "{} / {total} / {} / {most}",
            streams.cuts.len(),
            streams.closed
        )
    };
    let took = took.iter().map(|time| format!("{:.1}", time.as_secs_f32()));
    let took: Vec<String> = took.collect();
    machine.row(
        "streams",
        &[
            name.to_owned(),
            took.len().to_string(),
            format!("{} / {}", short.answered, short.lost()),
            short.waited_ms().to_string(),
            cell(&all.events),
            cell(&all.sockets),
            format!("{} s", took.join(", ")),
        ],
    );
}
