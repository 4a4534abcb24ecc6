//! The bundled status page, a program of its own behind `robotctl page`: read-only, for any reader.
//!
//! The listening socket comes from systemd, so that the process needs no network of its own. Each
//! connection carries one request. So a client that keeps a connection open cannot block a thread, and
//! SIGTERM has to wait only for the requests in progress.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the threads, and which path gets which response |
//! | `http` | as much of HTTP/1.1 as the page needs |
//! | `host_names` | the names of this host, which a request must use |
//! | `facts` | reads `/opt`, systemd and the doctor's report |
//! | `judge` | how healthy an app is, in words |
//! | `status` | the values on the page |

mod facts;
mod host_names;
mod http;
mod judge;
mod status;

pub(crate) use facts::Places;

use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use crate::host::{self, ActivatedSockets, Deadline, Host, Stream};
use anyhow::{Context, Result, anyhow};
use askama::Template as _;
use facts::Facts;
use host_names::HostNames;
use http::{Problem, Request, Response};
use std::path::Path;
use std::time::Duration;

/// How many requests are served at a time. Other connections wait in the kernel.
const WORKERS: usize = 16;
/// How long a request may take to arrive, so that a slow client does not block a thread.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// The shortest timeout of one read, because zero would mean none.
const MIN_READ_TIMEOUT: Duration = Duration::from_millis(1);
/// How long a response may take to leave.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for more bytes of a client that has its response.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// Serves the page until SIGTERM. Requests in progress get their responses.
///
/// # Errors
/// When systemd passed no socket, or the version cannot be read.
pub(crate) fn serve(
    host: &Host,
    version_file: &Path,
    places: Places,
    names: Vec<String>,
) -> Result<()> {
    let version = host::read_user_file(version_file)
        .with_context(|| format!("reading the version in `{}`", version_file.display()))?;
    let facts = Facts::new(host, version.trim(), places);
    let names = HostNames::new(host::node_name(), names);
    let Some(sockets) = ActivatedSockets::take()? else {
        return Err(HintedError::new(
            "systemd passed no socket: a socket unit has to start this command",
            Hint::to(
                "to try the page",
                CommandLine::new([
                    "systemd-socket-activate",
                    "-l",
                    "127.0.0.1:8080",
                    "robotctl",
                    "page",
                ]),
            ),
        )
        .into());
    };
    // Clients wait in the queue of the listener until the threads run.
    host::notify_ready()?;
    let ended = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| scope.spawn(|| serve_connections(&facts, &names, &sockets)))
            .collect();
        let ended = workers.into_iter().map(|worker| {
            let panicked = |_| Err(anyhow!("a thread of the page panicked"));
            worker.join().unwrap_or_else(panicked)
        });
        ended.fold(Ok(()), Result::and)
    });
    host::notify_stopping();
    ended
}

/// Serves one connection after the other.
fn serve_connections(
    facts: &Facts<'_>,
    names: &HostNames,
    sockets: &ActivatedSockets,
) -> Result<()> {
    while let Some(stream) = sockets.accept()? {
        // A client that disconnects early is not an error.
        let _ = serve_connection(facts, names, stream);
    }
    Ok(())
}

fn serve_connection(
    facts: &Facts<'_>,
    names: &HostNames,
    mut stream: Stream,
) -> std::io::Result<()> {
    let deadline = Deadline::after(READ_TIMEOUT);
    let request = http::read(&mut stream, &|stream: &Stream| {
        stream.set_timeout(deadline.left().max(MIN_READ_TIMEOUT))
    });
    let response = match &request {
        Ok(request) => respond(facts, names, request),
        // The client sent no request.
        Err(Problem::Disconnected) => return Ok(()),
        Err(problem) => Response::problem(*problem),
    };
    stream.set_timeout(WRITE_TIMEOUT)?;
    let head_only = request.is_ok_and(|request| request.head_only);
    http::write(&mut stream, &response, head_only)?;
    stream.finish();
    // If bytes of the client were unread when the connection is closed, the kernel would send a reset,
    // which can overtake the response.
    stream.set_timeout(DRAIN_TIMEOUT)?;
    http::discard(&mut stream);
    Ok(())
}

fn respond(facts: &Facts<'_>, names: &HostNames, request: &Request) -> Response {
    match request.path.as_str() {
        // Says nothing about the host.
        "/healthz" => Response::json(&serde_json::json!({
            "status": "ok",
            "version": facts.version(),
        })),
        _ if !names.include(request.host.as_deref()) => Response::problem(Problem::OtherHost),
        "/" => match facts.status().render() {
            Ok(text) => Response::html(text),
            Err(_) => Response::problem(Problem::RenderFailed),
        },
        "/status.json" => Response::json(&facts.status()),
        _ => Response::problem(Problem::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use crate::app::App;

    #[test]
    fn the_bundled_app_has_this_version_and_no_lint_finding() {
        let text = include_str!("../../packaging/robotctl-status/robot.toml");
        let app =
            crate::manifest::parse(text).and_then(|read| App::from_bundled(&read, None, None));
        let app = app.unwrap();
        assert_eq!(app.version.as_str(), env!("CARGO_PKG_VERSION"));
        let findings = crate::app::lint(&app, None).into_iter();
        let findings = findings.filter(|one| one.severity != crate::app::Severity::Note);
        assert_eq!(findings.map(|one| one.message).collect::<Vec<_>>(), [""; 0]);
        let shown = include_str!("../../packaging/robotctl-status/payload/VERSION");
        assert_eq!(shown.trim(), env!("CARGO_PKG_VERSION"));
        let changes = include_str!("../../packaging/changelog");
        let newest = format!("robot ({}-1) ", env!("CARGO_PKG_VERSION"));
        assert!(changes.starts_with(&newest), "packaging/changelog");
    }
}
