//! Where the symbolic links of a release may lead: each must stay inside it.

use super::item::{Item, Kind};
use super::list::Payload;
use crate::error::HintedError;
use crate::printable::is_refused;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Components, Path};

/// How many links the resolution of one path may follow (path_resolution(7)).
const MAX_LINKS_FOLLOWED: usize = 40;
/// How many bytes of paths may be looked up for all links of a release. A release with a hundred thousand links takes
/// a third of it. Links that lead through each other can take days.
const MAX_LOOKED_UP_BYTES: usize = 256 * 1024 * 1024;
/// What one look-up costs besides the bytes of its path.
const LOOK_UP_BYTES: usize = 16;
/// The most names of a link's target.
const MAX_NAMES: usize = 256;

/// How much of a long target is shown, in characters.
const SHOWN_CHARACTERS: usize = 60;

/// The links of a release, by path.
struct Links<'a> {
    targets: HashMap<&'a str, &'a str>,
    /// How many bytes of paths may still be looked up.
    left_bytes: Cell<usize>,
}

impl<'a> Links<'a> {
    fn new(targets: HashMap<&'a str, &'a str>) -> Self {
        Self {
            targets,
            left_bytes: Cell::new(MAX_LOOKED_UP_BYTES),
        }
    }

    /// The target of the link at a path, if there is one.
    fn target(&self, path: &[&str]) -> Option<&'a str> {
        if self.targets.is_empty() {
            return None;
        }
        let path = path.join("/");
        let cost = LOOK_UP_BYTES + path.len();
        let left = self.left_bytes.get().saturating_sub(cost);
        self.left_bytes.set(left);
        self.targets.get(path.as_str()).copied()
    }

    /// Refuses links that take too long to follow.
    fn check_work(&self) -> Result<(), HintedError> {
        if self.left_bytes.get() > 0 {
            return Ok(());
        }
        Err(HintedError::new(
            "the links of the source lead through each other too often to be checked",
            "list them in `release.exclude`, or replace links to links by links to files",
        ))
    }
}

/// Refuses a payload with an item below something other than a directory, or with a link that leads
/// out of the release, alone or through other links.
///
/// # Errors
/// The first such item.
pub(crate) fn check_links(payload: &Payload) -> Result<(), HintedError> {
    let items = payload.items.iter();
    let links = items.filter_map(|item| match &item.kind {
        Kind::Link(target) => Some((item.path.as_str(), target.as_str())),
        _ => None,
    });
    let links = Links::new(links.collect());
    // Most items are in the same directory as the item before.
    let mut last_parent = None;
    for item in &payload.items {
        let parent = item.path.rsplit_once('/').map(|(parent, _)| parent);
        let wrong_parent = parent.filter(|parent| {
            let is_checked = last_parent == Some(*parent);
            let is_dir = |item: &Item| item.kind == Kind::Dir;
            !is_checked && !payload.get(parent).is_some_and(is_dir)
        });
        last_parent = parent;
        if let Some(parent) = wrong_parent {
            return Err(HintedError::new(
                format!(
                    "the source has `{}` below `{parent}`, which is not a directory",
                    item.path
                ),
                "create the source again from one directory",
            ));
        }
        if let Kind::Link(target) = &item.kind
            && !stays_inside(&item.path, target, &links, None)
        {
            return Err(leads_outside(&item.path, target));
        }
        links.check_work()?;
    }
    Ok(())
}

/// Refuses a link that a build created and that does not stay inside the release, alone or through
/// other links. `links` are all links of the built tree, by path. An absolute link may lead to
/// `top`, where the release will be mounted, or directly to `/usr`.
///
/// # Errors
/// The first link that does not.
pub(crate) fn check_built_links(
    links: &BTreeMap<String, String>,
    top: &str,
) -> Result<(), HintedError> {
    let none = Links::new(HashMap::new());
    let all = links.iter().map(|(path, target)| (&**path, &**target));
    let all = Links::new(all.collect());
    for (path, target) in links {
        let is_printable = !target.chars().any(is_refused);
        let stays = |links: &Links<'_>| stays_inside(path, target, links, Some(top));
        if !(is_printable && stays(&none) && stays(&all)) {
            return Err(HintedError::new(
                format!(
                    "the build created a link that leads out of the release: `{path}` -> `{}`",
                    target.escape_debug()
                ),
                "change the build: make the link relative and inside the release, or copy its target",
            ));
        }
        all.check_work()?;
    }
    Ok(())
}

