//! Symbolic links of a release: each must lead to a place inside it.

use super::payload::{Item, Kind, Payload};
use crate::error::HintedError;
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Components, Path};

/// How many links a path may lead through (path_resolution(7)).
const MAX_LINK_DEPTH: usize = 40;

/// Refuses a payload in which something lies below what is no directory, or in which a link, by
/// itself or by way of others, leads out of the tree.
///
/// # Errors
/// The first item that does.
pub(super) fn judge(payload: &Payload) -> Result<(), HintedError> {
    let items = payload.items.iter();
    let links: HashMap<&str, &str> = items
        .filter_map(|item| match &item.kind {
            Kind::Link(target) => Some((item.path.as_str(), target.as_str())),
            _ => None,
        })
        .collect();
    // Most items lie beside the one before.
    let mut dir = None;
    for item in &payload.items {
        let above = item.path.rsplit_once('/').map(|(above, _)| above);
        let below = above.filter(|above| {
            let known = dir == Some(*above);
            let is_dir = |item: &Item| item.kind == Kind::Dir;
            !known && !payload.get(above).is_some_and(is_dir)
        });
        dir = above;
        if let Some(above) = below {
            return Err(HintedError::new(
                format!(
                    "the source's `{}` lies below `{above}`, which is no directory",
                    item.path
                ),
                "make the source anew from one directory",
            ));
        }
        if let Kind::Link(target) = &item.kind
            && !stays(&item.path, target, &links, None)
        {
            return Err(leaves(&item.path, target));
        }
    }
    Ok(())
}

/// Refuses a link of a tree that was built, with all its links, by path: each, by itself and by way
/// of others, leads into the tree, which will be at `top`, or straight to `/usr`.
///
/// # Errors
/// The first link that does not.
pub(super) fn judge_built(links: &BTreeMap<String, String>, top: &str) -> Result<(), HintedError> {
    let none = HashMap::new();
    let all = links.iter().map(|(path, target)| (&**path, &**target));
    let all: HashMap<&str, &str> = all.collect();
    for (path, target) in links {
        let plain = !target.chars().any(char::is_control);
        let known = |links: &HashMap<&str, &str>| stays(path, target, links, Some(top));
        if !(plain && known(&none) && known(&all)) {
            return Err(HintedError::new(
                format!(
                    "the build made a link that leaves the release: `{path}` -> `{}`",
                    target.escape_debug()
                ),
                "let the build make it relative and inside the release, or copy what it leads to",
            ));
        }
    }
    Ok(())
}

/// Whether a link stays in the tree, at each step of the way (a target that is not there is fine).
/// Where it is known that the tree will be at `top`, a link may also lead there, and to `/usr`.
fn stays(path: &str, target: &str, links: &HashMap<&str, &str>, top: Option<&str>) -> bool {
    let mut at: Vec<&str> = path.split('/').collect();
    at.pop();
    let mut ahead = vec![Path::new(target).components()];
    let mut followed = 1;
    while let Some(parts) = ahead.last_mut() {
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
                let below = Path::new("/").join(parts.as_path());
                let Some(top) = top else { return false };
                if !below.starts_with(top) {
                    // The links of the host are not known here, nor is what lies above them.
                    let climbs = |parts: &Components<'_>| {
                        parts.clone().any(|part| part == Component::ParentDir)
                    };
                    return below.starts_with("/usr") && !ahead.iter().any(climbs);
                }
                at.clear();
                // The names of the top itself.
                let names = Path::new(top).components().skip(1).count();
                parts.by_ref().take(names).for_each(drop);
            }
            Some(Component::Normal(part)) => {
                at.push(part.to_str().unwrap_or_default());
                if let Some(next) = links.get(at.join("/").as_str()) {
                    followed += 1;
                    if followed > MAX_LINK_DEPTH {
                        return true; // A loop leads nowhere.
                    }
                    at.pop();
                    ahead.push(Path::new(next).components());
                }
            }
        }
    }
    true
}

/// The text of a link that alone does not lead out of the tree.
///
/// # Errors
/// [`HintedError`] also when it cannot be written down as it is.
pub(super) fn plain_target(path: &str, target: &Path) -> Result<String, HintedError> {
    let text = target.to_str().ok_or_else(|| {
        HintedError::new(
            format!(
                "the source has a link target that is not UTF-8: `{path}` -> `{}`",
                target.to_string_lossy().escape_debug()
            ),
            "rename it, or list it in `release.exclude`",
        )
    })?;
    inside(path, text).map(|()| text.to_owned())
}

