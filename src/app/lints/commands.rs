//! Commands that behave differently in a unit than in a shell.

use super::case::{Case, Message};
use crate::app::names::Text;
use crate::app::service::{Socket, Type};

pub(super) fn wrapped_socket(case: &Case<'_>) -> Vec<Message> {
    let activated = case.service.has_socket_unit() && case.service.socket == Socket::Activate;
    let message = |name| {
        (
            format!(
                "starts `{name}` first, and only that process gets the listening socket (LISTEN_PID)"
            ),
            "write the server itself as `exec`, such as `{current}/.venv/bin/gunicorn`",
        )
    };
    case.wrapper()
        .filter(|_| activated)
        .map(message)
        .into_iter()
        .collect()
}

pub(super) fn wrapper(case: &Case<'_>) -> Vec<Message> {
    let activated = case.service.has_socket_unit() && case.service.socket == Socket::Activate;
    let job = case.service.kind == Type::Oneshot;
    let message = |name| {
        (
            format!("is started by `{name}`, which receives its signals"),
            "write the program itself as `exec`, or replace the shell: `exec program`",
        )
    };
    let wrapper = case.wrapper().filter(|_| !activated && !job);
    wrapper.map(message).into_iter().collect()
}

pub(super) fn unexpanded(case: &Case<'_>) -> Vec<Message> {
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
    let message = |word: &Text| {
        (
            format!("gets `{word}` literally: `$` is not expanded in a command"),
            "write the value, or let the program read the variable from its environment",
        )
    };
    case.service
        .exec
        .iter()
        .filter(variable)
        .map(message)
        .collect()
}

/// `H11Protocol.shutdown` closes every connection on which it has read no request. If the request is
/// there but unread, the client sees a reset.
pub(super) fn uvicorn_stops(case: &Case<'_>) -> Vec<Message> {
    let service = case.service;
    let mut words = service.exec.iter();
    let runs = words.any(|word| word.as_str().rsplit('/').next() == Some("uvicorn"));
    if !runs || service.socket != Socket::Activate || service.listen.is_empty() {
        return Vec::new();
    }
    vec![(
        "runs Uvicorn, which resets connections that it has just accepted when it stops".to_owned(),
        "write `socket = \"proxy\"` and pass it `--port`: the proxy loses no connection",
    )]
}
