//! What the attempts gave, and what that shows.

use super::groups::Group;
use super::missing::missing;
use super::plan::Planned;
use crate::host::Host;
use crate::sandbox::probes::{Evidence, ProbeResult, ProbedSandbox, Status, Tried, judge};
use crate::units::UNIT_DIR;
use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// What each attempt gave, from the report of a unit: the words of all in their order.
pub(super) fn by_attempt(attempts: Vec<String>, report: &str) -> Result<BTreeMap<String, Tried>> {
    let words: Vec<&str> = report.split_whitespace().collect();
    if words.len() != attempts.len() {
        let (found, count) = (words.len(), attempts.len());
        bail!("the probe reported {found} results instead of {count}");
    }
    let tried = words.iter().map(|word| Tried::parse(word));
    Ok(attempts.into_iter().zip(tried).collect())
}

/// The results of a group.
pub(super) fn results(
    host: &Host,
    group: &Group,
    planned: &[Planned],
    tried: &BTreeMap<String, Tried>,
    controls: &BTreeMap<String, Tried>,
    drop_ins: &[DropIn],
) -> ProbedSandbox {
    let service = &group.subject.service;
    let result = |one: &Planned| {
        let probe = one.probe;
        let attempt = one.attempt.as_deref().unwrap_or_default();
        let drop_ins = drop_ins.iter().filter(|it| group.units.contains(&it.unit));
        let set_by: Vec<String> = drop_ins
            .filter(|it| it.sets_one_of(probe.directives))
            .map(|it| it.path.clone())
            .collect();
        let is_raw = |name: &&&str| {
            let mut raw = service.sandbox.directives.iter();
            raw.any(|(known, _)| known == **name)
        };
        let evidence = Evidence {
            sandboxed: tried.get(attempt).copied().unwrap_or(Tried::Unknown),
            control: controls.get(attempt).copied().unwrap_or(Tried::Unknown),
            raw_directive: probe.directives.iter().find(is_raw).copied(),
            is_changed: !set_by.is_empty(),
        };
        let (status, why) = judge(probe, one.expected, &evidence, || missing(host, probe));
        let impossible = one.attempt.as_ref().err().map(|why| (*why).to_owned());
        ProbeResult {
            id: probe.id,
            what: probe.what,
            directives: probe.directives.to_vec(),
            status,
            why: impossible
                .filter(|_| status == Status::NotTested)
                .unwrap_or(why),
            set_by,
        }
    };
    ProbedSandbox {
        units: group.units.clone(),
        user: service.user.to_string(),
        results: planned.iter().map(result).collect(),
        failure: None,
    }
}

/// A drop-in that robotctl did not generate.
pub(super) struct DropIn {
    unit: String,
    path: String,
    text: String,
}

impl DropIn {
    fn sets_one_of(&self, directives: &[&str]) -> bool {
        let mut names = self.text.lines().filter_map(|line| line.split_once('='));
        names.any(|(name, _)| directives.contains(&name.trim()))
    }
}

/// The drop-ins of the administrator for the units of groups.
pub(super) fn administrators_drop_ins(host: &Host, groups: &[Group]) -> Result<Vec<DropIn>> {
    let units: Vec<String> = groups.iter().flat_map(|one| one.units.clone()).collect();
    let mut found = Vec::new();
    for (unit, state) in units.iter().zip(host.systemd.show(&units)?) {
        let others = state.drop_in_paths.into_iter();
        for path in others.filter(|path| !path.starts_with(UNIT_DIR)) {
            if let Some(text) = host.root.read_text(&path)? {
                let unit = unit.clone();
                found.push(DropIn { unit, path, text });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{DropIn, Tried, by_attempt};

    #[test]
    fn a_drop_in_that_sets_a_directive_is_found() {
        for (text, expected) in [
            ("[Service]\nPrivateIPC = no\n", true),
            ("[Service]\n# PrivateIPC=no\nPrivateTmp=no\n", false),
        ] {
            let drop_in = DropIn {
                unit: "a.service".to_owned(),
                path: "/etc/a.conf".to_owned(),
                text: text.to_owned(),
            };
            assert_eq!(drop_in.sets_one_of(&["PrivateIPC"]), expected, "{text}");
        }
    }

    #[test]
    fn a_report_has_a_result_for_each_attempt() {
        let attempts = || vec!["ptrace".to_owned(), "bind".to_owned()];
        let tried = by_attempt(attempts(), "117 ok").unwrap();
        assert_eq!(tried["ptrace"], Tried::Failed(nix::errno::Errno::EUCLEAN));
        assert_eq!(tried["bind"], Tried::Succeeded);
        assert!(by_attempt(attempts(), "ok").is_err());
    }
}
