//! The installer: the only stage that changes a host.
//!
//! Every change follows one order. The journal is written before the first visible change and
//! names, for each of them, how to undo it; the state gets its name after the last, and is the
//! commit. A killed run is ended by [`recover`], in the old state or the new one, never between.

mod accounts;
mod activate;
mod clean_up;
mod commit;
mod health;
pub mod hooks;
mod observe;
mod ownership;
mod precheck;
mod preflight;
mod prune;
mod rebuild;
mod recover;
mod remove;
pub mod soak;
mod switch;

pub use accounts::accounts;
pub use activate::wait_for;
pub use clean_up::clean_up;
pub use observe::observe;
pub use ownership::{check_new_app_ownership, check_ownership};
pub use precheck::precheck;
pub use preflight::{future_programs, preflight, prepare_secrets, programs, space, verify_units};
pub use prune::{Pruned, previous, prune};
pub use rebuild::{StateRebuild, rebuild_state};
pub use recover::{Interrupted, Recovered, RecoveryMode, recover};
pub use remove::{REMOVAL, Removal, left, removal, remove};

use crate::app::App;
use crate::app::layout::UNIT_DIR;
use crate::error::HintedError;
use crate::events::Subject;
use crate::host::{self, Host, UnitState};
use crate::plan::{Action, Plan};
use crate::session::Session;
use crate::store::{FORMAT, Journal, Step, UnitChanges};
use crate::tree::FileTree;
use anyhow::{Result, anyhow};
use commit::{RevertOutcome, close, commit, finish_back, revert_change};
use health::{UnhealthyAfterSwitch, daemons};

/// How a change ended.
#[derive(Debug)]
pub enum Outcome {
    /// The new release is live and healthy.
    Done,
    /// It was not healthy: the host is as before.
    RevertOutcome {
        /// What was wrong with it.
        why: String,
        /// What is wrong with what is back, if anything is: a person is needed.
        degraded: Option<String>,
    },
    /// It was not healthy and could not be put back: the journal is still there, and `recover`
    /// goes on.
    Stuck {
        /// What was wrong with it.
        why: String,
        /// Why it could not be put back.
        wrong: String,
    },
    /// The new release is live and healthy, and that could not be written down: the journal is
    /// still there, and `recover` goes forward.
    Unrecorded(String),
}

/// Which command makes the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A release goes live on top of the one before.
    Deploy,
    /// An earlier release comes back: those after it are left behind.
    Rollback,
    /// One service alone goes to a release and stays there until the next deploy.
    Pin {
        /// Its short name.
        service: String,
        /// The release.
        release: String,
    },
}

impl Operation {
    /// As the journal and messages name it.
    fn word(&self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback | Self::Pin { .. } => "rollback",
        }
    }
}

/// Takes the host to the plan's release: journal, switch, activate, verify, commit.
///
/// # Errors
/// When nothing was changed. Once the journal is there, every failure is put back and comes as
/// [`Outcome::RevertOutcome`].
pub fn apply(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    tree: &FileTree,
    operation: &Operation,
) -> Result<Outcome> {
    for path in [&app.layout.opt(), UNIT_DIR] {
        if session.host.root.is_read_only(path)? {
            return Err(HintedError::new(
                format!("the file system of `{path}` is read-only"),
                "mount it for writing: mount -o remount,rw".to_owned(),
            )
            .into());
        }
    }
    let mut journal = journal(session, plan, app, operation)?;
    if *operation != Operation::Deploy {
        session.store.release_reserve();
    }
    // It may be there although it failed; nothing has changed, so there is nothing to undo.
    let change = session.store.begin(&journal);
    let change = change.inspect_err(|_| drop(session.store.clear_journal()))?;
    let forward = || forward(session, plan, app, tree, &journal, operation);
    let outcome = match operation {
        // Whoever leaves a release behind wants to be away from it, not back.
        Operation::Rollback | Operation::Pin { .. } => forward(),
        Operation::Deploy => host::interruptible(|| {
            forward().map_err(|error| match host::interrupted() {
                true => anyhow!("it was interrupted"),
                false => error,
            })
        }),
    };
    match outcome.and_then(|()| change.commit()) {
        Ok(committed) => Ok(
            match committed.end().and_then(|()| close(session, &journal)) {
                Ok(()) => Outcome::Done,
                Err(error) => Outcome::Unrecorded(format!("{error:#}")),
            },
        ),
        Err(failure) => {
            let why = format!("{failure:#}");
            session.emit("error", "failed", Subject::release(&plan.to), &why);
            let blamed = failure.is::<UnhealthyRelease>();
            Ok(
                match revert_change(session, &mut journal, blamed.then_some(why.as_str())) {
                    RevertOutcome::Healthy => Outcome::RevertOutcome {
                        why,
                        degraded: None,
                    },
                    RevertOutcome::UnhealthyAfterSwitch(wrong) => Outcome::RevertOutcome {
                        why,
                        degraded: Some(wrong),
                    },
                    RevertOutcome::Stuck(wrong) => Outcome::Stuck { why, wrong },
                },
            )
        }
    }
}

