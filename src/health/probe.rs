//! One attempt of a check.

use super::http::{Address, Response, get};
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
            Some(address) => format!("GET {address}{path} returns {status}"),
            None => format!("GET {path} returns {status}"),
        },
        Probe::Tcp(address) => format!("{address} accepts connections"),
        Probe::Unix(path) => format!("{path} accepts connections"),
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

/// Makes one attempt, which ends before the deadline.
pub(super) fn probe(
    host: &Host,
    service: &Service,
    probe: &Probe,
    trace: &str,
    deadline: Deadline,
) -> Result<(), String> {
    let text = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "nothing accepted it in time".to_owned(),
        _ => error.to_string(),
    };
    match probe {
        Probe::Http { address, path, .. } => {
            let address = http_address(service, *address).ok_or("it has no address")?;
            let response = get(&address, path.as_str(), trace, deadline)?;
            compare(probe, &response)
        }
        Probe::Tcp(address) => Connection::tcp(*address, deadline).map(drop).map_err(text),
        Probe::Unix(path) => Connection::unix(&host.root.path(path.as_str()), deadline)
            .map(drop)
            .map_err(text),
        // These are not repeated attempts.
        Probe::Command(_) | Probe::Job | Probe::Settle(_) => Ok(()),
    }
}

/// Compares a response with the expected one.
fn compare(probe: &Probe, response: &Response) -> Result<(), String> {
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
    if response.status != *status {
        return Err(format!(
            "it returned {}, expected {status}",
            response.status
        ));
    }
    if let Some(text) = contains
        && !response.body.contains(text.as_str())
    {
        return Err(format!("its body does not contain `{text}`"));
    }
    for (name, wanted) in headers {
        match response.header(name.as_str()) {
            Some(value) if value == wanted.as_str() => {}
            Some(value) => return Err(format!("its header `{name}` is `{value}`")),
            None => return Err(format!("it has no header `{name}`")),
        }
    }
    if json.is_empty() {
        return Ok(());
    }
    let body: serde_json::Value =
        serde_json::from_str(&response.body).map_err(|_| "its body is not JSON".to_owned())?;
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
    use super::compare;
    use crate::app::{Probe, Text};
    use crate::health::http::Response;

    #[test]
    fn headers_and_json_are_compared() {
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
        let response = Response {
            status: 200,
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: r#"{"status": "ok", "checks": [{"up": true}]}"#.into(),
        };
        let header = |value: &str| {
            compare(
                &probe(vec![(text("content-type"), text(value))], vec![]),
                &response,
            )
        };
        assert_eq!(header("application/json"), Ok(()));
        assert!(header("text/html").is_err());
        let json = |pointer: &str, value: serde_json::Value| {
            compare(&probe(vec![], vec![(text(pointer), value)]), &response)
        };
        assert_eq!(json("/status", "ok".into()), Ok(()));
        assert_eq!(json("/checks/0/up", true.into()), Ok(()));
        assert!(json("/status", "sick".into()).is_err());
        assert!(json("/nothing", "ok".into()).is_err());
    }
}
