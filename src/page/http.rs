//! As much of HTTP/1.1 (RFC 9112) as a read-only page needs. Any bytes get a response.

use serde::Serialize;
use std::io::{ErrorKind, Read, Write};

/// The longest head of a request.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// How many reads of a body are discarded.
const MAX_DISCARDED_READS: usize = 16;

/// A request for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// The path without the query.
    pub(super) path: String,
    /// Whether it is HEAD, which gets a response without a body.
    pub(super) head_only: bool,
    /// The host that the client names; `None` for an HTTP/1.0 client that names none.
    pub(super) host: Option<String>,
}

/// Why a request does not get a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// The client disconnected, or sent nothing.
    Disconnected,
    /// The bytes are not HTTP.
    Malformed,
    /// The page does not exist.
    Unknown,
    /// The method is neither GET nor HEAD.
    MethodNotAllowed,
    /// The client names another host.
    OtherHost,
    /// The request did not arrive in time.
    Timeout,
    /// The request exceeds [`MAX_HEAD_BYTES`] or [`MAX_HEADERS`].
    TooLarge,
    /// The page could not be rendered.
    RenderFailed,
}

impl Problem {
    fn status(self) -> (u16, &'static str) {
        match self {
            Self::Disconnected | Self::Malformed => (400, "Bad Request"),
            Self::Unknown => (404, "Not Found"),
            Self::MethodNotAllowed => (405, "Method Not Allowed"),
            Self::Timeout => (408, "Request Timeout"),
            Self::OtherHost => (421, "Misdirected Request"),
            Self::TooLarge => (431, "Request Header Fields Too Large"),
            Self::RenderFailed => (500, "Internal Server Error"),
        }
    }
}

/// A response.
#[derive(Debug)]
pub(super) struct Response {
    status: (u16, &'static str),
    kind: &'static str,
    body: String,
}

impl Response {
    pub(super) fn html(body: String) -> Self {
        Self {
            status: (200, "OK"),
            kind: "text/html; charset=utf-8",
            body,
        }
    }

    pub(super) fn json<T: Serialize>(value: &T) -> Self {
        match serde_json::to_string_pretty(value) {
            Ok(text) => Self {
                status: (200, "OK"),
                kind: "application/json",
                body: text + "\n",
            },
            Err(_) => Self::problem(Problem::RenderFailed),
        }
    }

    pub(super) fn problem(problem: Problem) -> Self {
        let status = problem.status();
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: format!("{} {}\n", status.0, status.1),
        }
    }
}

/// Reads the head of one request. `set_timeout` is called before each read.
pub(super) fn read<R: Read>(
    from: &mut R,
    set_timeout: &dyn Fn(&R) -> std::io::Result<()>,
) -> Result<Request, Problem> {
    let mut bytes = Vec::new();
    let mut part = [0; 1024];
    loop {
        set_timeout(from).map_err(|_| Problem::Disconnected)?;
        let count = match from.read(&mut part) {
            Ok(0) => return Err(Problem::Disconnected),
            Ok(count) => count,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => continue,
                // A client that sends nothing, such as a port check, gets no response.
                ErrorKind::WouldBlock | ErrorKind::TimedOut if bytes.is_empty() => {
                    return Err(Problem::Disconnected);
                }
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(Problem::Timeout),
                _ => return Err(Problem::Disconnected),
            },
        };
        bytes.extend_from_slice(part.get(..count).unwrap_or_default());
        if let Some(request) = parse(&bytes)? {
            return Ok(request);
        }
        if bytes.len() > MAX_HEAD_BYTES {
            return Err(Problem::TooLarge);
        }
    }
}

