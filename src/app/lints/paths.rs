//! Paths that a service should not write, or does not see.

use super::case::{Case, Hit};
use crate::app::names::Text;

/// Whether one path is the other or lies below it, either way round.
fn covers(one: &str, other: &str) -> bool {
    let below = |path: &str, dir: &str| {
        let rest = path.strip_prefix(dir.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(one, other) || below(other, one)
}

pub(super) fn writable_code(case: &Case<'_>) -> Vec<Hit> {
    // A job of root's that looks after releases has to, and says so by name.
    if case.service.user.as_str() == "root" && case.shape.allows("exec-writable") {
        return Vec::new();
    }
    let listed = case
        .service
        .sandbox
        .read_write
        .iter()
        .map(ToString::to_string);
    let own = ["ReadWritePaths", "BindPaths"]
        .into_iter()
        .filter_map(|key| case.directive(key));
    let own = own.flat_map(str::split_whitespace);
    let own = own.map(|path| path.trim_start_matches(['-', '+']).to_owned());
    let hit = |path: String| {
        (
            format!("may write `{path}`, where its code lies"),
            "let it write below `{state}`: what is written must not be what is run",
        )
    };
    let code = [case.app.layout.opt(), "/usr".to_owned(), "/etc".to_owned()];
    let code = |path: &String| path == "/" || code.iter().any(|dir| covers(path, dir));
    listed.chain(own).filter(code).map(hit).collect()
}

pub(super) fn home_path(case: &Case<'_>) -> Vec<Hit> {
    if case.shape.allows("home") || case.directive("ProtectHome").is_some() {
        return Vec::new();
    }
    let service = case.service;
    let words = service
        .exec
        .iter()
        .chain(service.exec_start_pre.iter().flatten());
    let words = words.map(Text::as_str);
    let words = words.chain([service.working_directory.as_str()]);
    let home = |word: &&str| ["/home/", "/root/"].iter().any(|dir| word.starts_with(dir));
    let hit = |word: &str| {
        (
            format!("uses `{word}`, and sees no home directories"),
            "put it into the release; `allow = [\"home\"]` makes homes readable",
        )
    };
    words.filter(home).map(hit).collect()
}
