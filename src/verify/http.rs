//! One GET, over TCP or a unix socket: enough of HTTP/1.1 for a health check.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The most of an answer that is read.
const LONGEST: u64 = 1024 * 1024;

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a unix socket.
    Unix(String),
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

/// Sends one GET with the header `X-Trace-Id` and reads the answer.
///
/// # Errors
/// One clause: what happened in place of an answer.
pub fn get(
    address: &Address,
    path: &str,
    trace: &str,
    patience: Duration,
) -> Result<Answer, String> {
    let say = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            format!("no answer within {} s", patience.as_secs_f32())
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
    let bytes = match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, patience).map_err(say)?;
            stream.set_read_timeout(Some(patience)).map_err(say)?;
            stream.set_write_timeout(Some(patience)).map_err(say)?;
            exchange(stream, &request)
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).map_err(say)?;
            stream.set_read_timeout(Some(patience)).map_err(say)?;
            stream.set_write_timeout(Some(patience)).map_err(say)?;
            exchange(stream, &request)
        }
    };
    parse(&bytes.map_err(say)?)
}

fn exchange(mut stream: impl Read + Write, request: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<Answer, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let broken = |_| "the answer is not HTTP".to_owned();
    let httparse::Status::Complete(head) = response.parse(bytes).map_err(broken)? else {
        return Err(if bytes.is_empty() {
            "the connection was closed without an answer".to_owned()
        } else {
            "the answer is cut short".to_owned()
        });
    };
    let header = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let rest = bytes.get(head..).unwrap_or_default();
    let chunked = header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
    let body = if chunked {
        unchunk(rest)
    } else {
        rest.to_vec()
    };
    let length = header("content-length").and_then(|value| value.parse::<usize>().ok());
    if !chunked && length.is_some_and(|length| rest.len() < length) {
        return Err("the answer is cut short".to_owned());
    }
    Ok(Answer {
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
    })
}

/// Joins chunks (RFC 9112, 7.1); what is malformed ends the body.
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some(chunk) = rest.get(start..start.saturating_add(size)) else {
            break;
        };
        if size == 0 {
            break;
        }
        body.extend_from_slice(chunk);
        rest = rest.get(start + size + 2..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn plain_chunked_and_broken_answers() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
        let text =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n";
        assert_eq!(parse(text).unwrap().body, "ok!");
        assert!(parse(b"").is_err());
        assert!(parse(b"SSH-2.0\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").is_err());
    }
}
