//! One GET request over TCP or a unix socket: as much of HTTP/1.1 as a health check needs.

use crate::host::{Connection, Deadline};
use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;

/// The longest head that is read.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The longest body that is read.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The most headers that are read.
const MAX_HEADERS: usize = 64;
const TRUNCATED: &str = "the response is incomplete";

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a unix socket.
    Unix(String),
}

impl Address {
    /// Connects before the deadline.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn dial(&self, deadline: Deadline) -> io::Result<Connection> {
        match self {
            Self::Tcp(address) => Connection::tcp(*address, deadline),
            Self::Unix(path) => Connection::unix(Path::new(path), deadline),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{path}:"),
        }
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// Name and value of each header.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as text.
    pub(crate) body: String,
}

impl Response {
    /// The value of the first header with this name, which is case-insensitive.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(one, _)| one.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Sends a GET request with the header `X-Trace-Id` and reads the whole response before the deadline.
///
/// # Errors
/// What happened instead, as a clause.
pub(crate) fn get(
    address: &Address,
    path: &str,
    trace: &str,
    deadline: Deadline,
) -> Result<Response, String> {
    let time = deadline.left();
    let text = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("no complete response within {time:.0?}")
        }
        _ => error.to_string(),
    };
    let host = match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: robotctl\r\nX-Trace-Id: {trace}\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    );
    let mut connection = address.dial(deadline).map_err(text)?;
    let sent = connection.write_all(request.as_bytes());
    sent.map_err(text)?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = match connection.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(text(error)),
        };
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(response) = parse(&bytes, count == 0)? {
            return Ok(response);
        }
    }
}

/// Parses what has arrived so far; `None` when the response is incomplete.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<Response>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let broken = |_| "the response is not HTTP".to_owned();
    let httparse::Status::Complete(head) = parsed.parse(bytes).map_err(broken)? else {
        return match (ended, bytes.len()) {
            (true, 0) => Err("the connection was closed without a response".to_owned()),
            (true, _) => Err(TRUNCATED.to_owned()),
            (false, 0..MAX_HEAD_BYTES) => Ok(None),
            (false, _) => Err(format!("its head is longer than {MAX_HEAD_BYTES} bytes")),
        };
    };
    let header = |name: &str| {
        let mut headers = parsed.headers.iter();
        let found = headers.find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let rest = bytes.get(head..).unwrap_or_default();
    let length = header("content-length").and_then(|value| value.trim().parse::<usize>().ok());
    let body = match (parsed.code, header("transfer-encoding"), length) {
        // These responses have no body, whatever their heads say (RFC 9112, 6.3).
        (Some(204 | 304), ..) => Some(Vec::new()),
        (_, Some(coding), _) if coding.contains("chunked") => unchunk(rest)?,
        (.., Some(length)) => rest.get(..length).map(<[u8]>::to_vec),
        _ => ended.then(|| rest.to_vec()),
    };
    let Some(body) = body else {
        return match (ended, rest.len()) {
            (true, _) => Err(TRUNCATED.to_owned()),
            (false, 0..MAX_BODY_BYTES) => Ok(None),
            (false, _) => Err(format!("its body is longer than {MAX_BODY_BYTES} bytes")),
        };
    };
    Ok(Some(Response {
        status: parsed.code.unwrap_or(0),
        headers: parsed
            .headers
            .iter()
            .map(|one| {
                let value = String::from_utf8_lossy(one.value);
                (one.name.to_owned(), value.trim().to_owned())
            })
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    }))
}

/// Joins chunks (RFC 9112, 7.1); `None` when the last chunk has not arrived.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest);
        let size =
            size.map_err(|_| "its body is not chunked, although its head says so".to_owned())?;
        let httparse::Status::Complete((start, size)) = size else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let end = usize::try_from(size).map_or(usize::MAX, |size| size.saturating_add(start));
        let Some(chunk) = rest.get(start..end) else {
            return Ok(None);
        };
        body.extend_from_slice(chunk);
        rest = rest.get(end.saturating_add(2)..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests are the servers")]

    use super::{Address, Response, get, parse};
    use crate::host::{Deadline, Stopwatch};
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    #[test]
    fn plain_chunked_and_broken_responses_are_parsed() {
        let whole = |bytes: &[u8]| parse(bytes, true).map(Option::unwrap);
        let response = whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        assert_eq!((response.status, response.body.as_str()), (200, "ok"));
        let text =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n";
        assert_eq!(whole(text).unwrap().body, "ok!");
        let text = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(parse(text, false).unwrap().unwrap().status, 204);
        assert!(whole(b"").is_err());
        assert!(whole(b"SSH-2.0\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no").is_err());
    }

    #[test]
    fn a_response_is_complete_with_its_last_byte() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        ] {
            for end in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..end], false), Ok(None), "{end}");
            }
            assert!(matches!(parse(text.as_bytes(), false), Ok(Some(_))));
        }
    }

    /// Sends a request, with a deadline of 300 ms, to a server that responds with `serve`.
    fn request(serve: impl FnOnce(&mut TcpStream) + Send) -> (Result<Response, String>, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                serve(&mut stream);
            });
            let watch = Stopwatch::start();
            let deadline = Deadline::after(Duration::from_millis(300));
            (get(&address, "/", "trace", deadline), watch.elapsed())
        })
    }

    /// Writes the same bytes again and again until the client closes the connection.
    fn drip(stream: &mut TcpStream, head: &str, bytes: &[u8], pause: Duration) {
        let _ = stream.write_all(head.as_bytes());
        while stream.write_all(bytes).is_ok() {
            std::thread::sleep(pause);
        }
    }

    #[test]
    fn a_slow_response_ends_at_the_deadline() {
        let pause = Duration::from_millis(20);
        let plain = "HTTP/1.1 200 OK\r\n\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let field = "HTTP/1.1 200 OK\r\n";
        for (head, bytes) in [(field, "X: y\r\n"), (plain, "."), (chunked, "1\r\n.\r\n")] {
            let (response, took) = request(|stream| drip(stream, head, bytes.as_bytes(), pause));
            assert!(response.is_err(), "{response:?}");
            assert!(took < Duration::from_secs(3), "{took:?}");
        }
    }

    #[test]
    fn endless_heads_and_bodies_are_refused() {
        let plain = "HTTP/1.1 200 OK\r\n\r\n";
        let chunk = format!("10000\r\n{}\r\n", ".".repeat(0x10000));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (field, dots) = (".".repeat(0x10000), ".".repeat(0x10000));
        let long = "HTTP/1.1 200 OK\r\nX: ";
        for (head, bytes, message) in [
            (plain, dots.as_str(), "its body is longer than"),
            (chunked, chunk.as_str(), "its body is longer than"),
            (long, field.as_str(), "its head is longer than"),
        ] {
            let (response, _) =
                request(|stream| drip(stream, head, bytes.as_bytes(), Duration::ZERO));
            let error = response.unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
