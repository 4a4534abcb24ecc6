//! What a run of a service left: the input of an explanation.

/// How the main process of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this exit status.
    Exited(i32),
    /// By this signal (signal(7)).
    Killed(i32),
}

/// What is known of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// The lines of the program, the oldest first.
    pub program: &'a [String],
    /// systemd's lines about the unit, the oldest first.
    pub manager: &'a [String],
    /// How the main process ended, if it has.
    pub end: Option<Ended>,
    /// The system call for which the kernel ended it, if it is known.
    pub killing_call: Option<&'a str>,
}

/// A line that a row of the table matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownLine<'a> {
    /// The line as it was written.
    pub(super) line: &'a str,
    /// All lines of the program, in lower case.
    pub(super) run: &'a [String],
}

impl KnownLine<'_> {
    /// Whether the line contains one of the words, which are in lower case.
    pub(super) fn says(&self, words: &[&str]) -> bool {
        contains(&self.line.to_lowercase(), words)
    }

    /// Whether any line of the run contains one of the words.
    pub(super) fn run_says(&self, words: &[&str]) -> bool {
        self.run.iter().any(|line| contains(line, words))
    }

    /// The absolute paths in the line, in their order.
    pub(super) fn paths(&self) -> Vec<&str> {
        let is_end = |c: char| c.is_whitespace() || "'\"`‘’“”()[]{}<>,;=|".contains(c);
        self.line
            .split(is_end)
            .map(|word| word.trim_end_matches(['.', ':', '!', '?']))
            .map(|word| word.strip_prefix("file://").unwrap_or(word))
            .filter(|word| word.len() > 1 && word.starts_with('/') && !word.starts_with("//"))
            .map(|word| word.split(':').next().unwrap_or(word))
            .collect()
    }
}

/// Whether a text contains one of the words.
pub(super) fn contains(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::KnownLine;

    #[test]
    fn paths_are_found_in_the_wording_of_each_runtime() {
        for (line, paths) in [
            (
                "FileNotFoundError: [Errno 2] No such file or directory: '/srv/x y'",
                vec!["/srv/x"],
            ),
            (
                "open /srv/a.conf: no such file or directory",
                vec!["/srv/a.conf"],
            ),
            (
                "java.io.FileNotFoundException: /srv/a (No such file or directory)",
                vec!["/srv/a"],
            ),
            (
                "No such file @ rb_sysopen - /srv/a (Errno::ENOENT)",
                vec!["/srv/a"],
            ),
            (
                "PHP Warning:  fopen(/srv/a): Failed to open stream in /opt/a/current/x.php on line 3",
                vec!["/srv/a", "/opt/a/current/x.php"],
            ),
            (
                "Error: EROFS: open '/opt/a/current/x.log'",
                vec!["/opt/a/current/x.log"],
            ),
            (
                "    at file:///opt/a/current/x.js:3:7",
                vec!["/opt/a/current/x.js"],
            ),
            ("connect to http://127.0.0.1:80/x", vec![]),
        ] {
            let known = KnownLine { line, run: &[] };
            assert_eq!(known.paths(), paths, "{line}");
        }
    }
}
