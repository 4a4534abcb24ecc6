//! The names of this host.
//!
//! A web page of another site can let its own name lead to this host (DNS rebinding), and then read what a browser
//! gets here. Such a request still carries the name of that site.

use std::net::{IpAddr, Ipv6Addr};

/// The names that a request may use.
#[derive(Debug)]
pub(super) struct HostNames(Vec<String>);

impl HostNames {
    /// The name of the kernel (uname(2)) and further ones, such as that of a proxy.
    pub(super) fn new(node: String, more: Vec<String>) -> Self {
        Self(std::iter::once(node).chain(more).collect())
    }

    /// Whether a `Host` header names this host: with one of these names, as `localhost`, or with an address, which no
    /// other site can have. A client of HTTP/1.0 names none, and is no browser.
    pub(super) fn include(&self, header: Option<&str>) -> bool {
        let Some(header) = header else { return true };
        if let Some(rest) = header.strip_prefix('[') {
            let parts = rest.split_once(']');
            return parts.is_some_and(|(address, port)| {
                address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'))
            });
        }
        let name = header.split_once(':').map_or(header, |(name, _)| name);
        let name = name.strip_suffix('.').unwrap_or(name);
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.0.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::HostNames;

    #[test]
    fn a_request_names_this_host() {
        let names = HostNames::new("web1.example.org".into(), vec!["status.example.org".into()]);
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "192.0.2.7:8080",
            "[::1]:8080",
            "web1.example.org",
            "web1.example.org.:80",
            "Status.example.org:443",
        ] {
            assert!(names.include(Some(own)), "{own}");
        }
        for other in [
            "",
            "evil.example",
            "evil.example:8080",
            "web1.example.org.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1].evil.example]",
            "[evil]",
        ] {
            assert!(!names.include(Some(other)), "{other}");
        }
        assert!(names.include(None));
    }
}
