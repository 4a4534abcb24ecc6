//! The app that the package contains: [`BUNDLED_APP`]. An earlier version of the package called it `robot`,
//! which is now a name for any app.

use super::context::Context;
use crate::app::layout::VENDOR_DIR;
use crate::app::{Layout, Name};
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use crate::store::Store;
use anyhow::Result;

/// What the bundled app was called.
const EARLIER_NAME: &str = "robot";

impl Context<'_> {
    /// Refuses the bundled app while it is deployed under its earlier name: both have the same address.
    ///
    /// An app of that name that was not deployed from the package is another app. Only root can see that, and
    /// only root deploys.
    pub(super) fn check_no_earlier_bundled_app(&self) -> Result<()> {
        let Ok(name) = Name::parse(EARLIER_NAME) else {
            return Ok(());
        };
        let store = Store::new(&self.host.root, &Layout::new(&name));
        let live = store.state().ok().and_then(|state| state.live);
        let record = live.and_then(|live| store.release(&live).ok().flatten());
        let payload = format!("{VENDOR_DIR}/{EARLIER_NAME}/payload");
        if !record.is_some_and(|record| record.origin.ends_with(&payload)) {
            return Ok(());
        }
        let remove = CommandLine::sudo_robotctl(["--app", EARLIER_NAME, "remove", "--apply"]);
        Err(HintedError {
            message: format!(
                "an earlier version of the package deployed the bundled app as `{EARLIER_NAME}`, which still runs"
            ),
            hints: vec![
                Hint::to("remove it, then repeat the command", remove),
                "with `--purge`, this also deletes its settings and its last report".into(),
            ],
        }
        .into())
    }
}
