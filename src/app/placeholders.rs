//! The placeholders that are not paths of the layout. `read/placeholders` replaces all of them.

/// The name of this host. It stays as it is in a text: the unit has systemd's specifier in its place
/// (systemd.unit(5), `%H`).
pub(crate) const HOSTNAME: &str = "{hostname}";

/// The placeholders that are not paths, and what each one is replaced by.
pub(crate) const NAME_PLACEHOLDERS: [(&str, &str); 5] = [
    (
        "app",
        "the name of the app, with its environment: `shop-staging`",
    ),
    ("service", "the short name of the service"),
    (
        "environment",
        "the name of the environment; empty without one",
    ),
    ("version", "the version of the app"),
    (
        "hostname",
        "the name of the host (`%H` of systemd.unit(5)), in commands and variables only",
    ),
];

/// The placeholders of an address, with `NAME` for a service.
pub(crate) const LISTEN_PLACEHOLDERS: [(&str, &str); 3] = [
    (
        "listen.NAME",
        "where a client on this host reaches the first address of a service: `127.0.0.1:8080`, also for `:8080`; of a \
         unix socket, its path",
    ),
    ("listen.NAME.host", "the IP address in it"),
    ("listen.NAME.port", "the port in it"),
];