/// The target of a link as text, if the link alone does not lead out of the release.
///
/// # Errors
/// A [`HintedError`] if it does, or if the target is not UTF-8 or contains control characters.
pub(crate) fn check_target(path: &str, target: &Path) -> Result<String, HintedError> {
    let text = target.to_str().ok_or_else(|| {
        HintedError::new(
            format!(
                "the source has a link target that is not UTF-8: `{path}` -> `{}`",
                target.to_string_lossy().escape_debug()
            ),
            "rename it, or list it in `release.exclude`",
        )
    })?;
    if text.split('/').count() > MAX_NAMES {
        let start: String = text.chars().take(SHOWN_CHARACTERS).collect();
        return Err(HintedError::new(
            format!("the target of the link `{path}` has more than {MAX_NAMES} names: `{start}…`"),
            "make the link shorter, or list it in `release.exclude`",
        ));
    }
    let is_printable = !text.is_empty() && !text.chars().any(is_refused);
    if is_printable && stays_inside(path, text, &Links::new(HashMap::new()), None) {
        Ok(text.to_owned())
    } else {
        Err(leads_outside(path, text))
    }
}

/// Whether a link stays inside the release at each step of its resolution. The target need not
/// exist. Without work left, the answer is no answer: [`Links::check_work`] says so. With `top`, the path where the release will be mounted, the link may also lead there and
/// to `/usr`.
fn stays_inside(path: &str, target: &str, links: &Links<'_>, top: Option<&str>) -> bool {
    let mut at: Vec<&str> = path.split('/').collect();
    at.pop();
    let mut ahead = vec![Path::new(target).components()];
    let mut followed = 1;
    while let Some(parts) = ahead.last_mut() {
        if links.left_bytes.get() == 0 {
            return true;
        }
        match parts.next() {
            None => drop(ahead.pop()),
            Some(Component::CurDir) => {}
            Some(Component::ParentDir) => {
                if at.pop().is_none() {
                    return false;
                }
            }
            Some(Component::Prefix(_)) => return false,
            Some(Component::RootDir) => {
                let absolute = Path::new("/").join(parts.as_path());
                let Some(top) = top else { return false };
                if !absolute.starts_with(top) {
                    // The links of the host are not known here, so `..` may lead anywhere.
                    let has_parent_dir = |parts: &Components<'_>| {
                        parts.clone().any(|part| part == Component::ParentDir)
                    };
                    return absolute.starts_with("/usr") && !ahead.iter().any(has_parent_dir);
                }
                at.clear();
                // Skip the components of `top` itself.
                let names = Path::new(top).components().skip(1).count();
                parts.by_ref().take(names).for_each(drop);
            }
            Some(Component::Normal(part)) => {
                at.push(part.to_str().unwrap_or_default());
                if let Some(next) = links.target(&at) {
                    followed += 1;
                    if followed > MAX_LINKS_FOLLOWED {
                        return true; // A loop: the kernel refuses to resolve it (ELOOP).
                    }
                    at.pop();
                    ahead.push(Path::new(next).components());
                }
            }
        }
    }
    true
}

fn leads_outside(path: &str, target: &str) -> HintedError {
    let hint = match python_environment(path) {
        Some(dir) => format!(
            "a Python environment works only where it was made: add `\"/{dir}/\"` to `release.exclude`, and write \
             `python = {{ requirements = [\"requirements.txt\"] }}` in `[release]`; the program is then \
             `{{current}}/.venv/bin/…`"
        ),
        None => "make it relative and keep it inside, or list it in `release.exclude`".to_owned(),
    };
    HintedError::new(
        format!(
            "the link `{path}` -> `{}` leads out of the release",
            target.escape_debug()
        ),
        hint,
    )
}

/// The directory of the Python environment whose interpreter is at a path, such as `venv` of `venv/bin/python3`.
fn python_environment(path: &str) -> Option<&str> {
    let (bin, name) = path.rsplit_once('/')?;
    let dir = bin.strip_suffix("/bin")?;
    name.starts_with("python").then_some(dir)
}

#[cfg(test)]
mod tests {
    use super::leads_outside;
    use super::{Item, Kind, Payload, check_built_links, check_links, check_target};
    use std::path::Path;

