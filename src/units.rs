//! Names of units, paths of their files, and the systemd that they are written for.
//!
//! | value | parses |
//! |---|---|
//! | [`UnitType`] | the end of a unit's name |
//! | [`UnitFile`] | the path of a unit or of one of its drop-ins |
//! | [`WantsLink`] | the path of a link that enables a unit |
//!
//! No other module takes such a name or path apart. See systemd.unit(5) for the formats.

/// Where `deploy` writes units and their drop-ins.
///
/// Not `/etc`: that is the administrator's, and a unit there cannot be masked (systemctl(1)).
pub const UNIT_DIR: &str = "/usr/local/lib/systemd/system";
/// The administrator's units, drop-ins and masks. `systemctl enable` makes its links here.
pub const ENABLE_DIR: &str = "/etc/systemd/system";
/// How the names of the units of a build begin; the name of the app follows.
pub const BUILD_PREFIX: &str = "robotctl-build-";
/// How the name of the unit that watches an app after a deploy begins; the name of the app follows.
pub const SOAK_PREFIX: &str = "robotctl-soak-";
/// Units that exist until the next boot.
pub const RUNTIME_UNIT_DIR: &str = "/run/systemd/system";

/// The systemd version that units are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Exactly this version.
    Version(u16),
    /// Any version from 247 on: the old value first, then the new one.
    Portable,
}

impl Target {
    /// The oldest supported systemd (Debian 11).
    pub const OLDEST: u16 = 247;
    /// A version that knows every value of every version.
    pub const NEWEST: u16 = u16::MAX;

    /// Whether a directive that appeared in version `since` may be written.
    pub fn has(self, since: u16) -> bool {
        match self {
            Self::Version(version) => version >= since,
            Self::Portable => true,
        }
    }
}

/// The types of unit that an app has, in the order in which they are stopped: a unit stops after
/// everything that could start it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnitType {
    /// `.target`
    Target,
    /// `.timer`
    Timer,
    /// `.socket`
    Socket,
    /// `.service`
    Service,
}

/// The type of a unit, by its name; `None` for a type that no app has.
pub fn unit_type(unit: &str) -> Option<UnitType> {
    Some(match unit.rsplit_once('.')?.1 {
        "target" => UnitType::Target,
        "timer" => UnitType::Timer,
        "socket" => UnitType::Socket,
        "service" => UnitType::Service,
        _ => return None,
    })
}

/// The name of a unit without its type: `shop-web` of `shop-web.service`.
pub fn stem(unit: &str) -> &str {
    unit.rsplit_once('.').map_or(unit, |(stem, _)| stem)
}

/// Whether a unit is a template or an instance of one.
pub fn is_templated(unit: &str) -> bool {
    unit.contains('@')
}

/// The slice of an app: `shop.slice`.
///
/// A dash in the name of a slice means that it is inside another one (systemd.slice(5)): `shop-staging.slice` would
/// be inside `shop.slice`, and stop with it. So it is escaped (systemd-escape(1)).
pub fn slice_unit(app: &str) -> String {
    format!("{}.slice", app.replace('-', "\\x2d"))
}

/// What the name of a draining generation has between the unit and the run: `shop-web-old-1a2b3c4d.scope`.
const OLD: &str = "-old-";

/// How many characters of a run's id the name has.
const RUN_LENGTH: usize = 8;

/// The scope in which one run of a service drains. `invocation` is the run's id
/// (systemd.exec(5), "INVOCATION_ID").
pub fn old_scope(service: &str, invocation: &str) -> String {
    let run: String = invocation.chars().take(RUN_LENGTH).collect();
    format!("{}{OLD}{run}.scope", stem(service))
}

/// The run in the name of such a scope.
pub fn run_of_old_scope(scope: &str) -> &str {
    stem(scope).rsplit_once(OLD).map_or("", |(_, run)| run)
}

