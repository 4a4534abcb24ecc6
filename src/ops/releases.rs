//! `releases`: the releases on this host. Works for any user.

use super::context::Context;
use super::select::PerApp;
use crate::app::Name;
use crate::error::Error;
use crate::store::PublicRelease;
use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

/// One release on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ListedRelease {
    /// The app's name, with its environment.
    pub(crate) app: String,
    /// Whether it is live.
    pub(crate) live: bool,
    /// What is recorded of it.
    #[serde(flatten)]
    pub(crate) release: PublicRelease,
}

/// The releases of every selected app, in the order in which they were staged.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when there is no such app.
pub(crate) fn run(ctx: &Context<'_>) -> Result<PerApp<Vec<ListedRelease>>, Error> {
    ctx.for_each_app(|name| releases(ctx, name))
}

fn releases(ctx: &Context<'_>, name: &Name) -> Result<Vec<ListedRelease>> {
    let store = ctx.store(name);
    let live = store.state()?.live;
    let mut list = Vec::new();
    for id in store.releases()? {
        if let Some(release) = store.public_release(&id)? {
            list.push(ListedRelease {
                app: name.to_string(),
                live: live.as_deref() == Some(&id),
                release,
            });
        }
    }
    list.sort_by(|a, b| a.release.staged.cmp(&b.release.staged));
    Ok(list)
}
