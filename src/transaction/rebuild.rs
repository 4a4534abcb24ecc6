//! Saving a state again that was lost.

use crate::app::Layout;
use crate::events::Subject;
use crate::session::Session;

/// What became of a lost state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateRebuild {
    /// The state was not lost, or nothing shows what it was.
    NotNeeded,
    /// It is saved again.
    Written,
    /// It could not be saved.
    Failed,
}

/// Saves the state again when the file was lost and `current` shows what is live. When it cannot be
/// saved, every command reconstructs it again.
pub(crate) fn rebuild_state(session: &Session<'_>, layout: &Layout) -> StateRebuild {
    let (Ok(None), Ok(state)) = (session.store.saved_state(), session.store.state()) else {
        return StateRebuild::NotNeeded;
    };
    let Some(live) = &state.live else {
        return StateRebuild::NotNeeded;
    };
    let (subject, current) = (Subject::release(live), layout.current());
    match session.store.set_state(&state) {
        Ok(()) => {
            let text = format!("{live} is recorded as live again, because `{current}` names it");
            session.emit("warning", "state-rebuilt", subject, &text);
            StateRebuild::Written
        }
        Err(error) => {
            let text =
                format!("{live} is live according to `{current}`, but not recorded: {error:#}");
            session.emit("warning", "state-not-rebuilt", subject, &text);
            StateRebuild::Failed
        }
    }
}
