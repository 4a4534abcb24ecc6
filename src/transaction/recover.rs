//! Ending an interrupted change: back to the old state, or forward to the new one when the state says
//! that it succeeded.
//!
//! Every step may be repeated, so that a crash during recovery changes nothing.

use super::commit::commit;
use super::interrupted::Interrupted;
use super::remove;
use super::revert::{
    RevertMode, begin_revert, finish_revert, has_succeeded, release_before, revert,
};
use crate::events::Subject;
use crate::session::Session;
use crate::store::Step;
use anyhow::Result;

/// How an interrupted change was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recovered {
    /// No change was interrupted.
    Nothing,
    /// The host is as before the change. The live release, if there is one.
    Old(Option<String>),
    /// The change had succeeded and was finished. The live release, if there is one.
    New(Option<String>),
}

/// What recovery does with units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecoveryMode {
    /// Restarts those that run the wrong release.
    Restart,
    /// Leaves them alone: the host is booting, and none runs.
    Boot,
}

/// Ends the change that the journal describes, if there is one.
///
/// # Errors
/// When the host cannot be put into either state. The journal is kept for the next try.
pub(crate) fn recover(session: &Session<'_>, mode: RecoveryMode) -> Result<Recovered, Interrupted> {
    end(session, mode).map_err(Interrupted)
}

fn end(session: &Session<'_>, mode: RecoveryMode) -> Result<Recovered> {
    let store = session.store;
    let Some(mut journal) = store.journal()? else {
        return Ok(Recovered::Nothing);
    };
    let text = format!("ending an interrupted change ({})", journal.operation);
    session.emit("warning", "recovering", Subject::default(), &text);
    // Files that the killed command had prepared take space that undoing the change may need.
    let _ = store.clean_up();
    store.release_reserve();
    match journal.step {
        Step::Removed => {
            remove::finish(session, &journal)?;
            Ok(Recovered::New(None))
        }
        Step::Switching if has_succeeded(store, &journal)? => {
            // The state was read, but it may not be on the disk yet. It must be there before the mark of
            // the release.
            store.set_state(&journal.state_after)?;
            commit(session, &journal)?;
            Ok(Recovered::New(journal.to))
        }
        Step::Switching | Step::Reverting => {
            begin_revert(session, &mut journal)?;
            let mode = match mode {
                RecoveryMode::Restart => RevertMode::Restart,
                RecoveryMode::Boot => RevertMode::FilesOnly,
            };
            revert(session, &journal, mode)?;
            finish_revert(session, &journal)?;
            Ok(Recovered::Old(release_before(session, &journal)))
        }
    }
}
