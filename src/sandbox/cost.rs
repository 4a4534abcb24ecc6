//! The score of a service, the floor of its shape, and what each of its exceptions adds.
//!
//! Costs are measured: the service is rendered and scored with and without each exception.

use super::exceptions::EXCEPTIONS;
use super::floor::{Floor, Role};
use super::in_force::{InForce, NotEnforced};
use super::limits::{Limit, limits_of};
use super::prefix::Prefix;
use crate::app::{App, Listen, Service, Socket};
use crate::exposure::{Exposure, Remedy, Unit, score_as, shown};
use crate::render::{self, ReleaseMount, derive};
use crate::units::Target;
use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

/// A part of a unit or manifest that raises the score.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Cost {
    /// The exception, or the change that would lower the score.
    pub what: String,
    /// The points that it adds now.
    pub points: i64,
    /// What it allows the service to do.
    pub opens: String,
}

/// The score of one unit, and what makes it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ScoreReport {
    /// The unit's name.
    pub unit: String,
    /// The score as systemd prints it, such as `0.2`.
    pub score: String,
    /// The score in tenths.
    pub tenths: u32,
    /// The sum of points that the score comes from.
    pub points: u32,
    /// The points of the floor of its shape; `None` for a unit without a manifest.
    pub floor_points: Option<u32>,
    /// The floor as a score.
    pub floor: Option<String>,
    /// What needs the points of the floor.
    pub because: Option<&'static str>,
    /// The exceptions of the manifest, the most expensive first.
    pub exceptions: Vec<Cost>,
    /// The changes that would lower the score most.
    pub lower: Vec<Cost>,
    /// What the unit can use up. The score does not cover it.
    pub limits: Vec<Limit>,
    /// What is in force on this host; absent if all of it is, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForce>,
}

/// The number of changes to suggest.
const MAX_SUGGESTIONS: usize = 3;

/// The scores of every service and proxy of an app, on a host that does not enforce `lost`.
///
/// # Errors
/// When a unit cannot be rendered.
pub fn score_app(app: &App, target: Target, lost: &[NotEnforced]) -> Result<Vec<ScoreReport>> {
    let mut out = Vec::new();
    for service in &app.services {
        out.push(of_service(app, service, target, lost)?);
        if service.socket == Socket::Proxy && service.has_socket_unit() {
            out.push(of_service(app, &derive::proxy(service)?, target, lost)?);
        }
    }
    Ok(out)
}

/// The same of a unit from its texts: the file, then its drop-ins.
pub fn score_unit(unit: &str, texts: &[&str], version: u16, lost: &[NotEnforced]) -> ScoreReport {
    let merged = Unit::merge(texts);
    let exposure = score_as(&merged, version);
    ScoreReport {
        unit: unit.to_owned(),
        score: exposure.to_string(),
        tenths: exposure.tenths,
        points: exposure.raw,
        floor_points: None,
        floor: None,
        because: None,
        exceptions: Vec::new(),
        lower: remedies(&exposure),
        limits: limits_of(&merged),
        in_force: InForce::of(&merged, version, lost),
    }
}

/// The version to score for. A portable unit is only as good as the oldest systemd makes it.
fn version(target: Target) -> u16 {
    match target {
        Target::Version(version) => version,
        Target::Portable => Target::OLDEST,
    }
}

fn merged(app: &App, service: &Service, target: Target) -> Result<Unit> {
    let texts = render::service_texts(app, service, target, ReleaseMount::Current)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(Unit::merge(&texts))
}

/// The exposure of a service.
///
/// # Errors
/// When its unit cannot be rendered.
pub(super) fn scored(app: &App, service: &Service, target: Target) -> Result<Exposure> {
    Ok(score_as(&merged(app, service, target)?, version(target)))
}

fn of_service(
    app: &App,
    service: &Service,
    target: Target,
    lost: &[NotEnforced],
) -> Result<ScoreReport> {
    let unit = merged(app, service, target)?;
    let exposure = score_as(&unit, version(target));
    let floor = Floor::of(Role::of(&app.shape(service)));
    let mut exceptions = Vec::new();
    let mut lower = Vec::new();
    for variant in variants(app, service) {
        let without = scored(app, &variant.service, target)?;
        let points = i64::from(exposure.raw) - i64::from(without.raw);
        let cost = Cost {
            what: variant.what,
            points,
            opens: match points {
                0 => format!("{}; the score does not count it", variant.opens),
                _ => variant.opens,
            },
        };
        if variant.instead.is_none() {
            exceptions.push(cost.clone());
        }
        if cost.points > 0 {
            lower.push(Cost {
                what: match variant.instead {
                    Some(instead) => instead,
                    None => format!("without {}", cost.what),
                },
                ..cost
            });
        }
    }
    exceptions.sort_by_key(|cost| std::cmp::Reverse(cost.points));
    lower.sort_by_key(|cost| std::cmp::Reverse(cost.points));
    lower.truncate(MAX_SUGGESTIONS);
    Ok(ScoreReport {
        unit: app.unit(service),
        score: exposure.to_string(),
        tenths: exposure.tenths,
        points: exposure.raw,
        floor_points: floor.map(Floor::rooted),
        floor: floor.map(|floor| shown(floor.tenths(true))),
        because: floor.map(|floor| floor.because),
        exceptions,
        lower,
        limits: limits_of(&unit),
        in_force: InForce::of(&unit, version(target), lost),
    })
}

