//! Whether a service must run a new release, or has the same files in it.

use super::input::{Candidate, Observed};
use crate::app::{App, PYTHON_DIR, Patterns, Service};
use crate::payload::{Payload, PreviousIndex};

/// Whether a running service must run a new release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sameness<'a> {
    /// The new release has other files for it, or nothing is known.
    Different,
    /// It goes on to run this release, which has the same files for it.
    Same(&'a str),
    /// A build makes some of its files. Whether they are the same as in this release, which it runs, shows
    /// once the new release is on the disk.
    Built(&'a str),
}

/// Whether a running service must run the release `new`.
pub(super) fn sameness<'a>(
    new: &Candidate<'_>,
    observed: &'a Observed,
    service: &Service,
) -> Sameness<'a> {
    compare(new, observed, service).unwrap_or(Sameness::Different)
}

fn compare<'a>(
    new: &Candidate<'_>,
    observed: &'a Observed,
    service: &Service,
) -> Option<Sameness<'a>> {
    let live = observed
        .live
        .as_ref()
        .filter(|_| observed.repair.is_none())?;
    let name = service.name.as_str();
    let old = live.app.service(name)?;
    let patterns = service.files.as_ref()?;
    // Other patterns say nothing about the release that runs.
    if old.files.as_ref() != Some(patterns) || old.listen != service.listen {
        return None;
    }
    let runs = observed.runs.get(&new.app.unit(service))?;
    let mut equal = observed.same_files.get(name).into_iter().flatten();
    if *runs != live.id && !equal.any(|id| id == runs) {
        return None;
    }
    if is_built(new.app, patterns) || is_built(&live.app, patterns) {
        return Some(match observed.same_built_files.contains(name) {
            true => Sameness::Same(runs),
            false => Sameness::Built(runs),
        });
    }
    let (payload, index) = (new.payload?, live.payload.as_ref()?);
    has_same(patterns, payload, index).then_some(Sameness::Same(runs))
}

/// The running services whose files a build makes, each with its patterns and the release that it runs: only a
/// comparison on the disk shows whether they must restart.
pub fn built_services<'a>(
    new: &Candidate<'a>,
    observed: &'a Observed,
) -> Vec<(&'a Service, &'a Patterns, &'a str)> {
    let services = new.app.services.iter();
    let built = services.filter_map(|service| match sameness(new, observed, service) {
        Sameness::Built(runs) => Some((service, service.files.as_ref()?, runs)),
        Sameness::Different | Sameness::Same(_) => None,
    });
    built.collect()
}

/// Whether a build may change files that are selected. The index of a release does not list what a build
/// creates.
fn is_built(app: &App, patterns: &Patterns) -> bool {
    let release = &app.release;
    let python = release.python.is_some() && patterns.selects(PYTHON_DIR, true);
    !release.build.is_empty() || python
}

fn has_same(patterns: &Patterns, new: &Payload, old: &PreviousIndex) -> bool {
    let is_same = |(at, item): (usize, &crate::payload::Item)| {
        !patterns.selects(&item.path, item.is_dir()) || old.kind(at) == Some(&item.kind)
    };
    let is_kept = |path: &String, is_dir: bool| !patterns.selects(path, is_dir);
    new.items.iter().enumerate().all(is_same)
        && old.removed().iter().all(|path| is_kept(path, false))
        && old.removed_dirs().iter().all(|path| is_kept(path, true))
}

#[cfg(test)]
mod tests {
    use super::{Sameness, sameness};
    use crate::app::App;
    use crate::manifest::parse;
    use crate::payload::{Item, Kind, Payload, PreviousIndex, index};
    use crate::plan::{Candidate, LiveRelease, Observed};
    use crate::tree::FileTree;

    const FILES: &str = "files = [\"web/\", \"lib/*.py\", \"!web/tests/\"]";

    fn app(web: &str, release: &str) -> App {
        let text = format!(
            "[app]\nname = \"shop\"\nversion = \"1\"\n[release]\n{release}\n\
             [service.web]\nexec = [\"{{current}}/web/run\"]\n{web}\n"
        );
        App::from_manifest(&parse(&text).unwrap(), None).unwrap()
    }

    fn item(path: &str, content: &str) -> Item {
        let kind = match content.strip_prefix("-> ") {
            _ if content.is_empty() => Kind::Dir,
            Some(target) => Kind::Link(target.to_owned()),
            None => Kind::File {
                hash: blake3::hash(content.as_bytes()).into(),
                exec: content.starts_with("#!"),
                len: 1,
            },
        };
        Item::new(path.to_owned(), kind)
    }

    fn payload(items: &[(&str, &str)]) -> Payload {
        Payload::new(items.iter().map(|(path, text)| item(path, text)).collect())
    }

    const LIVE: &[(&str, &str)] = &[
        ("api", ""),
        ("api/run", "#!1"),
        ("lib", ""),
        ("lib/a.py", "1"),
        ("web", ""),
        ("web/link", "-> run"),
        ("web/run", "#!1"),
        ("web/tests", ""),
        ("web/tests/a", "1"),
    ];

