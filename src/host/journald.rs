//! Events in the systemd journal, with fields (systemd.journal-fields(7)).

use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/run/systemd/journal/socket";

/// Whether what is written to standard error arrives in the systemd journal too
/// (systemd.exec(5), "$JOURNAL_STREAM"): an event that was sent would be there twice.
pub fn has_stderr() -> bool {
    let stream = super::variable("JOURNAL_STREAM");
    let meta = nix::sys::stat::fstat(std::io::stderr()).ok();
    let own = meta.map(|meta| format!("{}:{}", meta.st_dev, meta.st_ino));
    stream.is_some() && stream == own && std::path::Path::new(SOCKET).exists()
}

/// Sends one entry by the native protocol; a host without a systemd journal takes none. One that
/// hangs is not waited for: better a line lost than a deploy held up.
pub fn send(fields: &[(&str, &str)]) {
    let mut datagram = String::new();
    for (name, value) in fields {
        // A value of several lines would need the binary form: ours have one.
        let value = value.replace('\n', " ");
        datagram.push_str(&format!("{name}={value}\n"));
    }
    let Ok(socket) = UnixDatagram::unbound() else {
        return;
    };
    if socket.set_nonblocking(true).is_err() {
        return;
    }
    let _ = socket.send_to(datagram.as_bytes(), SOCKET);
}