    #[test]
    fn a_python_environment_in_the_source_names_the_key_that_makes_one() {
        let hint = |path| leads_outside(path, "/usr/bin/python3").hints[0].to_string();
        assert!(hint("venv/bin/python").contains("add `\"/venv/\"` to `release.exclude`"));
        assert!(hint("a/.venv/bin/python3").contains("`\"/a/.venv/\"`"));
        assert!(hint("venv/bin/node").starts_with("make it relative"));
    }

    #[test]
    fn a_link_must_not_lead_out_of_the_release() {
        for (path, target) in [
            ("a", "b"),
            ("a/b", "../c"),
            ("a", "./b/../c"),
            ("a/b/c", "../../d"),
        ] {
            assert!(
                check_target(path, Path::new(target)).is_ok(),
                "{path} -> {target}"
            );
        }
        for (path, target) in [
            ("a", "../b"),
            ("a", "/etc"),
            ("a/b", "../../c"),
            ("a", "x/../../y"),
            ("a", ""),
        ] {
            assert!(
                check_target(path, Path::new(target)).is_err(),
                "{path} -> {target}"
            );
        }
    }

    fn accepts(links: &[(&str, &str)]) -> bool {
        let dirs = ["a", "a/b", "a/b/c"];
        let dirs = dirs.map(|path| Item::new(path.into(), Kind::Dir));
        let links = links
            .iter()
            .map(|(path, target)| Item::new((*path).into(), Kind::Link((*target).into())));
        check_links(&Payload::new(dirs.into_iter().chain(links).collect())).is_ok()
    }

    #[test]
    fn links_are_followed_through_links() {
        assert!(accepts(&[("a/b/up", "../x"), ("y", "a/b/up/z")]));
        assert!(accepts(&[
            ("loop", "loop"),
            ("a/one", "two"),
            ("a/two", "one")
        ]));
        // Each alone stays inside. The second leads out through the first.
        assert!(accepts(&[("a/b/c/l1", "../../../top")]));
        assert!(accepts(&[("a/b/c/l2", "l1/../../../..")]));
        assert!(!accepts(&[
            ("a/b/c/l1", "../../../top"),
            ("a/b/c/l2", "l1/../../../.."),
        ]));
    }

    /// Each link alone is plain. Together, they would be followed 40 times with 200 names each.
    #[test]
    fn links_that_take_too_long_are_refused() {
        let chain = (0..10_000).map(|number| {
            let target = format!("{}l{}", "d/../".repeat(100), (number + 1) % 10_000);
            Item::new(format!("l{number}"), Kind::Link(target))
        });
        let error = check_links(&Payload::new(chain.collect())).unwrap_err();
        assert!(error.message.contains("too often"), "{error}");
    }

    #[test]
    fn a_built_link_leads_into_the_release_or_to_usr() {
        let accepts = |links: &[(&str, &str)]| {
            let links = links.iter();
            let owned = links.map(|(path, target)| ((*path).to_owned(), (*target).to_owned()));
            check_built_links(&owned.collect(), "/opt/demo/current").is_ok()
        };
        for links in [
            &[("bin/python", "/usr/bin/python3"), ("lib64", "lib")][..],
            &[("a/whole", "/opt/demo/current/a/b"), ("a/b", "../c")],
            &[("up", "/opt/demo/current")],
            &[("usr", "/usr"), ("env", "usr/bin/env")],
            &[("a", "/opt/demo/current/b"), ("b", "a")],
        ] {
            assert!(accepts(links), "{links:?}");
        }
        for links in [
            &[("out", "/etc/shadow")][..],
            &[("out", "/opt/demo")],
            &[("out", "/opt/demo/currently")],
            &[("out", "../x")],
            &[("out", "/usr/../etc/shadow")],
            &[("out", "/opt/demo/current/../../../etc")],
            // Each alone stays inside.
            &[("a/b/one", "../../x"), ("a/b/two", "one/../..")],
            &[("usr", "/usr"), ("a/b/out", "../../usr/../etc")],
            &[("a/b/up", "/opt/demo/current"), ("a/b/out", "up/..")],
        ] {
            assert!(!accepts(links), "{links:?}");
        }
    }

    #[test]
    fn an_item_below_a_link_is_refused() {
        assert!(!accepts(&[("a/l", "b"), ("a/l/evil", "x")]));
        assert!(!accepts(&[("absent/evil", "x")]));
    }
}
