//! sysusers.d(5): the users and groups of an app.

use crate::app::{App, Name};
use anyhow::Result;
use askama::Template;
use std::collections::BTreeSet;

#[derive(Template)]
#[template(path = "sysusers.conf", config = "packaging/askama.toml")]
struct Sysusers<'a> {
    app: &'a str,
    state: String,
    users: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
}

pub(super) fn sysusers(app: &App) -> Result<String> {
    let services = app.services.iter();
    let users = services.clone().map(|service| &service.user);
    let users = users.chain([&app.user]).map(Name::as_str);
    let users: BTreeSet<&str> = users.filter(|user| *user != "root").collect();
    let own = services.clone().map(|service| &service.group);
    let groups = services.flat_map(|service| &service.groups);
    let groups = groups.chain(&app.release.reader_group);
    let own = own.chain([&app.group]).map(Name::as_str);
    // The group of a user is created with the user.
    let own = own.filter(|group| *group != "root" && !users.contains(group));
    let conf = Sysusers {
        app: app.name.as_str(),
        state: app.layout.state(),
        groups: groups.map(Name::as_str).chain(own).collect(),
        users,
    };
    Ok(conf.render()?)
}
