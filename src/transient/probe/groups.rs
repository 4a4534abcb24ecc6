//! The services of an app, by their sandboxes.

use super::super::drop_ins::local_drop_ins;
use super::super::job::{probe_job, target};
use crate::app::{App, Name, Service, Socket};
use crate::host::Host;
use crate::render::{ReleaseMount, derive, probe as unit_files};
use anyhow::Result;

/// The drop-ins that make a sandbox. The others name commands and limits.
const OF_SANDBOX: [&str; 5] = [
    "10-hardening.conf",
    "15-runtime-dirs.conf",
    "20-paths.conf",
    "25-capabilities.conf",
    "40-directives.conf",
];

/// A service, and what its unit is made from.
pub(super) struct Subject {
    pub(super) service: Service,
    /// The unit of the service.
    pub(super) unit: String,
    is_proxy: bool,
}

impl Subject {
    /// The release that its sandbox shows.
    pub(super) fn mount(&self) -> ReleaseMount<'static> {
        match self.is_proxy {
            true => ReleaseMount::None,
            false => ReleaseMount::Current,
        }
    }
}

/// Services with the same sandbox.
pub(super) struct Group {
    /// One of them.
    pub(super) subject: Subject,
    /// The units of all.
    pub(super) units: Vec<String>,
    /// What makes their sandbox.
    texts: Vec<String>,
}

/// The services and proxies of an app, by their sandboxes.
pub(super) fn groups(host: &Host, app: &App) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for subject in subjects(app)? {
        let texts = texts(host, app, &subject)?;
        match groups.iter_mut().find(|group| group.texts == texts) {
            Some(group) => group.units.push(subject.unit),
            None => groups.push(Group {
                units: vec![subject.unit.clone()],
                subject,
                texts,
            }),
        }
    }
    Ok(groups)
}

fn subjects(app: &App) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for service in &app.services {
        subjects.push(Subject {
            unit: app.unit(service),
            service: service.clone(),
            is_proxy: false,
        });
        if service.socket == Socket::Proxy && service.has_socket_unit() {
            let proxy = derive::proxy(service)?;
            subjects.push(Subject {
                unit: app.unit(&proxy),
                service: proxy,
                is_proxy: true,
            });
        }
    }
    Ok(subjects)
}

/// What makes the sandbox of a service: user, groups, generated drop-ins and those of the administrator.
fn texts(host: &Host, app: &App, subject: &Subject) -> Result<Vec<String>> {
    let service = &subject.service;
    let job = probe_job(service, 0)?;
    let tree = unit_files(app, &job, target(host, app), subject.mount(), &[])?;
    let groups: Vec<&str> = service.groups.iter().map(Name::as_str).collect();
    let mut texts = vec![format!(
        "{} {} {}",
        service.user,
        service.group,
        groups.join(" ")
    )];
    let of_sandbox = tree.iter().filter(|(path, _)| {
        let name = path.rsplit('/').next().unwrap_or_default();
        OF_SANDBOX.contains(&name)
    });
    texts.extend(of_sandbox.map(|(_, entry)| entry.text()));
    let copies = local_drop_ins(host, app.name.as_str(), &subject.unit, &app.unit(&job))?;
    texts.extend(copies.iter().map(|(path, entry)| {
        // The first line names the service.
        let text = entry.text();
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        format!("{path}\n{rest}")
    }));
    Ok(texts)
}
