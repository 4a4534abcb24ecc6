//! How tests are registered.

use crate::fixture::{Fixture, Host};

/// Registers test functions of the current module: `tests![KIND: NAME, NAME];`, where a kind is a
/// variant of [`Run`].
///
/// An unregistered test function is dead code, which does not compile here.
macro_rules! tests {
    ($kind:ident: $($name:ident),+ $(,)?) => {
        $(inventory::submit! {
            $crate::registry::Test {
                path: concat!(module_path!(), "::", stringify!($name)),
                run: $crate::registry::Run::$kind($name),
            }
        })+
    };
}

/// One test. It returns a failure as an error.
pub(crate) struct Test {
    pub(crate) path: &'static str,
    pub(crate) run: Run,
}

inventory::collect!(Test);

/// What a test runs on.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// The fixture, with hosts for several workers. It returns what was tested.
    Suite(fn(&Fixture) -> Result<String, String>),
    /// One empty host.
    Case(fn(&Host<'_>) -> Result<(), String>),
}

impl Test {
    /// The module and the name: `power_cuts::recovery_works_after_power_cuts`.
    pub(crate) fn name(&self) -> &'static str {
        self.path
            .split_once("::")
            .map_or(self.path, |(_, rest)| rest)
    }

    /// Runs the test and returns what was tested.
    pub(crate) fn run(&self, fixture: &Fixture) -> Result<String, String> {
        match self.run {
            Run::Suite(suite) => suite(fixture).map(|tried| format!(": {tried}")),
            Run::Case(case) => case(&fixture.host("case", 0)).map(|()| String::new()),
        }
    }
}

/// Every registered test, by name.
pub(crate) fn all() -> Vec<&'static Test> {
    let mut all: Vec<&Test> = inventory::iter::<Test>.into_iter().collect();
    all.sort_unstable_by_key(|test| test.name());
    all
}