/// Refuses a link whose text alone leads out of the tree.
fn inside(path: &str, target: &str) -> Result<(), HintedError> {
    let plain = !target.is_empty() && !target.chars().any(char::is_control);
    match plain && stays(path, target, &HashMap::new(), None) {
        true => Ok(()),
        false => Err(leaves(path, target)),
    }
}

fn leaves(path: &str, target: &str) -> HintedError {
    HintedError::new(
        format!(
            "the link `{path}` -> `{}` leaves the tree",
            target.escape_debug()
        ),
        "make it relative and keep it inside, or list it in `release.exclude`",
    )
}

#[cfg(test)]
mod tests {
    use super::{Item, Kind, Payload, inside, judge, judge_built};

    #[test]
    fn a_link_may_not_leave_the_tree() {
        for (path, target) in [
            ("a", "b"),
            ("a/b", "../c"),
            ("a", "./b/../c"),
            ("a/b/c", "../../d"),
        ] {
            assert!(inside(path, target).is_ok(), "{path} -> {target}");
        }
        for (path, target) in [
            ("a", "../b"),
            ("a", "/etc"),
            ("a/b", "../../c"),
            ("a", "x/../../y"),
            ("a", ""),
        ] {
            assert!(inside(path, target).is_err(), "{path} -> {target}");
        }
    }

    fn judged(links: &[(&str, &str)]) -> bool {
        let dirs = ["a", "a/b", "a/b/c"];
        let dirs = dirs.map(|path| Item::new(path.into(), Kind::Dir));
        let links = links
            .iter()
            .map(|(path, target)| Item::new((*path).into(), Kind::Link((*target).into())));
        judge(&Payload::new(dirs.into_iter().chain(links).collect())).is_ok()
    }

    #[test]
    fn links_are_followed_through_links() {
        assert!(judged(&[("a/b/up", "../x"), ("y", "a/b/up/z")]));
        assert!(judged(&[
            ("loop", "loop"),
            ("a/one", "two"),
            ("a/two", "one")
        ]));
        // Each alone stays inside; the second, through the first, leads two steps above the top.
        assert!(judged(&[("a/b/c/l1", "../../../top")]));
        assert!(judged(&[("a/b/c/l2", "l1/../../../..")]));
        assert!(!judged(&[
            ("a/b/c/l1", "../../../top"),
            ("a/b/c/l2", "l1/../../../.."),
        ]));
    }

    #[test]
    fn links_that_were_built_lead_into_the_release_or_to_usr() {
        let judged = |links: &[(&str, &str)]| {
            let links = links.iter();
            let owned = links.map(|(path, target)| ((*path).to_owned(), (*target).to_owned()));
            judge_built(&owned.collect(), "/opt/demo/current").is_ok()
        };
        for links in [
            &[("bin/python", "/usr/bin/python3"), ("lib64", "lib")][..],
            &[("a/whole", "/opt/demo/current/a/b"), ("a/b", "../c")],
            &[("up", "/opt/demo/current")],
            &[("usr", "/usr"), ("env", "usr/bin/env")],
            &[("a", "/opt/demo/current/b"), ("b", "a")],
        ] {
            assert!(judged(links), "{links:?}");
        }
        for links in [
            &[("out", "/etc/shadow")][..],
            &[("out", "/opt/demo")],
            &[("out", "/opt/demo/currently")],
            &[("out", "../x")],
            &[("out", "/usr/../etc/shadow")],
            &[("out", "/opt/demo/current/../../../etc")],
            // Each alone stays.
            &[("a/b/one", "../../x"), ("a/b/two", "one/../..")],
            &[("usr", "/usr"), ("a/b/out", "../../usr/../etc")],
            &[("a/b/up", "/opt/demo/current"), ("a/b/out", "up/..")],
        ] {
            assert!(!judged(links), "{links:?}");
        }
    }

    #[test]
    fn nothing_lies_below_a_link() {
        assert!(!judged(&[("a/l", "b"), ("a/l/evil", "x")]));
        assert!(!judged(&[("absent/evil", "x")]));
    }
}