/// A glob pattern for all such scopes of a service, and for the units that end them.
pub fn old_units(service: &str) -> String {
    format!("{}{OLD}*", stem(service))
}

/// Whether a unit is the scope in which a run of a service drains. A glob pattern also matches those of
/// an app with a longer name.
pub fn is_old_scope(unit: &str, service: &str) -> bool {
    let rest = unit.strip_prefix(stem(service));
    let run = rest.and_then(|rest| rest.strip_prefix(OLD)?.strip_suffix(".scope"));
    run.is_some_and(|run| {
        run.len() == RUN_LENGTH && run.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The unit that does what is left to do when a scope has ended.
pub fn cleanup_unit_of(scope: &str) -> String {
    format!("{}-after.service", stem(scope))
}

/// The unit of the service's user that runs as long as a scope.
pub fn user_unit_of(scope: &str) -> String {
    format!("{}-user.service", stem(scope))
}

/// The timer that ends a scope when its drain time is over.
pub fn drain_timer_of(scope: &str) -> String {
    format!("{}-drain.timer", stem(scope))
}

/// The unit that this timer starts.
pub fn drain_unit_of(scope: &str) -> String {
    format!("{}-drain.service", stem(scope))
}

/// Whether a unit is such a scope or one of the units beside it, of any service.
pub fn is_of_drain(unit: &str) -> bool {
    let Some((service, rest)) = unit.rsplit_once(OLD) else {
        return false;
    };
    let run = rest.split_at_checked(RUN_LENGTH).map_or("", |(run, _)| run);
    let scope = format!("{service}{OLD}{run}.scope");
    is_old_scope(&scope, service)
        && [
            cleanup_unit_of(&scope),
            user_unit_of(&scope),
            drain_timer_of(&scope),
            drain_unit_of(&scope),
            scope,
        ]
        .iter()
        .any(|name| name == unit)
}

/// The name of a service that does not exist, and that no other service may have. When systemd looks
/// for its files, it reads the names of the directories with drop-ins again.
pub fn unknown_service(service: &str) -> String {
    format!("{}{OLD}.service", stem(service))
}

/// The drop-in of all such scopes of a service, relative to the directory of units
/// (systemd.unit(5): a name that ends in a dash is a prefix).
pub fn limits_of_old_scopes(service: &str) -> String {
    format!("{}{OLD}.scope.d/10-limits.conf", stem(service))
}

/// The directory of a unit's drop-ins, relative to the unit's own: `shop-web.service.d`.
pub fn drop_in_dir(unit: &str) -> String {
    format!("{unit}.d")
}

/// The unit that an entry of a directory of units belongs to: a unit, or its directory of drop-ins.
pub fn unit_of_entry(name: &str) -> &str {
    name.strip_suffix(".d").unwrap_or(name)
}

/// Whether a directory holds nothing but the drop-ins or the links of one unit, so that it can go
/// with the last of them.
pub fn is_dir_of_one_unit(dir: &str) -> bool {
    dir.ends_with(".d") || dir.ends_with(".wants")
}

/// A file of a unit: the unit itself, or one of its drop-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitFile<'a> {
    /// The unit's name: `shop-web.service`.
    pub unit: &'a str,
    /// The drop-in's name: `05-execstart.conf`. `None` for the unit itself.
    pub drop_in: Option<&'a str>,
}

impl<'a> UnitFile<'a> {
    /// The unit itself.
    pub fn unit(unit: &'a str) -> Self {
        Self {
            unit,
            drop_in: None,
        }
    }

    /// A drop-in of a unit.
    pub fn drop_in(unit: &'a str, name: &'a str) -> Self {
        Self {
            unit,
            drop_in: Some(name),
        }
    }

    /// Parses an absolute path in [`UNIT_DIR`], where `deploy` writes.
    pub fn parse(path: &'a str) -> Option<Self> {
        Self::parse_relative(path.strip_prefix(UNIT_DIR)?.strip_prefix('/')?)
    }

    /// Parses a path relative to any directory of units.
    pub fn parse_relative(path: &'a str) -> Option<Self> {
        let (unit, drop_in) = match path.split_once('/') {
            None => (path, None),
            Some((dir, name)) => (dir.strip_suffix(".d")?, Some(name)),
        };
        let is_unit = unit.rsplit_once('.').is_some_and(|(stem, kind)| {
            !stem.is_empty() && !kind.is_empty() && !matches!(kind, "d" | "wants" | "requires")
        });
        let is_name = drop_in.is_none_or(|name| !name.is_empty() && !name.contains('/'));
        (is_unit && is_name).then_some(Self { unit, drop_in })
    }

    /// The name of the unit, if this is the unit itself.
    pub fn main(self) -> Option<&'a str> {
        match self.drop_in {
            None => Some(self.unit),
            Some(_) => None,
        }
    }

    /// The path relative to a directory of units.
    pub fn relative(self) -> String {
        match self.drop_in {
            None => self.unit.to_owned(),
            Some(name) => format!("{}/{name}", drop_in_dir(self.unit)),
        }
    }

    /// The path in a directory of units.
    pub fn path_in(self, dir: &str) -> String {
        format!("{dir}/{}", self.relative())
    }
}

/// A link that enables a unit: `multi-user.target.wants/shop.target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantsLink<'a> {
    /// The unit that starts the other.
    pub target: &'a str,
    /// The enabled unit.
    pub unit: &'a str,
}

