//! What single runtimes do that a unit cannot mend.

use super::Case;
use crate::app::Socket;

/// `H11Protocol.shutdown` closes every connection without a request, so also one whose request
/// lies unread: its client sees a reset.
pub(super) fn uvicorn_stops(case: &Case<'_>) -> Vec<(String, &'static str)> {
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
