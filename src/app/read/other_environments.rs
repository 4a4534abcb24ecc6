//! Addresses and host names that belong to another environment of the same manifest.

use crate::app::application::Foreign;
use crate::app::listen::Listen;
use crate::manifest::{Layers, Manifest};
use std::collections::{BTreeMap, BTreeSet};

/// What belongs to the other environments of a manifest, and not to this one.
pub(super) fn foreign(
    manifest: &Manifest,
    own: &Manifest,
    environment: Option<&str>,
) -> Vec<Foreign> {
    let names = manifest.environment.keys().map(|name| Some(name.as_str()));
    let others = names.chain([None]).filter(|name| *name != environment);
    let mut out = Vec::new();
    for name in others {
        // A mistake of another environment shows when it is deployed.
        let Ok(other) = Layers::new(manifest, name, None).resolved(true) else {
            continue;
        };
        let mut texts = addresses(&other);
        texts.extend(hosts_of(&other, own));
        for text in texts.difference(&addresses(own)) {
            out.push(Foreign {
                environment: name.map(str::to_owned),
                text: text.clone(),
            });
        }
    }
    out
}

/// Where clients reach the services of a manifest. Addresses with placeholders differ by themselves.
fn addresses(manifest: &Manifest) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let texts = manifest
        .service
        .values()
        .flat_map(|service| &service.listen);
    for text in texts.filter(|text| !text.contains('{')) {
        let address = match text.split_once('=') {
            Some((name, address)) if !name.contains([':', '/']) => address,
            _ => text,
        };
        match Listen::parse(address) {
            Ok(Listen::Unix(path)) => drop(out.insert(path.to_string())),
            Ok(listen) => {
                let address = listen.local_address();
                out.extend(address.map(|address| address.to_string()));
                let port = address.filter(|address| address.ip().is_loopback());
                out.extend(port.map(|address| format!("localhost:{}", address.port())));
            }
            Err(_) => {}
        }
    }
    out
}

/// The host names in variables of the other environment for which this one has another host name.
fn hosts_of(other: &Manifest, own: &Manifest) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (name, service) in &other.service {
        let Some(own_service) = own.service.get(name) else {
            continue;
        };
        let own_env: BTreeMap<_, _> = own.env.iter().chain(&own_service.env).collect();
        for (variable, value) in other.env.iter().chain(&service.env) {
            let Some(own_value) = own_env.get(variable) else {
                continue;
            };
            let own_hosts = hosts(own_value);
            let differs = hosts(value)
                .into_iter()
                .filter(|host| !own_hosts.contains(host));
            out.extend(differs.filter(|_| !own_hosts.is_empty()));
        }
    }
    out
}

/// The host names of the URLs in a text.
fn hosts(text: &str) -> BTreeSet<String> {
    let after = text.split("://").skip(1);
    let host = |rest: &str| {
        let end = rest
            .find(|c: char| " /?#\"',;}]".contains(c))
            .unwrap_or(rest.len());
        let authority = rest.get(..end)?;
        let host = authority.rsplit('@').next()?;
        let host = host.split(':').next()?;
        let is_name = host.contains('.') && host.contains(|c: char| c.is_ascii_alphabetic());
        (is_name && !host.contains('{')).then(|| host.to_owned())
    };
    after.filter_map(host).collect()
}
