//! Commands that do not do in a unit what they do in a shell.

use super::case::{Case, Hit};
use crate::app::names::Text;
use crate::app::service::{Socket, Type};

pub(super) fn wrapped_socket(case: &Case<'_>) -> Vec<Hit> {
    let activated = case.service.has_socket_unit() && case.service.socket == Socket::Activate;
    let hit = |name| {
        (
            format!(
                "starts `{name}` first: the listening socket is meant for that process alone (LISTEN_PID)"
            ),
            "write the server itself as `exec`, such as `{current}/.venv/bin/gunicorn`",
        )
    };
    case.wrapper()
        .filter(|_| activated)
        .map(hit)
        .into_iter()
        .collect()
}

pub(super) fn wrapper(case: &Case<'_>) -> Vec<Hit> {
    let activated = case.service.has_socket_unit() && case.service.socket == Socket::Activate;
    let job = case.service.kind == Type::Oneshot;
    let hit = |name| {
        (
            format!("is started by `{name}`, which gets its signals"),
            "write the program itself as `exec`, or let the shell give way: `exec program`",
        )
    };
    let wrapper = case.wrapper().filter(|_| !activated && !job);
    wrapper.map(hit).into_iter().collect()
}

pub(super) fn unexpanded(case: &Case<'_>) -> Vec<Hit> {
    let shell = |name: &str| name.ends_with("sh");
    let program = case.service.exec.first().map_or("", |word| word.as_str());
    if shell(program.rsplit('/').next().unwrap_or_default()) {
        return Vec::new();
    }
    let variable = |word: &&Text| {
        let after = word.as_str().split('$').nth(1).unwrap_or_default();
        let name = after.trim_start_matches('{');
        name.starts_with(|c: char| c.is_ascii_uppercase())
    };
    let hit = |word: &Text| {
        (
            format!("gets `{word}` as it is: nothing expands `$` in a command"),
            "write the value, or let the program read the variable from its environment",
        )
    };
    case.service.exec.iter().filter(variable).map(hit).collect()
}

/// `H11Protocol.shutdown` closes every connection without a request, so also one whose request
/// lies unread: its client sees a reset.
pub(super) fn uvicorn_stops(case: &Case<'_>) -> Vec<Hit> {
    let service = case.service;
    let mut words = service.exec.iter();
    let runs = words.any(|word| word.as_str().rsplit('/').next() == Some("uvicorn"));
    if !runs || service.socket != Socket::Activate || service.listen.is_empty() {
        return Vec::new();
    }
    vec![(
        "runs Uvicorn, which resets connections that it has just accepted when it stops".to_owned(),
        "write `socket = \"proxy\"` and give it `--port`: the proxy loses none",
    )]
}