impl<'a> WantsLink<'a> {
    /// Parses an absolute path in [`ENABLE_DIR`].
    pub fn parse(path: &'a str) -> Option<Self> {
        let relative = path.strip_prefix(ENABLE_DIR)?.strip_prefix('/')?;
        let (dir, unit) = relative.split_once('/')?;
        let target = dir.strip_suffix(".wants")?;
        (!unit.is_empty() && !unit.contains('/')).then_some(Self { target, unit })
    }

    /// The path of the link.
    pub fn path(self) -> String {
        format!("{ENABLE_DIR}/{}.wants/{}", self.target, self.unit)
    }
}

/// Whether the manager reads a path: it lies where units or the links that enable them are.
pub fn is_read_by_manager(path: &str) -> bool {
    [UNIT_DIR, ENABLE_DIR].iter().any(|dir| {
        let rest = path.strip_prefix(dir);
        rest.is_some_and(|rest| rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::{
        ENABLE_DIR, RUNTIME_UNIT_DIR, UNIT_DIR, UnitFile, UnitType, WantsLink, cleanup_unit_of,
        drain_timer_of, drain_unit_of, is_of_drain, is_old_scope, is_read_by_manager,
        limits_of_old_scopes, old_scope, old_units, run_of_old_scope, slice_unit, stem, unit_type,
        user_unit_of,
    };

    #[test]
    fn names_of_what_drains_are_written_and_parsed() {
        let service = "shop-web-old-x.service";
        let scope = old_scope(service, "0123456789abcdef0123456789abcdef");
        assert_eq!(scope, "shop-web-old-x-old-01234567.scope");
        assert!(is_old_scope(&scope, service) && !is_old_scope(&scope, "shop-web.service"));
        assert_eq!(run_of_old_scope(&scope), "01234567");
        assert_eq!(old_units(service), "shop-web-old-x-old-*");
        assert_eq!(
            limits_of_old_scopes(service),
            "shop-web-old-x-old-.scope.d/10-limits.conf"
        );
        for unit in [
            cleanup_unit_of(&scope),
            user_unit_of(&scope),
            drain_timer_of(&scope),
            drain_unit_of(&scope),
            scope,
        ] {
            assert!(is_of_drain(&unit), "{unit}");
        }
        for unit in [
            service,
            "very-old-shop.service",
            "shop-web-old-0123456.scope",
            "shop-web-old-012345678.scope",
            "shop-web-old-0123456g.scope",
            "shop-web-old-01234567-other.service",
        ] {
            assert!(!is_of_drain(unit), "{unit}");
            assert!(!is_old_scope(unit, "shop-web.service"), "{unit}");
        }
    }

    #[test]
    fn the_slice_of_an_app_is_inside_no_other() {
        assert_eq!(slice_unit("shop"), "shop.slice");
        assert_eq!(
            slice_unit("shop-eu-staging"),
            r"shop\x2deu\x2dstaging.slice"
        );
    }

    #[test]
    fn paths_of_units_and_drop_ins_are_parsed_and_written() {
        for (relative, expected) in [
            ("shop-web.service", UnitFile::unit("shop-web.service")),
            ("shop.target", UnitFile::unit("shop.target")),
            ("a@.service", UnitFile::unit("a@.service")),
            (
                "shop-web.service.d/05-execstart.conf",
                UnitFile::drop_in("shop-web.service", "05-execstart.conf"),
            ),
        ] {
            let path = format!("{UNIT_DIR}/{relative}");
            assert_eq!(UnitFile::parse(&path), Some(expected), "{path}");
            assert_eq!(expected.path_in(UNIT_DIR), path);
        }
        for other in [
            "/etc/systemd/system/shop-web.service".to_owned(),
            format!("{UNIT_DIR}-2/shop-web.service"),
            UNIT_DIR.to_owned(),
            format!("{UNIT_DIR}/"),
            format!("{UNIT_DIR}/shop"),
            format!("{UNIT_DIR}/.service"),
            format!("{UNIT_DIR}/shop-web.service.d"),
            format!("{UNIT_DIR}/shop-web.service.d/"),
            format!("{UNIT_DIR}/shop-web.service.d/a/b.conf"),
            format!("{UNIT_DIR}/shop.target.wants/own.service"),
            "/usr/local/lib/tmpfiles.d/shop.conf".to_owned(),
        ] {
            assert_eq!(UnitFile::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn links_that_enable_a_unit_are_parsed_and_written() {
        let path = format!("{ENABLE_DIR}/multi-user.target.wants/shop.target");
        let link = WantsLink::parse(&path).expect("a link");
        assert_eq!(
            (link.target, link.unit),
            ("multi-user.target", "shop.target")
        );
        assert_eq!(link.path(), path);
        for other in [
            format!("{ENABLE_DIR}/shop.target"),
            format!("{ENABLE_DIR}/shop.service.d/a.conf"),
            format!("{UNIT_DIR}/shop.target.wants/own.service"),
        ] {
            assert_eq!(WantsLink::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn names_have_a_type_a_stem_and_instances() {
        assert_eq!(unit_type("shop-web.service"), Some(UnitType::Service));
        assert_eq!(unit_type("shop.slice"), None);
        assert_eq!(unit_type("shop"), None);
        assert_eq!(stem("shop-web.service"), "shop-web");
        assert_eq!(stem("shop-1.2@.service"), "shop-1.2@");
        let mut types = ["a.service", "a.socket", "a.target", "a.timer"].map(unit_type);
        types.sort_unstable();
        let order = [
            UnitType::Target,
            UnitType::Timer,
            UnitType::Socket,
            UnitType::Service,
        ];
        assert_eq!(types, order.map(Some));
    }

    #[test]
    fn the_manager_reads_units_and_the_links_that_enable_them() {
        assert!(is_read_by_manager(&format!(
            "{UNIT_DIR}/a.service.d/b.conf"
        )));
        assert!(is_read_by_manager(&format!(
            "{ENABLE_DIR}/a.target.wants/b.service"
        )));
        assert!(!is_read_by_manager("/usr/local/lib/tmpfiles.d/a.conf"));
        assert!(!is_read_by_manager(&format!(
            "{RUNTIME_UNIT_DIR}x/a.service"
        )));
    }
}
