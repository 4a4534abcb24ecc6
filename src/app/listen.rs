//! Addresses that a service listens on.

use super::names::AbsPath;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One address of `listen = [...]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A port on every address: reachable from the network.
    AnyAddress(u16),
    /// A stream socket in the file system.
    Unix(AbsPath),
}

impl Listen {
    /// Parses `127.0.0.1:80`, `[::1]:80`, `:80`, `localhost:80`, `unix:/run/x.sock`.
    ///
    /// # Errors
    /// The forms that are allowed, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORMS: &str = "write `127.0.0.1:8080`, `[::1]:8080`, `:8080` or `unix:/run/app.sock`";
        if let Some(path) = text.strip_prefix("unix:") {
            return AbsPath::parse(path).map(Self::Unix);
        }
        let port = |text: &str| text.parse().ok().filter(|port| *port != 0);
        if let Some(number) = text.strip_prefix(':') {
            return port(number).map(Self::AnyAddress).ok_or(FORMS);
        }
        if let Some(number) = text.strip_prefix("localhost:") {
            let number = port(number).ok_or(FORMS)?;
            return Ok(Self::Tcp((Ipv4Addr::LOCALHOST, number).into()));
        }
        let address: SocketAddr = text.parse().map_err(|_| FORMS)?;
        if address.port() == 0 {
            return Err(FORMS);
        }
        Ok(Self::Tcp(address))
    }

    /// As a manifest writes it.
    pub fn in_manifest(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::AnyAddress(port) => format!(":{port}"),
            Self::Unix(path) => format!("unix:{path}"),
        }
    }

    /// Whether the two cannot be open at the same time.
    pub fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(a), Self::Unix(b)) => a == b,
            (Self::Unix(_), _) | (_, Self::Unix(_)) => false,
            (Self::AnyAddress(_), _) | (_, Self::AnyAddress(_)) => self.port() == other.port(),
            (Self::Tcp(a), Self::Tcp(b)) => {
                a.port() == b.port()
                    && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
            }
        }
    }

    /// The TCP port.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::AnyAddress(port) => Some(*port),
            Self::Unix(_) => None,
        }
    }

    /// Whether other machines can reach it.
    pub fn is_public(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().is_loopback(),
            Self::AnyAddress(_) => true,
            Self::Unix(_) => false,
        }
    }

    /// Where a client on this host connects to reach it over TCP.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) if address.ip().is_unspecified() => {
                let ip: IpAddr = match address.ip() {
                    IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                Some((ip, address.port()).into())
            }
            Self::Tcp(address) => Some(*address),
            Self::AnyAddress(port) => Some((Ipv4Addr::LOCALHOST, *port).into()),
            Self::Unix(_) => None,
        }
    }
}

/// As in `ListenStream=` (systemd.socket(5)).
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::AnyAddress(port) => write!(f, "{port}"),
            Self::Unix(path) => write!(f, "{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Listen;

    #[test]
    fn addresses_are_parsed_and_collisions_found() {
        let of = |text: &str| Listen::parse(text).unwrap();
        assert!(of("127.0.0.1:80").collides(&of(":80")));
        assert!(of("0.0.0.0:80").collides(&of("127.0.0.1:80")));
        assert!(!of("127.0.0.1:80").collides(&of("127.0.0.2:80")));
        assert!(!of("127.0.0.1:80").collides(&of("unix:/run/a")));
        assert!(of("unix:/run/a").collides(&of("unix:/run/a")));
        assert!(of(":80").is_public() && !of("[::1]:80").is_public());
        for bad in [
            "",
            "80",
            "127.0.0.1",
            "127.0.0.1:0",
            "unix:a",
            "host:80",
            ":0",
            "unix:/a b",
        ] {
            assert!(Listen::parse(bad).is_err(), "{bad}");
        }
    }
}
