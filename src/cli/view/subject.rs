//! What a line of data is about.

use crate::ops::Context;

/// What a line of data is about: the common fields of its envelope.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct DataSubject {
    /// The app's name, with its environment.
    pub(in crate::cli) app: Option<String>,
    /// The environment in that name.
    pub(in crate::cli) environment: Option<String>,
    /// A release's id.
    pub(in crate::cli) release: Option<String>,
    /// A unit's name.
    pub(in crate::cli) unit: Option<String>,
}

impl DataSubject {
    /// An app, in the environment that the command names or that the app was deployed with.
    pub(in crate::cli) fn app(ctx: &Context<'_>, app: &str) -> Self {
        Self {
            app: Some(app.to_owned()),
            environment: ctx.environment_of(app),
            ..Self::default()
        }
    }

    /// An app and its live release.
    pub(in crate::cli) fn live(ctx: &Context<'_>, app: &str) -> Self {
        Self::app(ctx, app).of_release(ctx.live_release_of(app).as_deref())
    }

    /// A release of the app.
    pub(in crate::cli) fn of_release(mut self, release: Option<&str>) -> Self {
        self.release = release.map(str::to_owned);
        self
    }

    /// A unit, of the app if one is named.
    pub(in crate::cli) fn of_unit(mut self, unit: &str) -> Self {
        self.unit = Some(unit.to_owned());
        self
    }
}
