//! Starting units of the live release. Nothing has to be undone: a start that fails leaves what is up as it is.

use super::activate::activate_units;
use super::health::check_health;
use super::operation::Operation;
use crate::app::App;
use crate::failure::Failure;
use crate::health::Proof;
use crate::plan::{Action, Plan};
use crate::session::Session;
use crate::settings::StartedServices;
use anyhow::Result;

/// Starts the units that a plan starts, and checks their services. The inner error says what is wrong with them.
///
/// # Errors
/// When the state cannot be read or systemd cannot be asked.
pub(crate) fn start(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    proof: &Proof,
) -> Result<Result<(), Failure>> {
    let state = session.store.state()?;
    let settings = StartedServices::before(session.host, &app.layout);
    // With what it wants, it would also start services that this plan leaves down.
    let target = app.target_unit();
    let mut plan = plan.clone();
    if let Some(unit) = plan.units.iter_mut().find(|one| one.unit == target)
        && unit.action.starts()
    {
        session.host.systemd.start_alone(&[target])?;
        unit.action = Action::Unchanged;
    }
    let plan = &plan;
    let started = match activate_units(session, plan, app, &[]) {
        Ok(()) => check_health(session, plan, app, &state, &Operation::Restart, proof)?.map(drop),
        Err(error) => Err(Failure::of(&error)),
    };
    if let Some(settings) = settings {
        // Without a record, the times of the files and of the starts decide.
        let _ = settings.record(session.host, app);
    }
    Ok(started)
}