    /// A host where `2-b` is live and the service runs a release.
    fn observed(live: App, runs: &str, new: &Payload) -> Observed {
        Observed {
            live: Some(LiveRelease {
                id: "2-b".to_owned(),
                app: live,
                origin: String::new(),
                tree: FileTree::default(),
                payload: PreviousIndex::read(&index::encode(&payload(LIVE)), new),
            }),
            runs: [("shop-web.service".to_owned(), runs.to_owned())].into(),
            same_files: [("web".to_owned(), vec!["1-a".to_owned()])].into(),
            ..Observed::default()
        }
    }

    fn kept(live: App, new: &App, runs: &str, items: &[(&str, &str)]) -> Option<String> {
        let payload = payload(items);
        let observed = observed(live, runs, &payload);
        match of(&observed, new, &payload) {
            Sameness::Same(runs) => Some(runs.to_owned()),
            Sameness::Different | Sameness::Built(_) => None,
        }
    }

    fn of<'a>(observed: &'a Observed, new: &App, payload: &Payload) -> Sameness<'a> {
        let new = Candidate {
            id: "3-c",
            app: new,
            tree: &FileTree::default(),
            payload: Some(payload),
        };
        sameness(&new, observed, &new.app.services[0])
    }

    /// The live release with one item changed, or removed.
    fn with(
        path: &'static str,
        content: Option<&'static str>,
    ) -> Vec<(&'static str, &'static str)> {
        let mut items = LIVE.to_vec();
        items.retain(|(one, _)| *one != path);
        items.extend(content.map(|content| (path, content)));
        items
    }

    #[test]
    fn a_service_keeps_its_release_while_its_files_are_the_same() {
        let kept = |items: &[(&str, &str)]| kept(app(FILES, ""), &app(FILES, ""), "2-b", items);
        let same = Some("2-b".to_owned());
        assert_eq!(kept(LIVE), same);
        for (path, content) in [
            ("api/run", Some("#!2")),
            ("api/run", None),
            ("lib/data", Some("1")),
            ("web/tests/a", Some("2")),
            ("web/tests/b", Some("1")),
            ("new", Some("")),
        ] {
            assert_eq!(kept(&with(path, content)), same, "{path}");
        }
        for (path, content) in [
            ("web/run", Some("#!2")),
            ("web/run", Some("1")),
            ("web/run", Some("-> link")),
            ("web/run", Some("")),
            ("web/run", None),
            ("web/link", Some("-> other")),
            ("web/link", None),
            ("web/new", Some("1")),
            ("web/empty", Some("")),
            ("lib/a.py", Some("2")),
            ("lib/b.py", Some("1")),
        ] {
            assert_eq!(kept(&with(path, content)), None, "{path}");
        }
        let with_empty: Vec<_> = with("web/empty", Some(""));
        let all = payload(&with_empty);
        let old = PreviousIndex::read(&index::encode(&all), &payload(LIVE)).unwrap();
        assert_eq!(old.removed_dirs(), ["web/empty"]);
    }

    #[test]
    fn only_what_is_known_to_be_the_same_keeps_a_service() {
        let of = |live: &str, new: &str, runs: &str| kept(app(live, ""), &app(new, ""), runs, LIVE);
        assert_eq!(of(FILES, FILES, "1-a").as_deref(), Some("1-a"));
        // It runs a release that is not known to have the same files.
        assert_eq!(of(FILES, FILES, "0-z"), None);
        assert_eq!(of("", FILES, "2-b"), None);
        assert_eq!(of(FILES, "", "2-b"), None);
        assert_eq!(of("", "", "2-b"), None);
        assert_eq!(of("files = [\"web/\"]", FILES, "2-b"), None);
        let direct =
            |port: u16| format!("{FILES}\nsocket = \"direct\"\nlisten = [\"127.0.0.1:{port}\"]");
        assert_eq!(of(&direct(80), &direct(80), "2-b").as_deref(), Some("2-b"));
        assert_eq!(of(&direct(80), &direct(81), "2-b"), None);
        // A service that uses no file of the release.
        assert_eq!(
            of("files = []", "files = []", "2-b").as_deref(),
            Some("2-b")
        );
    }

    #[test]
    fn what_a_build_creates_is_compared_on_the_disk() {
        let payload = payload(LIVE);
        let built = |files: &str, release: &str, is_same: bool| {
            let mut observed = observed(app(files, release), "2-b", &payload);
            if is_same {
                observed.same_built_files.insert("web".to_owned());
            }
            match of(&observed, &app(files, release), &payload) {
                Sameness::Different => "different",
                Sameness::Same(_) => "same",
                Sameness::Built(_) => "built",
            }
        };
        let python = "python = { requirements = [\"r.txt\"] }";
        let with_python = "files = [\"web/\", \".venv/\"]";
        for (files, release) in [(FILES, "build = [[\"make\"]]"), (with_python, python)] {
            assert_eq!(built(files, release, false), "built");
            assert_eq!(built(files, release, true), "same");
        }
        assert_eq!(built(FILES, python, false), "same");
        assert_eq!(built("", "build = [[\"make\"]]", false), "different");
    }
}
