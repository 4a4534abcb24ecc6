//! How tests register themselves.

use crate::bench::{Bench, Place};

/// Registers test functions of the module that it stands in: `tests![KIND: NAME, NAME];`, where a
/// kind is a variant of [`Run`].
///
/// A test function that is not registered is dead code, which does not compile here.
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

/// One test, which gives what went wrong as an error.
pub(crate) struct Test {
    pub(crate) path: &'static str,
    pub(crate) run: Run,
}

inventory::collect!(Test);

/// What a test works on.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// The bench, with places for several workers; tells what was tried.
    Suite(fn(&Bench) -> Result<String, String>),
    /// One empty place.
    Case(fn(&Place<'_>) -> Result<(), String>),
}

impl Test {
    /// The module and the name: `power::cuts`.
    pub(crate) fn name(&self) -> &'static str {
        self.path
            .split_once("::")
            .map_or(self.path, |(_, rest)| rest)
    }

    /// Runs it, and gives what it tried.
    pub(crate) fn run(&self, bench: &Bench) -> Result<String, String> {
        match self.run {
            Run::Suite(suite) => suite(bench).map(|tried| format!(": {tried}")),
            Run::Case(case) => case(&bench.place("case", 0)).map(|()| String::new()),
        }
    }
}

/// Every registered test, by name.
pub(crate) fn all() -> Vec<&'static Test> {
    let mut all: Vec<&Test> = inventory::iter::<Test>.into_iter().collect();
    all.sort_unstable_by_key(|test| test.name());
    all
}
