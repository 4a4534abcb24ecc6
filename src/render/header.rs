//! The first line of every rendered file, which says for which app it was made.

use crate::tree::{Entry, GENERATED, generated_for};

/// The first line of a file that is made while robotctl runs.
pub fn runtime_header(app: &str) -> String {
    format!("{GENERATED}{app}; it is gone after the next boot.\n")
}

/// The app that a file was rendered for, from its first line; `None` for any other file.
pub fn made_for(entry: &Entry) -> Option<&str> {
    let Entry::File { bytes, .. } = entry else {
        return None;
    };
    generated_for(bytes)
}

#[cfg(test)]
mod tests {
    use super::made_for;
    use crate::app::{App, Target};
    use crate::manifest::parse;
    use crate::render::render;
    use crate::tree::Entry;

    /// By this line, robotctl knows which files it may overwrite.
    #[test]
    fn every_file_says_for_which_app_it_was_made() {
        let text = "[app]\nname = \"demo-x\"\nversion = \"1\"\n[service.w]\n\
            exec = [\"/bin/w\"]\nlisten = [\"127.0.0.1:80\"]\nsocket = \"proxy\"\n\
            limits = { tasks-max = 5 }\ngroups = [\"g\"]\n[service.w.sandbox]\n\
            capabilities = [\"CAP_KILL\"]\nread-write = [\"/srv/a\"]\n\
            [service.j]\nexec = [\"/bin/j\"]\ntimer = { calendar = \"daily\" }\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        let tree = render(&app, Target::Portable).unwrap();
        for (path, entry) in tree.iter() {
            if matches!(entry, Entry::File { .. }) {
                assert_eq!(made_for(entry), Some("demo-x"), "{path}");
            }
        }
        assert_eq!(made_for(&Entry::file("[Unit]\n")), None);
        assert_eq!(made_for(&Entry::Symlink("/dev/null".into())), None);
    }
}
