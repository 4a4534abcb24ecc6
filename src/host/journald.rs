//! Events in the systemd journal, with fields (systemd.journal-fields(7)).

use super::environment::variable;
use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/run/systemd/journal/socket";

/// Whether standard error goes to the systemd journal (systemd.exec(5), "$JOURNAL_STREAM"). Then an
/// event that is both printed and sent would be there twice.
pub fn has_stderr() -> bool {
    let stream = variable("JOURNAL_STREAM");
    let meta = nix::sys::stat::fstat(std::io::stderr()).ok();
    let own = meta.map(|meta| format!("{}:{}", meta.st_dev, meta.st_ino));
    stream.is_some() && stream == own && std::path::Path::new(SOCKET).exists()
}

/// Sends one entry by the native protocol, on a host that has a systemd journal. It does not wait for
/// a journal that hangs: to lose a line is better than to delay a deploy.
pub fn send(fields: &[(&str, &str)]) {
    let mut datagram = String::new();
    for (name, value) in fields {
        // A value of several lines would need the binary form.
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
