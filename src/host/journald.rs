//! Events in the systemd journal, with fields (systemd.journal-fields(7)).

use std::os::unix::net::UnixDatagram;

/// Sends one entry by the native protocol; a host without a systemd journal takes none.
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
    let _ = socket.send_to(datagram.as_bytes(), "/run/systemd/journal/socket");
}
