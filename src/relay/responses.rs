//! Where an HTTP/1.1 response ends, for a relay that only passes bytes on (RFC 9112).

/// The bytes of one connection, from server to client.
#[derive(Debug, Default)]
pub(super) struct Responses {
    at: Position,
    /// An incomplete head, or an incomplete line between chunks.
    part: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Before or in the head of a response.
    #[default]
    Head,
    /// In the head after an interim head, such as `103 Early Hints` (RFC 9110, 15.2).
    Interim,
    /// In a body; so many bytes are left.
    Body(usize),
    /// In the line with the size of a chunk (RFC 9112, 7.1).
    Size,
    /// In a chunk; so many bytes are left, including its line break.
    Chunk(usize),
    /// In the lines after the last chunk.
    Trailer,
    /// The bytes are not HTTP, or the response ends with the connection.
    Unknown,
}

/// The first bytes of every head.
const HEAD_START: &[u8] = b"HTTP/";

/// The longest head that is followed.
const MAX_HEAD_BYTES: usize = 64 * 1024;

impl Responses {
    /// Follows bytes that were passed on.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = match self.at {
                Position::Unknown => return,
                Position::Body(left) | Position::Chunk(left) => {
                    let used = left.min(bytes.len());
                    self.at = match (self.at, left - used) {
                        (Position::Body(_), 0) => Position::Head,
                        (Position::Body(_), left) => Position::Body(left),
                        (_, 0) => Position::Size,
                        (_, left) => Position::Chunk(left),
                    };
                    used
                }
                Position::Head | Position::Interim | Position::Size | Position::Trailer => {
                    self.line(bytes)
                }
            };
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    /// Whether every response that began is complete; `None` when the bytes do not show it.
    pub(super) fn are_complete(&self) -> Option<bool> {
        match self.at {
            Position::Unknown => None,
            Position::Head => Some(self.part.is_empty()),
            _ => Some(false),
        }
    }

    /// Stops following: the bytes do not show where the next response ends.
    pub(super) fn give_up(&mut self) {
        self.at = Position::Unknown;
        self.part = Vec::new();
    }

    /// Collects bytes up to the end of a head or line.
    fn line(&mut self, bytes: &[u8]) -> usize {
        let in_head = matches!(self.at, Position::Head | Position::Interim);
        let end: &[u8] = if in_head { b"\r\n\r\n" } else { b"\r\n" };
        for (index, byte) in bytes.iter().enumerate() {
            self.part.push(*byte);
            if in_head && !starts_like_a_head(&self.part) {
                self.give_up();
                return bytes.len();
            }
            if self.part.ends_with(end) {
                self.next();
                return index + 1;
            }
        }
        if self.part.len() > MAX_HEAD_BYTES {
            self.give_up();
        }
        bytes.len()
    }

    /// Moves on after a complete head or line.
    fn next(&mut self) {
        let part = std::mem::take(&mut self.part);
        self.at = match self.at {
            Position::Head | Position::Interim => after_head(&part),
            Position::Size => {
                let text = String::from_utf8_lossy(&part);
                let digits = text.split(';').next().unwrap_or_default().trim();
                match usize::from_str_radix(digits, 16) {
                    Ok(0) => Position::Trailer,
                    Ok(size) => Position::Chunk(size.saturating_add(2)),
                    Err(_) => Position::Unknown,
                }
            }
            Position::Trailer if part == b"\r\n" => Position::Head,
            other => other,
        };
    }
}

fn starts_like_a_head(part: &[u8]) -> bool {
    part.iter()
        .zip(HEAD_START)
        .all(|(byte, wanted)| byte == wanted)
}

fn after_head(head: &[u8]) -> Position {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut response = httparse::Response::new(&mut headers);
    if !matches!(response.parse(head), Ok(httparse::Status::Complete(_))) {
        return Position::Unknown;
    }
    match response.code {
        Some(101) | None => return Position::Unknown,
        Some(100..200) => return Position::Interim,
        Some(204 | 304) => return Position::Head,
        Some(_) => {}
    }
    let value = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase())
    };
    if value("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        return Position::Size;
    }
    match value("content-length").and_then(|text| text.trim().parse().ok()) {
        Some(0) => Position::Head,
        Some(length) => Position::Body(length),
        None => Position::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::Responses;

    /// Feeds a text in pieces of every size. Only the last piece may complete it.
    fn is_complete_after(text: &[u8]) -> Option<bool> {
        let mut last = None;
        for size in 1..=text.len() {
            let mut responses = Responses::default();
            for (index, piece) in text.chunks(size).enumerate() {
                responses.feed(piece);
                if (index + 1) * size < text.len() {
                    assert_ne!(responses.are_complete(), Some(true), "{size} {index}");
                }
            }
            last = responses.are_complete();
        }
        last
    }

    #[test]
    fn a_response_ends_where_its_head_says() {
        assert_eq!(
            is_complete_after(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            Some(true)
        );
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nA: b\r\n\r\n";
        assert_eq!(is_complete_after(chunked), Some(true));
        assert_eq!(
            is_complete_after(b"HTTP/1.1 200 OK\r\nContent-Len"),
            Some(false)
        );
        assert_eq!(is_complete_after(b"HTTP/1.0 200 OK\r\n\r\n"), None);
        assert_eq!(is_complete_after(b"HTTP/1.1 101 Switching\r\n\r\n"), None);
        for other in ["SSH-2.0-x\r\n", "+PONG\r\n", "HTTQ", "\r\n"] {
            assert_eq!(is_complete_after(other.as_bytes()), None, "{other}");
        }
        assert_eq!(
            is_complete_after(b"HTTP/1.1 100 Continue\r\n\r\n"),
            Some(false)
        );
        assert_eq!(
            is_complete_after(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"),
            Some(false)
        );
        let mut two = Responses::default();
        two.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n");
        assert_eq!(two.are_complete(), Some(true));
    }
}
