//! A plan is a promise: what it shows is what is done, and its hash names all of that.

use crate::offline::MANIFEST;
use robotctl::manifest;
use robotctl::model::{App, Target};
use robotctl::plan::{Action, Candidate, Live, Observed, Plan, plan};
use robotctl::render::render;

/// The plan of a new release of an app that runs, on a host that may lack the memory.
fn upgrade(tight: Option<&str>) -> Plan {
    let manifest = manifest::parse(MANIFEST).expect("a manifest");
    let app = || App::from_manifest(&manifest, None).expect("an app");
    let (old, new) = (app(), app());
    let tree = |app| render(app, Target::Portable).expect("a tree");
    let (before, after) = (tree(&old), tree(&new));
    let files = before.iter();
    let observed = Observed {
        files: files.map(|(path, it)| (path.into(), it.clone())).collect(),
        live: Some(Live {
            id: "1.0-0123456789ab".into(),
            tree: before,
            app: old,
            payload: None,
        }),
        active: ["shop-web.socket", "shop-web.service"]
            .map(String::from)
            .into(),
        tight: tight
            .map(|text| ("shop-web.service".to_owned(), text.to_owned()))
            .into_iter()
            .collect(),
        ..Observed::default()
    };
    let candidate = Candidate {
        id: "1.1-ba9876543210",
        app: &new,
        tree: &after,
        payload: None,
    };
    plan(&candidate, &observed)
}

#[test]
fn the_hash_of_a_plan_is_not_about_free_memory() {
    let texts = [
        "needed: 64 MiB, there: 40 MiB",
        "needed: 64 MiB, there: 39 MiB",
    ];
    let [one, two] = texts.map(|text| upgrade(Some(text)));
    let web = |plan: &Plan| {
        let unit = plan.units.iter().find(|it| it.unit == "shop-web.service");
        unit.expect("the service").clone()
    };
    assert_eq!(web(&one).action, Action::Restart);
    assert_eq!(one.hash(), two.hash());
    for (plan, text) in [(&one, texts[0]), (&two, texts[1])] {
        assert_eq!(plan.notes, [text]);
        assert!(plan.to_string().contains(&format!("\nnote: {text}\n")));
    }
    // Whether there is enough of it is another plan.
    let ample = upgrade(None);
    assert_eq!(web(&ample).action, Action::Overlap);
    assert_ne!(ample.hash(), one.hash());
    assert!(ample.notes.is_empty());
}
