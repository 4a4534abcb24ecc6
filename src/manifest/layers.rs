//! What applies to each service: the manifest, the environment, and the overlay of a host, one above the other.
//!
//! | layer, the weakest first | written in |
//! |---|---|
//! | the app | `[env]` |
//! | the service | `[service.web]` |
//! | the environment | `[environment.staging]` |
//! | a service of the environment | `[environment.staging.service.web]` |
//! | the host | `robot.local.toml` |
//! | a service of the host | `[service.web]` in `robot.local.toml` |
//!
//! Tables merge key by key; any other value, such as a list, replaces that of a weaker layer. `/etc/<app>/env` is
//! above all layers: systemd reads it when a service starts.

use super::host_overlay::HostOverlay;
use super::problem::{Problem, Result, line_of_key};
use super::tables::{Manifest, OverlayTable};
use super::{nearest, texts::quoted};
use toml::{Table, Value};

/// Keys that no overlay can set for every service: no two services have the same value.
const OF_ONE_SERVICE: [&str; 4] = ["description", "exec", "exec-start-pre", "exec-reload"];

/// The layers of a manifest for one environment on one host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layers<'a> {
    manifest: &'a Manifest,
    environment: Option<&'a str>,
    host: Option<&'a HostOverlay>,
}

/// What one layer says about a service.
struct View<'a> {
    /// Where its keys are written.
    place: Vec<&'a str>,
    /// How many parts of the path of a key `place` stands for.
    skipped: usize,
    table: Table,
    /// The file of the host in which it is written.
    host: Option<&'a HostOverlay>,
}

impl<'a> Layers<'a> {
    /// The layers of a manifest. An environment that the manifest does not have is none.
    pub(crate) fn new(
        manifest: &'a Manifest,
        environment: Option<&'a str>,
        host: Option<&'a HostOverlay>,
    ) -> Self {
        Self {
            manifest,
            environment,
            host,
        }
    }

    /// The manifest with what applies in its tables `env` and `service`.
    ///
    /// An overlay of a host has no effect on services that a recorded manifest does not have.
    ///
    /// # Errors
    /// An overlay that names a service which the manifest does not have, or that sets for every service what no
    /// two have in common.
    pub(crate) fn resolved(&self, is_recorded: bool) -> Result<Manifest> {
        self.check(is_recorded)?;
        let mut manifest = self.manifest.clone();
        if self.overlays().is_empty() {
            return Ok(manifest);
        }
        let mut all = Table::new();
        for view in self.env_views() {
            merge(&mut all, view.table);
        }
        if let Some(Value::Table(env)) = all.remove("env") {
            manifest.env = typed(env, &["env"])?;
        }
        for (name, service) in &mut manifest.service {
            let mut table = Table::new();
            for view in self.views(name) {
                merge(&mut table, view.table);
            }
            *service = typed(table, &["service", name])?;
        }
        Ok(manifest)
    }

    /// The problem, with the path of the layer that has the value.
    pub(crate) fn located(&self, mut problem: Problem) -> Problem {
        let path: Vec<&str> = problem.path.iter().map(String::as_str).collect();
        let (views, rest) = match path.as_slice() {
            ["service", name, rest @ ..] if self.manifest.service.contains_key(*name) => {
                (self.views(name), rest)
            }
            ["env", ..] => (self.env_views(), path.as_slice()),
            _ => return problem,
        };
        let Some(view) = views.iter().rev().find(|view| has(&view.table, rest)) else {
            return problem;
        };
        let rest = rest.iter().skip(view.skipped);
        let path: Vec<&str> = view.place.iter().chain(rest).copied().collect();
        if let Some(host) = view.host {
            problem.line = line_of_key(&host.text, &path);
            problem.file = Some(host.path.clone());
        }
        problem.path = path.into_iter().map(str::to_owned).collect();
        problem
    }

    /// The overlays, the weaker first, each with the path of its table.
    fn overlays(
        &self,
    ) -> Vec<(
        Vec<&'a str>,
        &'a OverlayTable,
        &'a Table,
        Option<&'a HostOverlay>,
    )> {
        let mut out = Vec::new();
        if let Some(name) = self.environment
            && let Some(typed) = self.manifest.environment.get(name)
            && let Some(all) = self.manifest.written.get("environment")
            && let Some(table) = all.get(name).and_then(Value::as_table)
        {
            out.push((vec!["environment", name], typed, table, None));
        }
        if let Some(host) = self.host {
            out.push((Vec::new(), &host.table, &host.written, Some(host)));
        }
        out
    }

