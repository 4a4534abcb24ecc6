//! One check: looked at once.

use super::http::{Address, Answer, get};
use crate::app::{Listen, Probe, Service};
use crate::host::{Connection, Deadline, Host};
use std::io::{self, ErrorKind};

/// A check in words.
pub(super) fn describe(service: &Service, probe: &Probe) -> String {
    match probe {
        Probe::Http {
            address,
            path,
            status,
            ..
        } => match http_address(service, *address) {
            Some(address) => format!("GET {address}{path} gives {status}"),
            None => format!("GET {path} gives {status}"),
        },
        Probe::Tcp(address) => format!("{address} accepts"),
        Probe::Unix(path) => format!("{path} accepts"),
        Probe::Command(argv) => {
            let words: Vec<&str> = argv.iter().map(crate::app::Text::as_str).collect();
            format!("`{}` succeeds", words.join(" "))
        }
        Probe::Job => "the job succeeds".to_owned(),
        Probe::Settle(span) => format!("stays up for {}", span.text),
    }
}

fn http_address(service: &Service, address: Option<std::net::SocketAddr>) -> Option<Address> {
    if let Some(address) = address {
        return Some(Address::Tcp(address));
    }
    service.listen.iter().find_map(|listen| match listen {
        Listen::Unix(path) => Some(Address::Unix(path.to_string())),
        other => other.local_address().map(Address::Tcp),
    })
}

/// Looks once at what answers, until the deadline at the longest.
pub(super) fn probe(
    host: &Host,
    service: &Service,
    probe: &Probe,
    trace: &str,
    deadline: Deadline,
) -> Result<(), String> {
    let refused = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "nobody accepts in time".to_owned(),
        _ => error.to_string(),
    };
    match probe {
        Probe::Http { address, path, .. } => {
            let address = http_address(service, *address).ok_or("it has no address")?;
            let answer = get(&address, path.as_str(), trace, deadline)?;
            judge(probe, &answer)
        }
        Probe::Tcp(address) => Connection::tcp(*address, deadline)
            .map(drop)
            .map_err(refused),
        Probe::Unix(path) => Connection::unix(&host.root.path(path.as_str()), deadline)
            .map(drop)
            .map_err(refused),
        // These take their own time.
        Probe::Command(_) | Probe::Job | Probe::Settle(_) => Ok(()),
    }
}

/// Whether an answer is the expected one.
fn judge(probe: &Probe, answer: &Answer) -> Result<(), String> {
    let Probe::Http {
        address: _,
        path: _,
        status,
        contains,
        headers,
        json,
    } = probe
    else {
        return Ok(());
    };
    if answer.status != *status {
        return Err(format!("it answers {}", answer.status));
    }
    if let Some(text) = contains
        && !answer.body.contains(text.as_str())
    {
        return Err(format!("its body does not hold `{text}`"));
    }
    for (name, wanted) in headers {
        match answer.header(name.as_str()) {
            Some(value) if value == wanted.as_str() => {}
            Some(value) => return Err(format!("its header `{name}` is `{value}`")),
            None => return Err(format!("it has no header `{name}`")),
        }
    }
    if json.is_empty() {
        return Ok(());
    }
    let body: serde_json::Value =
        serde_json::from_str(&answer.body).map_err(|_| "its body is not JSON".to_owned())?;
    for (pointer, wanted) in json {
        match body.pointer(pointer.as_str()) {
            Some(value) if value == wanted => {}
            Some(value) => return Err(format!("`{pointer}` of its body is {value}, not {wanted}")),
            None => return Err(format!("its body has no `{pointer}`")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::app::{Probe, Text};
    use crate::health::Answer;

    #[test]
    fn headers_and_json_are_judged() {
        let text = |text: &str| Text::parse(text).unwrap();
        let probe =
            |headers: Vec<(Text, Text)>, json: Vec<(Text, serde_json::Value)>| Probe::Http {
                address: None,
                path: text("/"),
                status: 200,
                contains: None,
                headers,
                json,
            };
        let answer = Answer {
            status: 200,
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: r#"{"status": "ok", "checks": [{"up": true}]}"#.into(),
        };
        let header = |value: &str| {
            judge(
                &probe(vec![(text("content-type"), text(value))], vec![]),
                &answer,
            )
        };
        assert_eq!(header("application/json"), Ok(()));
        assert!(header("text/html").is_err());
        let json = |pointer: &str, value: serde_json::Value| {
            judge(&probe(vec![], vec![(text(pointer), value)]), &answer)
        };
        assert_eq!(json("/status", "ok".into()), Ok(()));
        assert_eq!(json("/checks/0/up", true.into()), Ok(()));
        assert!(json("/status", "sick".into()).is_err());
        assert!(json("/nothing", "ok".into()).is_err());
    }
}