/// Everything that the change will do, with how to undo it.
fn journal(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    operation: &Operation,
) -> Result<Journal> {
    let (host, state) = (session.host, session.store.state()?);
    let named = |wanted: &[Action]| -> Vec<String> {
        let units = plan
            .units
            .iter()
            .filter(|unit| wanted.contains(&unit.action));
        units.map(|unit| unit.unit.clone()).collect()
    };
    let mut after = state
        .clone()
        .after(&plan.to, *operation == Operation::Rollback);
    match operation {
        Operation::Pin { service, release } => {
            after.pins.insert(service.clone(), release.clone());
        }
        Operation::Deploy | Operation::Rollback => after.pins.clear(),
    }
    if state.live != after.live {
        after.since = Some(host::now().to_string());
    }
    after.change = Some(session.trace.clone());
    // To start what runs does nothing: to stop it would not undo that.
    let mut started = named(&[Action::Start]);
    let release_before = running(host, started.clone())?;
    started.retain(|unit| !release_before.contains(unit));
    Ok(Journal {
        format: FORMAT,
        trace_id: session.trace.clone(),
        operation: operation.word().to_owned(),
        step: Step::Switching,
        from: plan.from.clone(),
        // What it says before a first deploy: going back puts it there again.
        link: match &plan.from {
            Some(_) => None,
            None => session.store.link()?,
        },
        to: Some(plan.to.clone()),
        files: plan.files.clone(),
        units: UnitChanges {
            stopped: running(host, named(&[Action::Stop]))?,
            started,
            restarted: named(&[Action::Restart, Action::Overlap, Action::Rebind]),
            rebound: named(&[Action::Rebind]),
            standins: activate::standins(plan, app),
        },
        purge: false,
        state_before: state,
        state_after: after,
    })
}

/// Those of the units that run, and so are to run again if the change is taken back: never a job
/// that waits for its timer, or is under way, nor what the administrator has stopped.
fn running(host: &Host, mut units: Vec<String>) -> Result<Vec<String>> {
    let states = host.systemd.show(&units)?;
    let mut active = states.iter().map(UnitState::is_active);
    units.retain(|_| active.next().unwrap_or(false));
    Ok(units)
}

/// From the journal to a healthy new release.
fn forward(
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    tree: &FileTree,
    journal: &Journal,
    operation: &Operation,
) -> Result<()> {
    let host = session.host;
    let stops = plan.units.iter().filter(|one| one.action == Action::Stop);
    let stops: Vec<String> = stops.map(|one| one.unit.clone()).collect();
    host.systemd.stop(&stops)?;
    switch::files_forward(host, journal)?;
    switch::configure(host, app, tree, plan)?;
    // One that failed while it was stopped would be listed for ever, without a file.
    host.systemd.reset_failed(&stops);
    if *operation == Operation::Deploy {
        hooks::first(session, plan, app).map_err(blame_release)?;
    }
    activate::before_switch(session, plan, app).map_err(blame_release)?;
    switch::link(host, &app.layout, Some(&plan.to))?;
    session.emit(
        "info",
        "switched",
        Subject::release(&plan.to),
        &format!("`current` points at {}", plan.to),
    );
    activate::after_switch(session, plan, app).map_err(blame_release)?;
    if *operation == Operation::Deploy {
        hooks::after(session, plan, app).map_err(blame_release)?;
    }
    if host.is_offline() {
        return Ok(());
    }
    health::check_health(session, plan, app, &journal.state_after.pins, operation)
}

/// A failure that is the release's fault and not the host's: only such a one marks it as bad.
#[derive(Debug)]
struct UnhealthyRelease(anyhow::Error);

impl std::fmt::Display for UnhealthyRelease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for UnhealthyRelease {}

fn blame_release(error: anyhow::Error) -> anyhow::Error {
    anyhow::Error::new(UnhealthyRelease(error))
}
