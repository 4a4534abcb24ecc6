//! Symbolic links of a release: each must lead to a place inside it.

use super::payload::{Item, Kind, Payload, Refused};
use std::collections::HashMap;
use std::path::{Component, Path};

/// How many links a path may lead through (path_resolution(7)).
const DEEPEST: usize = 40;

/// Refuses a payload in which something lies below what is no directory, or in which a link, by
/// itself or by way of others, leads out of the tree.
///
/// # Errors
/// The first item that does.
pub(super) fn judge(payload: &Payload) -> Result<(), Refused> {
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
            return Err(Refused {
                message: format!(
                    "the source's `{}` lies below `{above}`, which is no directory",
                    item.path
                ),
                hint: "make the source anew from one directory",
            });
        }
        if let Kind::Link(target) = &item.kind
            && !stays(&item.path, target, &links)
        {
            return Err(leaves(&item.path, target));
        }
    }
    Ok(())
}

/// Whether a link stays in the tree, at each step of the way (a target that is not there is fine).
fn stays(path: &str, target: &str, links: &HashMap<&str, &str>) -> bool {
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
            Some(Component::RootDir | Component::Prefix(_)) => return false,
            Some(Component::Normal(part)) => {
                at.push(part.to_str().unwrap_or_default());
                if let Some(next) = links.get(at.join("/").as_str()) {
                    followed += 1;
                    if followed > DEEPEST {
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
/// [`Refused`] also when it cannot be written down as it is.
pub(super) fn plain_target(path: &str, target: &Path) -> Result<String, Refused> {
    let text = target.to_str().ok_or_else(|| Refused {
        message: format!(
            "the source has a link target that is not UTF-8: `{path}` -> `{}`",
            target.to_string_lossy().escape_debug()
        ),
        hint: "rename it, or list it in `release.exclude`",
    })?;
    inside(path, text).map(|()| text.to_owned())
}

/// Refuses a link whose text alone leads out of the tree.
pub(super) fn inside(path: &str, target: &str) -> Result<(), Refused> {
    let plain = !target.is_empty() && !target.chars().any(char::is_control);
    match plain && stays(path, target, &HashMap::new()) {
        true => Ok(()),
        false => Err(leaves(path, target)),
    }
}

fn leaves(path: &str, target: &str) -> Refused {
    Refused {
        message: format!(
            "the link `{path}` -> `{}` leaves the tree",
            target.escape_debug()
        ),
        hint: "make it relative and keep it inside, or list it in `release.exclude`",
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Kind, Payload, inside, judge};

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
    fn nothing_lies_below_a_link() {
        assert!(!judged(&[("a/l", "b"), ("a/l/evil", "x")]));
        assert!(!judged(&[("absent/evil", "x")]));
    }
}
