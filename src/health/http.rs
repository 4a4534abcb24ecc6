//! One GET, over TCP or a unix socket: enough of HTTP/1.1 for a health check.

use crate::host::{Connection, Deadline};
use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;

/// The longest head that is read.
const MAX_HEAD: usize = 64 * 1024;
/// The longest body that is read.
const MAX_BODY: usize = 1024 * 1024;
const TRUNCATED: &str = "the answer is cut short";

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a unix socket.
    Unix(String),
}

impl Address {
    /// Connects, until the deadline at the longest.
    ///
    /// # Errors
    /// The operating system's.
    pub fn dial(&self, deadline: Deadline) -> io::Result<Connection> {
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

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Name and value of each header.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// The value of the first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(one, _)| one.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Sends one GET with the header `X-Trace-Id` and reads the answer, until the deadline at the
/// longest: an endpoint that drips or streams has not answered.
///
/// # Errors
/// One clause: what happened in place of an answer.
pub fn get(
    address: &Address,
    path: &str,
    trace: &str,
    deadline: Deadline,
) -> Result<Answer, String> {
    let patience = deadline.left();
    let say = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("no whole answer within {patience:.0?}")
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
    let mut line = address.dial(deadline).map_err(say)?;
    line.write_all(request.as_bytes()).map_err(say)?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = match line.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(say(error)),
        };
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(answer) = parse(&bytes, count == 0)? {
            return Ok(answer);
        }
    }
}

/// Reads what has come so far; `None` when more is to come.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<Answer>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let broken = |_| "the answer is not HTTP".to_owned();
    let httparse::Status::Complete(head) = response.parse(bytes).map_err(broken)? else {
        return match (ended, bytes.len()) {
            (true, 0) => Err("the connection was closed without an answer".to_owned()),
            (true, _) => Err(TRUNCATED.to_owned()),
            (false, 0..MAX_HEAD) => Ok(None),
            (false, _) => Err(format!("its head is longer than {MAX_HEAD} bytes")),
        };
    };
    let header = |name: &str| {
        let mut headers = response.headers.iter();
        let found = headers.find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let rest = bytes.get(head..).unwrap_or_default();
    let length = header("content-length").and_then(|value| value.trim().parse::<usize>().ok());
    let body = match (response.code, header("transfer-encoding"), length) {
        // These have none, whatever their heads say (RFC 9112, 6.3).
        (Some(204 | 304), ..) => Some(Vec::new()),
        (_, Some(coding), _) if coding.contains("chunked") => unchunk(rest)?,
        (.., Some(length)) => rest.get(..length).map(<[u8]>::to_vec),
        _ => ended.then(|| rest.to_vec()),
    };
    let Some(body) = body else {
        return match (ended, rest.len()) {
            (true, _) => Err(TRUNCATED.to_owned()),
            (false, 0..MAX_BODY) => Ok(None),
            (false, _) => Err(format!("its body is longer than {MAX_BODY} bytes")),
        };
    };
    Ok(Some(Answer {
        status: response.code.unwrap_or(0),
        headers: response
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

/// Joins chunks (RFC 9112, 7.1); `None` when more are to come.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest);
        let size = size.map_err(|_| "its body is not chunked as it says".to_owned())?;
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
    #![expect(
        clippy::disallowed_methods,
        reason = "a test is the server that the door leads to"
    )]

    use super::{Address, Answer, get, parse};
    use crate::host::{Deadline, Stopwatch};
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    #[test]
    fn plain_chunked_and_broken_answers() {
        let whole = |bytes: &[u8]| parse(bytes, true).map(Option::unwrap);
        let answer = whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
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
    fn an_answer_is_whole_when_all_of_it_has_come() {
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

    /// Asks a server that writes with `serve` once it was asked; the time is 300 ms.
    fn ask(serve: impl FnOnce(&mut TcpStream) + Send) -> (Result<Answer, String>, Duration) {
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

    /// Writes the same again and again until the client has gone.
    fn drip(stream: &mut TcpStream, head: &str, bytes: &[u8], pause: Duration) {
        let _ = stream.write_all(head.as_bytes());
        while stream.write_all(bytes).is_ok() {
            std::thread::sleep(pause);
        }
    }

    #[test]
    fn a_server_that_drips_has_not_answered_in_time() {
        let pause = Duration::from_millis(20);
        let plain = "HTTP/1.1 200 OK\r\n\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let field = "HTTP/1.1 200 OK\r\n";
        for (head, bytes) in [(field, "X: y\r\n"), (plain, "."), (chunked, "1\r\n.\r\n")] {
            let (answer, took) = ask(|stream| drip(stream, head, bytes.as_bytes(), pause));
            assert!(answer.is_err(), "{answer:?}");
            assert!(took < Duration::from_secs(3), "{took:?}");
        }
    }

    #[test]
    fn heads_and_bodies_without_an_end_are_refused() {
        let plain = "HTTP/1.1 200 OK\r\n\r\n";
        let chunk = format!("10000\r\n{}\r\n", ".".repeat(0x10000));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (field, dots) = (".".repeat(0x10000), ".".repeat(0x10000));
        let long = "HTTP/1.1 200 OK\r\nX: ";
        for (head, bytes, said) in [
            (plain, dots.as_str(), "its body is longer than"),
            (chunked, chunk.as_str(), "its body is longer than"),
            (long, field.as_str(), "its head is longer than"),
        ] {
            let (answer, _) = ask(|stream| drip(stream, head, bytes.as_bytes(), Duration::ZERO));
            let error = answer.unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