/// A service with one change.
struct Variant {
    what: String,
    opens: String,
    /// What to write instead; `None` if the exception is only removed.
    instead: Option<String>,
    service: Service,
}

impl Variant {
    fn without(
        what: String,
        opens: &str,
        from: &Service,
        change: impl FnOnce(&mut Service),
    ) -> Self {
        let mut service = from.clone();
        change(&mut service);
        Self {
            what,
            opens: opens.to_owned(),
            instead: None,
            service,
        }
    }

    fn instead(text: &str, opens: &str, from: &Service, change: impl FnOnce(&mut Service)) -> Self {
        Self {
            instead: Some(text.to_owned()),
            ..Self::without(text.to_owned(), opens, from, change)
        }
    }
}

/// Empties a list.
type Clear = fn(&mut Service);

/// The service without each of its exceptions in turn, and with other kinds of socket.
fn variants(app: &App, service: &Service) -> Vec<Variant> {
    let sandbox = &service.sandbox;
    let mut out = Vec::new();
    for exception in EXCEPTIONS.iter().filter(|one| sandbox.allows(one.name)) {
        let what = format!("`{}`", exception.name);
        out.push(Variant::without(what, exception.opens, service, |it| {
            it.sandbox.allow.remove(exception.name);
        }));
    }
    for name in &sandbox.capabilities {
        let what = format!("`{name}`");
        out.push(Variant::without(what, "a capability", service, |it| {
            it.sandbox.capabilities.remove(name);
        }));
    }
    for (index, (name, value)) in sandbox.directives.iter().enumerate() {
        let what = format!("`{name}={value}`");
        let opens = "a raw directive of the manifest";
        out.push(Variant::without(what, opens, service, |it| {
            it.sandbox.directives.remove(index);
        }));
    }
    out.extend(without_lists(service));
    if service.user.as_str() == "root" {
        let what = "`user = \"root\"`".to_owned();
        out.push(Variant::without(
            what,
            "the files and processes of root",
            service,
            |it| {
                it.user = app.user.clone();
            },
        ));
    }
    for (from, to, text) in [
        (Socket::Direct, Socket::Activate, "`socket = \"activate\"`"),
        (Socket::Direct, Socket::Proxy, "`socket = \"proxy\"`"),
        (Socket::Proxy, Socket::Activate, "`socket = \"activate\"`"),
    ] {
        let tcp = service.listen.iter().all(|it| it.port().is_some());
        let can_proxy = tcp && sandbox.host_network().is_none();
        if service.socket == from
            && !service.listen.is_empty()
            && (can_proxy || to != Socket::Proxy)
        {
            let text = format!("with {text}");
            out.push(Variant::instead(
                &text,
                "the service's own network access",
                service,
                |it| {
                    it.socket = to;
                },
            ));
        }
    }
    out.extend(filtered(service));
    out
}

/// The service without each of its lists in turn.
fn without_lists(service: &Service) -> Vec<Variant> {
    let sandbox = &service.sandbox;
    let mut out = Vec::new();
    let lists: [(&str, &str, bool, Clear); 4] = [
        (
            "the list `outbound`",
            "the host's network, filtered to the listed addresses",
            sandbox.outbound.is_empty(),
            |it| it.sandbox.outbound.clear(),
        ),
        (
            "`devices`",
            "`PrivateDevices=no`, and the listed devices",
            sandbox.devices.is_empty(),
            |it| it.sandbox.devices.clear(),
        ),
        (
            "`groups`",
            "files and devices of these groups",
            service.groups.is_empty(),
            |it| it.groups.clear(),
        ),
        (
            "`read-write`",
            "more paths are writable",
            sandbox.read_write.is_empty(),
            |it| it.sandbox.read_write.clear(),
        ),
    ];
    for (what, opens, empty, clear) in lists {
        if !empty {
            out.push(Variant::without(what.to_owned(), opens, service, clear));
        }
    }
    out
}

