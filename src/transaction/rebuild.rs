//! A state that was lost is written down again.

use crate::app::Layout;
use crate::events::Subject;
use crate::session::Session;

/// What became of a state that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateRebuild {
    /// It was not, or nothing tells of it.
    Nothing,
    /// It is written again.
    Written,
    /// It could not be written.
    Failed,
}

/// Writes down what is live when the record of that was lost, and `current` tells it. What cannot be
/// told or written is in nobody's way: whoever asks what is live is told again, or refused.
pub fn rebuild_state(session: &Session<'_>, layout: &Layout) -> StateRebuild {
    let (Ok(None), Ok(state)) = (session.store.saved_state(), session.store.state()) else {
        return StateRebuild::Nothing;
    };
    let Some(live) = &state.live else {
        return StateRebuild::Nothing;
    };
    let (about, current) = (Subject::release(live), layout.current());
    match session.store.set_state(&state) {
        Ok(()) => {
            let text = format!("{live} is recorded as live again, as `{current}` says");
            session.emit("warning", "adopted", about, &text);
            StateRebuild::Written
        }
        Err(error) => {
            let text = format!("{live} is live, as `{current}` says, and not recorded: {error:#}");
            session.emit("warning", "not-adopted", about, &text);
            StateRebuild::Failed
        }
    }
}
