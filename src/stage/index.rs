//! The lines of `releases/<id>.index`: what a release holds, and where each file was seen.

use super::payload::{Item, Kind, Traces};
use crate::host::Stamp;
use crate::host::copy::Placed;

/// `f HASH LEN PATH`; with traces, `F HASH LEN DEV:INO:MTIME:CTIME INO:MTIME PATH`, where `-`
/// stands for none. Executable files have `x` and `X`.
pub(super) fn write(item: &Item, traces: bool, out: &mut String) {
    use std::fmt::Write as _;
    let path = &item.path;
    // Writing to a string cannot fail.
    let _ = match &item.kind {
        Kind::Dir => write!(out, "d {path}"),
        Kind::Link(target) => write!(out, "l {} {target}{path}", target.len()),
        Kind::File { hash, exec, len } => {
            let Traces { source, placed } = item.traces;
            let traces = traces && (source.is_some() || placed.is_some());
            out.push(match (exec, traces) {
                (false, false) => 'f',
                (true, false) => 'x',
                (false, true) => 'F',
                (true, true) => 'X',
            });
            out.push(' ');
            out.push_str(&hash.to_hex());
            let _ = write!(out, " {len} ");
            if traces {
                let _ = match source {
                    None => write!(out, "- "),
                    Some(Stamp {
                        dev,
                        ino,
                        mtime,
                        ctime,
                    }) => write!(out, "{dev}:{ino}:{mtime}:{ctime} "),
                };
                let _ = match placed {
                    None => write!(out, "- "),
                    Some(Placed { ino, mtime }) => write!(out, "{ino}:{mtime} "),
                };
            }
            out.push_str(path);
            Ok(())
        }
    };
}

/// Reads a line of [`write`]; none when it is no such line.
pub(super) fn read(line: &str) -> Option<Item> {
    let (kind, rest) = line.split_once(' ')?;
    match kind {
        "d" => Some(Item::new(rest.to_owned(), Kind::Dir)),
        "f" | "x" | "F" | "X" => {
            let (hash, rest) = rest.split_once(' ')?;
            let (len, mut path) = rest.split_once(' ')?;
            let mut traces = Traces::default();
            if matches!(kind, "F" | "X") {
                let (source, rest) = path.split_once(' ')?;
                let (placed, rest) = rest.split_once(' ')?;
                traces.source = stamp(source);
                traces.placed = lies(placed);
                path = rest;
            }
            let kind = Kind::File {
                hash: blake3::Hash::from_hex(hash).ok()?,
                exec: matches!(kind, "x" | "X"),
                len: len.parse().ok()?,
            };
            Some(Item {
                path: path.to_owned(),
                kind,
                traces,
            })
        }
        "l" => {
            let (len, rest) = rest.split_once(' ')?;
            let (target, path) = rest.split_at_checked(len.parse().ok()?)?;
            Some(Item::new(path.to_owned(), Kind::Link(target.to_owned())))
        }
        _ => None,
    }
}

fn stamp(text: &str) -> Option<Stamp> {
    let mut parts = text.split(':');
    let stamp = Stamp {
        dev: parts.next()?.parse().ok()?,
        ino: parts.next()?.parse().ok()?,
        mtime: parts.next()?.parse().ok()?,
        ctime: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(stamp)
}

fn lies(text: &str) -> Option<Placed> {
    let (ino, mtime) = text.split_once(':')?;
    Some(Placed {
        ino: ino.parse().ok()?,
        mtime: mtime.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use crate::host::Stamp;
    use crate::host::copy::Placed;
    use crate::stage::{Item, Kind, Payload};

    #[test]
    fn the_index_reads_back_what_it_wrote() {
        let file = |text: &str, exec| Kind::File {
            hash: blake3::hash(text.as_bytes()),
            exec,
            len: text.len() as u64,
        };
        let mut seen = Item::new("e  f".into(), file("yy", false));
        seen.traces.source = Some(Stamp {
            dev: 1,
            ino: u64::MAX,
            mtime: -5,
            ctime: 1_700_000_000_123_456_789,
        });
        let mut placed = Item::new("x".into(), file("", true));
        placed.traces.placed = Some(Placed { ino: 7, mtime: -1 });
        let payload = Payload::new(vec![
            Item::new("b c".into(), file("x", true)),
            Item::new("a".into(), Kind::Dir),
            Item::new("a/l k".into(), Kind::Link("../b c".into())),
            seen,
            placed,
        ]);
        let again = Payload::from_text(&payload.to_text());
        assert_eq!(again.items, payload.items);
        assert_eq!(again.digest(), payload.digest());
        assert!(again.bytes() == 3 && again.files() == 4);
        assert_eq!(again.get("x"), payload.items.last());
        assert_eq!(again.get("y"), None);
    }
}
