//! What a program's error messages show about its sandbox.

/// Messages of a program that the kernel keeps from a port below 1024.
const DENIED: &[&str] = &[
    "ermission denied",
    "EACCES",
    "Errno 13]",
    "os error 13)",
    "code: 13,",
];

/// What such a program says of the step that was denied, on the same line or on another one.
const BINDS: &[&str] = &["bind", "Bind", "listen EACCES"];

const LOW_PORT: &str = "a port below 1024 needs a right: write `sandbox.allow = [\"low-port\"]`, or let systemd \
     open the port: its address in `listen`, and `socket = \"activate\"`";

/// Messages of a program whose sandbox denies something, and how to allow it.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["Address family not supported", "EAFNOSUPPORT", "Errno 97]"],
        "the sandbox denies it such a socket: a server must use the one that systemd passes \
         (sd_listen_fds(3)), or needs its address in `listen` and `socket = \"proxy\"`; a client needs \
         `sandbox.allow = [\"loopback\"]` for programs on this host, and `sandbox.outbound` for other hosts",
    ),
    (
        &[
            "Network is unreachable",
            "ENETUNREACH",
            "Errno 101]",
            "curl: (6)",
            "curl: (7)",
            "Temporary failure in name resolution",
            "EAI_AGAIN",
        ],
        "it has no network: `sandbox.allow = [\"loopback\"]` allows programs on this host, \
         `sandbox.outbound` lists other hosts, and `sandbox.allow = [\"outbound\"]` allows every host; \
         a server with `socket = \"proxy\"` can have none of them",
    ),
    (
        &[
            "mark memory page as executable",
            "Failed to create CoreCLR",
            "cannot allocate executable memory",
        ],
        "the sandbox denies memory that is writable and executable: `runtime = \"java\"`, `dotnet`, \
         `node` or `luajit` allows it, and so does `sandbox.allow = [\"jit\"]`",
    ),
    (
        &["Operation not permitted", "EPERM", "Errno 1]"],
        "the sandbox may deny it: /usr/share/doc/robot/reference/exceptions.md lists what each \
         value of `sandbox.allow` allows",
    ),
];

/// What happened, and what to do according to the last lines of the program.
pub fn with_advice(what: String, lines: &[String]) -> String {
    let contains = |words: &[&str]| {
        let mut pairs = lines
            .iter()
            .flat_map(|line| words.iter().map(move |word| (line, word)));
        pairs.any(|(line, word)| line.contains(word))
    };
    let known = ADVICE.iter().find(|(words, _)| contains(words));
    let low_port = (contains(DENIED) && contains(BINDS)).then_some(LOW_PORT);
    match low_port.or(known.map(|(_, advice)| *advice)) {
        Some(advice) => format!("{what}; {advice}"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::with_advice;

    #[test]
    fn an_error_message_leads_to_the_key_that_allows_it() {
        for (line, key) in [
            (
                "OSError: [Errno 97] Address family not supported by protocol",
                "`socket = \"proxy\"`",
            ),
            ("Error: listen EAFNOSUPPORT: 0.0.0.0:80", "sd_listen_fds(3)"),
            (
                "OSError: [Errno 101] Network is unreachable",
                "\"outbound\"",
            ),
            ("curl: (7) Failed to connect to example.org", "\"outbound\""),
            (
                "Failed to mark memory page as executable - check if grsecurity/PaX is enabled",
                "`runtime = \"java\"`",
            ),
            (
                "PermissionError: [Errno 1] Operation not permitted",
                "exceptions.md",
            ),
        ] {
            let text = with_advice("it ended".to_owned(), &["x".to_owned(), line.to_owned()]);
            assert!(
                text.starts_with("it ended; ") && text.contains(key),
                "{text}"
            );
        }
        assert_eq!(
            with_advice("it ended".to_owned(), &["[Errno 13]".to_owned()]),
            "it ended"
        );
    }

    #[test]
    fn a_port_that_was_denied_leads_to_the_keys_that_open_it() {
        for lines in [
            "    self.socket.bind(self.server_address)\nPermissionError: [Errno 13] Permission denied",
            "OSError: [Errno 13] error while attempting to bind on address ('0.0.0.0', 80): permission denied",
            "Error: listen EACCES: permission denied 127.0.0.1:80",
            "listen tcp :80: bind: permission denied",
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
            "called `Result::unwrap()` on an `Err` value: Os { code: 13, kind: PermissionDenied }\nTcpListener::bind",
        ] {
            let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
            let text = with_advice("it ended".to_owned(), &lines);
            for key in [
                "`sandbox.allow = [\"low-port\"]`",
                "`socket = \"activate\"`",
                "`listen`",
            ] {
                assert!(text.contains(key), "{lines:?}: {text}");
            }
        }
        for other in [
            "open /srv/x: permission denied",
            "cannot bind: address in use",
        ] {
            let text = with_advice("it ended".to_owned(), &[other.to_owned()]);
            assert!(!text.contains("low-port"), "{text}");
        }
    }
}
