//! The reference application's status page: read-only, and small enough to be looked through.
//!
//! The socket comes from systemd, so that the process needs no network of its own. One thread
//! waits for connections and signals, a few answer. Each connection carries one request: a
//! client that keeps one open can then not take an answering thread from the others, and on
//! SIGTERM there is nothing to wait for but the requests in hand.

mod facts;
mod http;
mod status;

pub use facts::Places;

use crate::host::{self, ActivatedSockets, Deadline, Host, Stream};
use anyhow::{Context, Result, anyhow};
use askama::Template as _;
use facts::Facts;
use http::{Problem, Request, Response};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// Threads that answer.
const WORKERS: usize = 16;
/// Connections that wait for one of them; more wait in the kernel.
const MAX_QUEUED: usize = 16;
/// How long a request may take to arrive: one who sends it in drops holds no thread for longer.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an answer may take to leave.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until SIGTERM; requests in hand are answered first.
///
/// # Errors
/// When systemd handed no socket over, or the version cannot be read.
pub fn serve(host: &Host, version_file: &Path, places: Places) -> Result<()> {
    let version = host::read_user_file(version_file)
        .with_context(|| format!("reading the version in `{}`", version_file.display()))?;
    let facts = Facts::new(host, version.trim(), places);
    let Some(inherited) = ActivatedSockets::take()? else {
        return Err(anyhow!(
            "systemd handed no socket over\n\n\
             hint: to try it by hand: systemd-socket-activate -l 127.0.0.1:8080 robotctl page"
        ));
    };
    let (sender, receiver) = sync_channel::<Stream>(MAX_QUEUED);
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| -> Result<()> {
        for _ in 0..WORKERS {
            scope.spawn(|| serve_connections(&facts, &receiver));
        }
        // Dropped at the end of this block: the workers answer what waits, then end.
        let sender = sender;
        host::notify_ready()?;
        while let Some(peer) = inherited.accept()? {
            if sender.send(peer).is_err() {
                break;
            }
        }
        host::notify_stopping();
        Ok(())
    })
}

fn serve_connections(facts: &Facts, receiver: &Mutex<Receiver<Stream>>) {
    loop {
        let next = match receiver.lock() {
            Ok(receiver) => receiver.recv(),
            Err(poisoned) => poisoned.into_inner().recv(),
        };
        let Ok(peer) = next else { return };
        // A client that goes away in the middle is no event.
        let _ = converse(facts, peer);
    }
}

fn converse(facts: &Facts, mut peer: Stream) -> std::io::Result<()> {
    let deadline = Deadline::after(READ_TIMEOUT);
    let request = http::read(&mut peer, &|peer: &Stream| {
        peer.set_patience(deadline.left().max(Duration::from_millis(1)))
    });
    let response = match &request {
        Ok(request) => answer(facts, request),
        // Nothing to answer: it asked nothing.
        Err(Problem::Gone) => return Ok(()),
        Err(problem) => Response::problem(*problem),
    };
    peer.set_patience(WRITE_TIMEOUT)?;
    let head_only = request.is_ok_and(|request| request.head_only);
    http::write(&mut peer, &response, head_only)?;
    peer.finish();
    // What is unread when a socket is closed turns into a reset, which can overtake the answer.
    peer.set_patience(Duration::from_millis(200))?;
    http::discard(&mut peer);
    Ok(())
}

fn answer(facts: &Facts, request: &Request) -> Response {
    match request.path.as_str() {
        "/" => match facts.status().render() {
            Ok(text) => Response::html(text),
            Err(_) => Response::problem(Problem::Broken),
        },
        "/status.json" => Response::json(&facts.status()),
        "/healthz" => Response::json(&serde_json::json!({
            "status": "ok",
            "version": facts.version(),
        })),
        _ => Response::problem(Problem::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use crate::app::App;

    #[test]
    fn the_reference_application_is_of_this_version_and_has_no_finding() {
        let text = include_str!("../../packaging/robot/robot.toml");
        let app = crate::manifest::parse(text).and_then(|read| App::from_manifest(&read, None));
        let app = app.unwrap();
        assert_eq!(app.version.as_str(), env!("CARGO_PKG_VERSION"));
        let hits = crate::app::lint(&app, None).into_iter();
        let hits = hits.filter(|hit| hit.severity != crate::app::Severity::Note);
        assert_eq!(hits.map(|hit| hit.message).collect::<Vec<_>>(), [""; 0]);
        let shown = include_str!("../../packaging/robot/payload/VERSION");
        assert_eq!(shown.trim(), env!("CARGO_PKG_VERSION"));
        let changes = include_str!("../../packaging/changelog");
        let newest = format!("robot ({}-1) ", env!("CARGO_PKG_VERSION"));
        assert!(changes.starts_with(&newest), "packaging/changelog");
    }
}
