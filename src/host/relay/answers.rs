//! Where one HTTP/1.1 answer ends and the next may begin, for one who only passes bytes on.

/// What has gone by on one connection, from server to client.
#[derive(Debug, Default)]
pub(super) struct Answers {
    at: At,
    /// What is not whole yet: a head, or a line between chunks.
    part: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before or in the head of an answer.
    #[default]
    Head,
    /// The same after an interim head, such as `103 Early Hints`: its answer is yet to come
    /// (RFC 9110, 15.2).
    Interim,
    /// So many bytes of a body are left.
    Body(usize),
    /// In the line that tells a chunk's size (RFC 9112, 7.1).
    Size,
    /// So many bytes of a chunk are left, its line break included.
    Chunk(usize),
    /// In the lines after the last chunk.
    Trailer,
    /// It is no HTTP, or its end is the connection's.
    Unknown,
}

/// What every head begins with.
const HTTP: &[u8] = b"HTTP/";

/// A longer head is nobody's.
const MAX_HEAD_BYTES: usize = 64 * 1024;

impl Answers {
    /// Takes what was passed on.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = match self.at {
                At::Unknown => return,
                At::Body(left) | At::Chunk(left) => {
                    let used = left.min(bytes.len());
                    self.at = match (self.at, left - used) {
                        (At::Body(_), 0) => At::Head,
                        (At::Body(_), left) => At::Body(left),
                        (_, 0) => At::Size,
                        (_, left) => At::Chunk(left),
                    };
                    used
                }
                At::Head | At::Interim | At::Size | At::Trailer => self.line(bytes),
            };
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    /// Whether every answer that began has ended; `None` when that cannot be known.
    pub(super) fn are_whole(&self) -> Option<bool> {
        match self.at {
            At::Unknown => None,
            At::Head => Some(self.part.is_empty()),
            _ => Some(false),
        }
    }

    /// What follows is no answer that could be followed.
    pub(super) fn give_up(&mut self) {
        self.at = At::Unknown;
        self.part = Vec::new();
    }

    /// Takes bytes up to the end of what is collected: a head or a line.
    fn line(&mut self, bytes: &[u8]) -> usize {
        let in_head = matches!(self.at, At::Head | At::Interim);
        let end: &[u8] = match in_head {
            true => b"\r\n\r\n",
            false => b"\r\n",
        };
        for (index, byte) in bytes.iter().enumerate() {
            self.part.push(*byte);
            if in_head && self.part.iter().zip(HTTP).any(|(said, word)| said != word) {
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

    /// A head or a line is whole: what follows it?
    fn next(&mut self) {
        let part = std::mem::take(&mut self.part);
        self.at = match self.at {
            At::Head | At::Interim => after_head(&part),
            At::Size => {
                let text = String::from_utf8_lossy(&part);
                let digits = text.split(';').next().unwrap_or_default().trim();
                match usize::from_str_radix(digits, 16) {
                    Ok(0) => At::Trailer,
                    Ok(size) => At::Chunk(size.saturating_add(2)),
                    Err(_) => At::Unknown,
                }
            }
            At::Trailer if part == b"\r\n" => At::Head,
            other => other,
        };
    }
}

fn after_head(head: &[u8]) -> At {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut response = httparse::Response::new(&mut headers);
    if !matches!(response.parse(head), Ok(httparse::Status::Complete(_))) {
        return At::Unknown;
    }
    match response.code {
        Some(101) | None => return At::Unknown,
        Some(100..200) => return At::Interim,
        Some(204 | 304) => return At::Head,
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
        return At::Size;
    }
    match value("content-length").and_then(|text| text.trim().parse().ok()) {
        Some(0) => At::Head,
        Some(length) => At::Body(length),
        None => At::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::Answers;

    /// Feeds a text in pieces of every size; whole is only its end.
    fn ends_with(text: &[u8]) -> Option<bool> {
        let mut last = None;
        for size in 1..=text.len() {
            let mut answers = Answers::default();
            for (index, piece) in text.chunks(size).enumerate() {
                answers.feed(piece);
                if (index + 1) * size < text.len() {
                    assert_ne!(answers.are_whole(), Some(true), "{size} {index}");
                }
            }
            last = answers.are_whole();
        }
        last
    }

    #[test]
    fn answers_end_where_they_say() {
        assert_eq!(
            ends_with(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            Some(true)
        );
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nA: b\r\n\r\n";
        assert_eq!(ends_with(chunked), Some(true));
        assert_eq!(ends_with(b"HTTP/1.1 200 OK\r\nContent-Len"), Some(false));
        assert_eq!(ends_with(b"HTTP/1.0 200 OK\r\n\r\n"), None);
        assert_eq!(ends_with(b"HTTP/1.1 101 Switching\r\n\r\n"), None);
        for other in ["SSH-2.0-x\r\n", "+PONG\r\n", "HTTQ", "\r\n"] {
            assert_eq!(ends_with(other.as_bytes()), None, "{other}");
        }
        assert_eq!(ends_with(b"HTTP/1.1 100 Continue\r\n\r\n"), Some(false));
        assert_eq!(
            ends_with(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"),
            Some(false)
        );
        let mut two = Answers::default();
        two.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n");
        assert_eq!(two.are_whole(), Some(true));
    }
}