/// Parses a request; `None` while its head is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<Request>, Problem> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Problem::TooLarge),
        Err(_) => return Err(Problem::Malformed),
    }
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Problem::MethodNotAllowed),
    };
    let hosts = request.headers.iter();
    let mut hosts = hosts.filter(|header| header.name.eq_ignore_ascii_case("host"));
    // HTTP/1.1 requires exactly one (RFC 9112, 3.2).
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(String::from_utf8_lossy(host.value).into_owned()),
        (None, _) if request.version == Some(0) => None,
        _ => return Err(Problem::Malformed),
    };
    let target = request.path.unwrap_or_default();
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Ok(Some(Request {
        path: path.to_owned(),
        head_only,
        host,
    }))
}

/// Writes a response that ends the connection.
pub(super) fn write(
    to: &mut impl Write,
    response: &Response,
    head_only: bool,
) -> std::io::Result<()> {
    let Response { status, kind, body } = response;
    let (code, reason) = status;
    let date = jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&crate::host::now())
        .map(|date| format!("Date: {date}\r\n"))
        .unwrap_or_default();
    let allow = if *code == 405 {
        "Allow: GET, HEAD\r\n"
    } else {
        ""
    };
    let mut text = format!(
        "HTTP/1.1 {code} {reason}\r\n\
         {date}{allow}\
         Content-Type: {kind}\r\n\
         Content-Length: {}\r\n\
         Connection: close\r\n\
         Cache-Control: no-store\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
         Referrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n\r\n",
        body.len()
    );
    if !head_only {
        text.push_str(body);
    }
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// Reads and drops bytes until the client has finished, sends too much, or is too slow.
pub(super) fn discard(from: &mut impl Read) {
    let mut part = [0; 4096];
    for _ in 0..MAX_DISCARDED_READS {
        if !from.read(&mut part).is_ok_and(|count| count > 0) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Problem, Request, Response, parse, read, write};
    use proptest::prelude::{any, proptest};

    fn read_request(bytes: &[u8]) -> Result<Request, Problem> {
        read(&mut &*bytes, &|_| Ok(()))
    }

    #[test]
    fn a_request_has_a_path_and_may_be_head() {
        let page = |head_only, host: Option<&str>| Request {
            path: "/".into(),
            head_only,
            host: host.map(str::to_owned),
        };
        assert_eq!(
            read_request(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            Ok(page(false, Some("x")))
        );
        assert_eq!(
            read_request(b"HEAD /?a=b HTTP/1.1\r\nhost: x\r\n\r\n"),
            Ok(page(true, Some("x")))
        );
        assert_eq!(
            read_request(b"GET / HTTP/1.0\r\n\r\n"),
            Ok(page(false, None))
        );
    }

    #[test]
    fn bytes_that_are_not_a_request_have_a_problem() {
        let cases: [(&[u8], Problem); 8] = [
            (b"", Problem::Disconnected),
            (b"GET / HTTP/1.1\r\n", Problem::Disconnected),
            (b"\x16\x03\x01\x02", Problem::Malformed),
            (b"GET / HTTP/2\r\n\r\n", Problem::Malformed),
            (b"GET / HTTP/1.1\r\n\r\n", Problem::Malformed),
            (
                b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                Problem::Malformed,
            ),
            (
                b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
                Problem::MethodNotAllowed,
            ),
            (
                b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
                Problem::MethodNotAllowed,
            ),
        ];
        for (bytes, problem) in cases {
            assert_eq!(
                read_request(bytes),
                Err(problem),
                "{}",
                bytes.escape_ascii()
            );
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100));
        assert_eq!(read_request(many.as_bytes()), Err(Problem::TooLarge));
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000));
        assert_eq!(read_request(long.as_bytes()), Err(Problem::TooLarge));
    }

    #[test]
    fn a_response_to_head_has_a_length_and_no_body() {
        let mut out = Vec::new();
        write(
            &mut out,
            &Response::problem(Problem::MethodNotAllowed),
            true,
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"),
            "{text}"
        );
        assert!(text.contains("Allow: GET, HEAD\r\n"), "{text}");
        assert!(text.contains("Content-Length: 23\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_result(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = parse(&bytes);
            let _ = read_request(&bytes);
        }
    }
}
