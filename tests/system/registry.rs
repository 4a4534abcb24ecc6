//! How tests are registered, and which of them run where.

use crate::machine::Machine;

/// Registers test functions of the current module: `tests![KIND: NAME, NAME];`.
///
/// An unregistered test function is dead code, which does not compile here.
macro_rules! tests {
    ($kind:ident: $($name:ident),+ $(,)?) => {
        $(inventory::submit! {
            $crate::registry::Test {
                path: concat!(module_path!(), "::", stringify!($name)),
                kind: $crate::registry::Kind::$kind,
                run: $name,
            }
        })+
    };
}

/// One test.
pub struct Test {
    pub path: &'static str,
    pub kind: Kind,
    pub run: fn(&Machine),
}

inventory::collect!(Test);

/// What a test needs, and when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Takes half a minute or more. Starts early, so that all threads end at about the same time.
    Slow,
    /// The same, on a machine without robotctl.
    Bare,
    /// Upgrades a real server under load. Short by default, long with `--full`.
    Load,
    /// Takes seconds.
    Quick,
    /// Measures under load, and decides nothing that a change must pass. Only with `--full`.
    Comparison,
    /// The same, and compares times: no other test runs meanwhile. Only with `--full`.
    Alone,
}

impl Test {
    /// The module and the name: `rollback::rollback_by_name_and_twice`.
    pub fn name(&self) -> &'static str {
        self.path
            .split_once("::")
            .map_or(self.path, |(_, rest)| rest)
    }

    /// Whether only `--full` runs it.
    pub fn only_full(&self) -> bool {
        matches!(self.kind, Kind::Comparison | Kind::Alone)
    }
}

/// Every registered test, in the order in which they start.
pub fn all() -> Vec<&'static Test> {
    let mut all: Vec<&Test> = inventory::iter::<Test>.into_iter().collect();
    all.sort_unstable_by_key(|test| (test.kind, test.name()));
    all
}
