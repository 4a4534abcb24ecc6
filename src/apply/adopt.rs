//! A state that was lost is written down again.

use super::{About, Work};
use crate::model::Layout;

/// Writes down what is live when the record of that was lost, and `current` tells it. What cannot be
/// told or written is in nobody's way: whoever asks what is live is told again, or refused.
pub fn adopt(work: &Work<'_>, layout: &Layout) {
    let (Ok(None), Ok(state)) = (work.book.recorded(), work.book.state()) else {
        return;
    };
    let Some(live) = &state.live else {
        return;
    };
    let (about, current) = (About::release(live), layout.current());
    match work.book.set_state(&state) {
        Ok(()) => {
            let text = format!("{live} is recorded as live again, as `{current}` says");
            work.tell("warning", "adopted", about, &text);
        }
        Err(error) => {
            let text = format!("{live} is live, as `{current}` says, and not recorded: {error:#}");
            work.tell("warning", "not-adopted", about, &text);
        }
    }
}