/// The service with a filter of addresses, where it has none and could have one.
fn filtered(service: &Service) -> Option<Variant> {
    // Any prefix costs the same.
    let example = Prefix::host(std::net::Ipv4Addr::new(192, 0, 2, 1).into());
    let sandbox = &service.sandbox;
    let opens_public =
        service.socket == Socket::Direct && service.listen.iter().any(Listen::is_public);
    match (sandbox.allows("outbound"), opens_public) {
        _ if sandbox.allows("raw-net") => None,
        (true, false) => Some(Variant::instead(
            "with a list `outbound`",
            "packets to any address",
            service,
            |it| {
                it.sandbox.allow.remove("outbound");
                it.sandbox.outbound.push(example);
            },
        )),
        (false, true) if sandbox.allow_from.is_empty() => Some(Variant::instead(
            "with `allow-from`",
            "packets from any address",
            service,
            |it| it.sandbox.allow_from.push(example),
        )),
        _ => None,
    }
}

/// The directives that would lower the score of a unit most.
fn remedies(exposure: &Exposure) -> Vec<Cost> {
    let remedies = exposure.cheapest(MAX_SUGGESTIONS);
    let cost = |remedy: &Remedy| Cost {
        what: format!("with `{}=`", remedy.directive.trim_end_matches('=')),
        points: i64::from(remedy.points),
        opens: match remedy.findings.as_slice() {
            [one] => format!("the service can {}", one.check.lets),
            [one, rest @ ..] => format!("the service can {} ({} more)", one.check.lets, rest.len()),
            [] => String::new(),
        },
    };
    remedies.iter().map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::score_app;
    use crate::app::{App, Target};
    use crate::manifest::parse;

    #[test]
    fn costs_add_up_to_the_points_above_the_floor() {
        let text = "[app]\nname = \"a\"\nversion = \"1\"\n\
            [service.w]\nexec = [\"/bin/w\"]\nlisten = [\"127.0.0.1:80\"]\n\
            sandbox = { allow = [\"jit\", \"proc-files\"], directives = { UMask = \"0022\" } }\n\
            [service.d]\nexec = [\"/bin/d\"]\nlisten = [\"127.0.0.1:81\"]\nsocket = \"direct\"\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        for target in [Target::Version(252), Target::Portable] {
            let all = score_app(&app, target, &[]).unwrap();
            let [direct, web] = all.as_slice() else {
                panic!("{all:?}");
            };
            assert_eq!(direct.floor_points, Some(direct.points));
            assert_eq!(direct.lower[0].what, "with `socket = \"activate\"`");
            assert_eq!(direct.lower[0].points, 4200);
            let costs: Vec<i64> = web.exceptions.iter().map(|one| one.points).collect();
            assert_eq!(costs, [100, 50, 10], "{web:?}");
            assert_eq!(web.points, web.floor_points.unwrap() + 160);
        }
    }

    /// Fewer addresses cost fewer points, and each form of network is at its floor.
    #[test]
    fn a_shorter_list_of_addresses_costs_less() {
        let points = |sandbox: &str| {
            let text = format!(
                "[app]\nname = \"a\"\nversion = \"1\"\n\
                 [service.w]\nexec = [\"/bin/w\"]\nsandbox = {{ {sandbox} }}\n"
            );
            let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
            let [report] = score_app(&app, Target::Version(257), &[])
                .unwrap()
                .try_into()
                .unwrap();
            assert_eq!(Some(report.points), report.floor_points, "{sandbox}");
            report.points
        };
        assert_eq!(points(""), 525);
        assert_eq!(points("allow = [\"loopback\"]"), 4725);
        assert_eq!(points("outbound = [\"127.0.0.53\"]"), 4725);
        assert_eq!(points("outbound = [\"192.0.2.0/24\"]"), 5025);
        assert_eq!(points("allow = [\"outbound\"]"), 5525);
    }

    /// A server that opens a public address can limit who connects; only then is it cheaper.
    #[test]
    fn a_filter_is_suggested_where_it_is_possible() {
        let lower = |rest: &str| {
            let text = format!(
                "[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\nexec = [\"/bin/w\"]\n{rest}\n"
            );
            let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
            let [report] = score_app(&app, Target::Version(257), &[])
                .unwrap()
                .try_into()
                .unwrap();
            let all = report
                .lower
                .into_iter()
                .map(|cost| (cost.what, cost.points));
            all.collect::<Vec<_>>()
        };
        let direct = "listen = [\":80\"]\nsocket = \"direct\"\n";
        assert!(lower(direct).contains(&("with `allow-from`".to_owned(), 500)));
        let limited = format!("{direct}sandbox = {{ allow-from = [\"192.0.2.7\"] }}");
        assert!(
            !lower(&limited)
                .iter()
                .any(|(what, _)| what.contains("allow-from"))
        );
        let client = lower("sandbox = { allow = [\"outbound\"] }");
        assert_eq!(client[1], ("with a list `outbound`".to_owned(), 500));
    }
}
