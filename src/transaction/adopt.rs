//! A state that was lost is written down again.

use super::{Subject, Work};
use crate::app::Layout;

/// What became of a state that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// It was not, or nothing tells of it.
    Nothing,
    /// It is written again.
    Written,
    /// It could not be written.
    Failed,
}

/// Writes down what is live when the record of that was lost, and `current` tells it. What cannot be
/// told or written is in nobody's way: whoever asks what is live is told again, or refused.
pub fn adopt(work: &Work<'_>, layout: &Layout) -> Adopted {
    let (Ok(None), Ok(state)) = (work.book.recorded(), work.book.state()) else {
        return Adopted::Nothing;
    };
    let Some(live) = &state.live else {
        return Adopted::Nothing;
    };
    let (about, current) = (Subject::release(live), layout.current());
    match work.book.set_state(&state) {
        Ok(()) => {
            let text = format!("{live} is recorded as live again, as `{current}` says");
            work.tell("warning", "adopted", about, &text);
            Adopted::Written
        }
        Err(error) => {
            let text = format!("{live} is live, as `{current}` says, and not recorded: {error:#}");
            work.tell("warning", "not-adopted", about, &text);
            Adopted::Failed
        }
    }
}