    /// What each layer says about a service, the weakest first.
    fn views(&self, service: &str) -> Vec<View<'a>> {
        let written = &self.manifest.written;
        let mut out = Vec::new();
        if let Some(env) = written.get("env") {
            out.push(View {
                place: vec![],
                skipped: 0,
                table: Table::from_iter([("env".to_owned(), env.clone())]),
                host: None,
            });
        }
        out.extend(of_service(&[], written, None, service));
        for (place, _, table, host) in self.overlays() {
            let mut every = table.clone();
            every.remove("listen");
            every.remove("service");
            out.push(View {
                place: place.clone(),
                skipped: 0,
                table: every,
                host,
            });
            if let Some((key, listen)) = table
                .get("listen")
                .and_then(Value::as_table)
                .and_then(|listen| listen.get_key_value(service))
            {
                out.push(View {
                    place: [&place[..], &["listen", key]].concat(),
                    skipped: 1,
                    table: Table::from_iter([("listen".to_owned(), listen.clone())]),
                    host,
                });
            }
            out.extend(of_service(&place, table, host, service));
        }
        // A timer for every service is one for the services that have a timer: others do not become jobs.
        let has_timer =
            |view: &View<'_>| view.place.contains(&"service") && view.table.contains_key("timer");
        if !out.iter().any(has_timer) {
            for view in &mut out {
                view.table.remove("timer");
            }
        }
        out
    }

    /// What each layer says about the variables of all services, the weakest first.
    fn env_views(&self) -> Vec<View<'a>> {
        let overlays = self.overlays().into_iter();
        let overlays = overlays.map(|(place, _, table, host)| (place, table, host));
        let all = [(Vec::new(), &self.manifest.written, None)];
        let all = all.into_iter().chain(overlays);
        let view = |(place, table, host): (Vec<&'a str>, &'a Table, _)| View {
            place,
            skipped: 0,
            table: Table::from_iter(
                table
                    .get_key_value("env")
                    .map(|(k, v)| (k.clone(), v.clone())),
            ),
            host,
        };
        all.map(view).collect()
    }

    fn check(&self, is_recorded: bool) -> Result<()> {
        for (place, overlay, table, host) in self.overlays() {
            let problem = |path: &[&str], message: String, hint: String| {
                let path = [&place[..], path].concat();
                let mut problem = Problem::new(&path, message, hint);
                if let Some(host) = host {
                    problem.line = line_of_key(&host.text, &path);
                    problem.file = Some(host.path.clone());
                }
                problem
            };
            let keys = overlay.service.keys().map(|name| ("service", name));
            for (key, name) in overlay
                .listen
                .keys()
                .map(|name| ("listen", name))
                .chain(keys)
            {
                let is_ignored = is_recorded && host.is_some();
                if self.manifest.service.contains_key(name) || is_ignored {
                    continue;
                }
                let known: Vec<&str> = self.manifest.service.keys().map(String::as_str).collect();
                let hint = match nearest(name, &known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add a table `[service.{name}]`"),
                };
                let message = format!("there is no service {}", quoted(name));
                return Err(problem(&[key, name], message, hint));
            }
            let header = |service: &str| {
                let parts: Vec<&str> = place.iter().copied().chain(["service", service]).collect();
                format!("`[{}]`", parts.join("."))
            };
            let one = self
                .manifest
                .service
                .keys()
                .next()
                .map_or("web", String::as_str);
            if let Some(key) = OF_ONE_SERVICE
                .into_iter()
                .find(|key| table.contains_key(*key))
            {
                let message = format!("`{key}` here would be that of every service");
                let hint = format!("write it for one service: {}", header(one));
                return Err(problem(&[key], message, hint));
            }
            for name in overlay.listen.keys() {
                let own = table.get("service").and_then(|all| all.get(name));
                if own.is_some_and(|own| own.get("listen").is_some()) {
                    let message = format!("the addresses of service `{name}` are given twice");
                    let hint = format!("remove them here, or in {}", header(name));
                    return Err(problem(&["listen", name], message, hint));
                }
            }
        }
        Ok(())
    }
}

/// What `service.NAME` of a table says.
fn of_service<'a>(
    place: &[&'a str],
    table: &'a Table,
    host: Option<&'a HostOverlay>,
    service: &str,
) -> Option<View<'a>> {
    let all = table.get("service")?.as_table()?;
    let (name, own) = all.get_key_value(service)?;
    Some(View {
        place: [place, &["service", name]].concat(),
        skipped: 0,
        table: own.as_table()?.clone(),
        host,
    })
}

/// Adds what a stronger layer says.
fn merge(weak: &mut Table, strong: Table) {
    for (key, value) in strong {
        match (weak.get_mut(&key), value) {
            (Some(Value::Table(weak)), Value::Table(strong)) => merge(weak, strong),
            (_, value) => drop(weak.insert(key, value)),
        }
    }
}

/// Whether a table has a path. A value that is not a table has whatever is in it.
fn has(table: &Table, path: &[&str]) -> bool {
    match path {
        [] => true,
        [first, rest @ ..] => match table.get(*first) {
            Some(Value::Table(inner)) => has(inner, rest),
            Some(_) => true,
            None => false,
        },
    }
}

/// The merged table in its type. Each layer has the right types by itself.
fn typed<T: serde::de::DeserializeOwned>(table: Table, path: &[&str]) -> Result<T> {
    Value::Table(table).try_into().map_err(|error| {
        let message = format!("its layers do not fit together: {error}");
        Problem::new(path, message, "write it in one form in all layers")
    })
}
