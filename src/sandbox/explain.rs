//! What the words of a program tell of the sandbox that it runs in.

/// What a program says when something is closed to it, each with how that is opened.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["Address family not supported", "EAFNOSUPPORT", "Errno 97]"],
        "the sandbox gives it no such socket: a server must take the one that systemd hands over \
         (sd_listen_fds(3)), else write `socket = \"proxy\"`; a client of other hosts needs \
         `sandbox.allow = [\"outbound\"]`",
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
        "it has no network: `sandbox.allow = [\"outbound\"]` lets it reach other hosts",
    ),
    (
        &["Operation not permitted", "EPERM", "Errno 1]"],
        "the sandbox may refuse it that: docs/reference/exceptions.md tells which `sandbox.allow` \
         opens what",
    ),
];

/// What happened, and what the last lines of the program say about how to mend it.
pub fn with_advice(what: String, lines: &[String]) -> String {
    let said = |words: &[&str]| {
        let mut pairs = lines
            .iter()
            .flat_map(|line| words.iter().map(move |word| (line, word)));
        pairs.any(|(line, word)| line.contains(word))
    };
    match ADVICE.iter().find(|(words, _)| said(words)) {
        Some((_, advice)) => format!("{what}; {advice}"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::with_advice;

    #[test]
    fn the_program_s_words_lead_to_the_key() {
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
}
