//! Which services a plan restarts although the release stays the same.

use robotctl::app::{App, Target};
use robotctl::manifest;
use robotctl::plan::{Action, Candidate, LiveRelease, Observed, Plan, plan};
use robotctl::render::render;
use std::collections::BTreeMap;

const MANIFEST: &str = r#"
[app]
name = "shop"
version = "1.0"
[service.core]
exec = ["{current}/core"]
[service.web]
exec = ["{current}/web"]
listen = ["127.0.0.1:8080"]
requires = ["core"]
[service.gate]
exec = ["{current}/gate"]
listen = ["127.0.0.1:8081"]
socket = "proxy"
[service.other]
exec = ["{current}/other"]
after = ["core"]
[service.job]
exec = ["{current}/job"]
timer = { calendar = "daily" }
"#;

const UNITS: [&str; 8] = [
    "shop-core.service",
    "shop-web.socket",
    "shop-web.service",
    "shop-gate.socket",
    "shop-gate.service",
    "shop-gate-proxy.service",
    "shop-other.service",
    "shop-job.service",
];

/// The plan for the release that is live, with changed settings of some units.
fn plan_with(stale: &[&str], active: &[&str]) -> Plan {
    let manifest = manifest::parse(MANIFEST).expect("a manifest");
    let app = || App::from_manifest(&manifest, None).expect("an app");
    let (old, new) = (app(), app());
    let tree = render(&new, Target::Portable).expect("a tree");
    let stale = stale.iter();
    let observed = Observed {
        files: tree
            .iter()
            .map(|(path, it)| (path.into(), it.clone()))
            .collect(),
        live: Some(LiveRelease {
            id: "1.0-0123456789ab".into(),
            origin: "/srv/shop".into(),
            tree: tree.clone(),
            app: old,
            payload: None,
        }),
        active: active.iter().map(|unit| (*unit).to_owned()).collect(),
        stale: stale
            .map(|unit| ((*unit).to_owned(), "`LOG`".to_owned()))
            .collect(),
        ..Observed::default()
    };
    let candidate = Candidate {
        id: "1.0-0123456789ab",
        app: &new,
        tree: &tree,
        payload: None,
    };
    plan(&candidate, &observed)
}

/// The units that change, with the action and the reason.
fn changed(plan: &Plan) -> BTreeMap<&str, (Action, &str)> {
    let units = plan.units.iter();
    let changed = units.filter(|unit| unit.action != Action::Unchanged);
    changed
        .map(|unit| (unit.unit.as_str(), (unit.action, unit.why.as_str())))
        .collect()
}

const SETTINGS: &str = "settings changed: `LOG`";

#[test]
fn changed_settings_restart_a_service_and_what_requires_it() {
    let unchanged = plan_with(&[], &UNITS);
    assert!(unchanged.is_empty());
    let plan = plan_with(&["shop-core.service"], &UNITS);
    assert!(!plan.is_empty());
    let required = "requires `core`, which restarts";
    assert_eq!(
        changed(&plan),
        [
            ("shop-core.service", (Action::Restart, SETTINGS)),
            ("shop-web.service", (Action::Overlap, required)),
        ]
        .into()
    );
    // Other settings make another plan.
    assert_ne!(
        plan.hash(),
        plan_with(&["shop-other.service"], &UNITS).hash()
    );
}

#[test]
fn a_proxy_restarts_with_a_server_whose_settings_have_changed() {
    let plan = plan_with(&["shop-gate.service"], &UNITS);
    let proxy = "restarts with its server";
    assert_eq!(
        changed(&plan),
        [
            ("shop-gate.service", (Action::Overlap, SETTINGS)),
            ("shop-gate-proxy.service", (Action::Restart, proxy)),
        ]
        .into()
    );
}

#[test]
fn a_service_that_does_not_run_and_a_job_are_left_alone() {
    let stale = ["shop-core.service", "shop-job.service"];
    assert!(plan_with(&stale, &["shop-job.service"]).is_empty());
}
