//! One attempt of a check.

use super::http::{Address, Response, get};
use crate::app::{Listen, Probe, Service};
use crate::failure::Failure;
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

/// The kind of a check in words that every user may know.
pub(super) fn kind(probe: &Probe) -> &'static str {
    match probe {
        Probe::Http { .. } => "an HTTP check",
        Probe::Tcp(_) | Probe::Unix(_) => "the check of an address",
        Probe::Command(_) => "a check command",
        Probe::Job => "the check of the job",
        Probe::Settle(_) => "the check that it stays up",
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
) -> Result<(), Failure> {
    let text = |error: io::Error| {
        Failure::public(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => "nothing accepted it in time".to_owned(),
            _ => error.to_string(),
        })
    };
    match probe {
        Probe::Http { address, path, .. } => {
            let address = http_address(service, *address);
            let address = address.ok_or_else(|| Failure::public("it has no address"))?;
            let response = get(&address, path.as_str(), trace, deadline);
            // Nothing of a response is in these errors.
            let response = response.map_err(Failure::public)?;
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
fn compare(probe: &Probe, response: &Response) -> Result<(), Failure> {
    let body = |detail| Failure::new("its body is not as the check wants it", detail);
    let header = |detail| Failure::new("a header is not as the check wants it", detail);
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
        let what = format!("it returned {}, expected {status}", response.status);
        return Err(Failure::public(what));
    }
    if let Some(text) = contains
        && !response.body.contains(text.as_str())
    {
        return Err(body(format!("its body does not contain `{text}`")));
    }
    for (name, wanted) in headers {
        match response.header(name.as_str()) {
            Some(value) if value == wanted.as_str() => {}
            Some(value) => return Err(header(format!("its header `{name}` is `{value}`"))),
            None => return Err(header(format!("it has no header `{name}`"))),
        }
    }
    if json.is_empty() {
        return Ok(());
    }
    let json_body: serde_json::Value = serde_json::from_str(&response.body)
        .map_err(|_| Failure::public("its body is not JSON"))?;
    for (pointer, wanted) in json {
        match json_body.pointer(pointer.as_str()) {
            Some(value) if value == wanted => {}
            Some(value) => {
                let detail = format!("`{pointer}` of its body is {value}, not {wanted}");
                return Err(body(detail));
            }
            None => return Err(body(format!("its body has no `{pointer}`"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{compare, kind};
    use crate::app::{Probe, Text};
    use crate::health::http::Response;
    use crate::health::verdict::failed_check;

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

    #[test]
    fn nothing_of_a_response_or_of_the_manifest_is_public() {
        let text = |text: &str| Text::parse(text).unwrap();
        let response = Response {
            status: 200,
            headers: vec![("Token".into(), "marker".into())],
            body: r#"{"token": "marker"}"#.into(),
        };
        let wanted = |contains, headers, json| Probe::Http {
            address: None,
            path: text("/?token=marker"),
            status: 200,
            contains,
            headers,
            json,
        };
        for probe in [
            wanted(Some(text("marker-of-the-manifest")), vec![], vec![]),
            wanted(None, vec![(text("token"), text("marker2"))], vec![]),
            wanted(None, vec![(text("marker"), text("x"))], vec![]),
            wanted(None, vec![], vec![(text("/token"), "marker2".into())]),
            wanted(None, vec![], vec![(text("/marker"), "x".into())]),
        ] {
            let failure = compare(&probe, &response).unwrap_err();
            assert!(failure.to_string().contains("marker"), "{failure:?}");
            let failed = failed_check(
                "GET http://[::1]:80/?token=marker gives 200",
                kind(&probe),
                &failure,
            );
            assert!(failed.to_string().contains("/?token=marker"), "{failed:?}");
            assert!(!failed.summary().contains("marker"), "{failed:?}");
        }
    }
}
