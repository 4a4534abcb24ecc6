//! What a service can use up, which its score does not cover.

use crate::exposure::Unit;
use schemars::JsonSchema;
use serde::Serialize;

/// Something that a service can use up.
#[derive(Debug, Clone, Copy)]
struct Resource {
    /// What it is.
    name: &'static str,
    /// The directive that limits it; `None` when systemd has none.
    directive: Option<&'static str>,
    /// The unit of a value without one.
    unit: &'static str,
}

/// Every resource, in the order in which it is shown.
const RESOURCES: &[Resource] = &[
    Resource {
        name: "memory",
        directive: Some("MemoryMax"),
        unit: "",
    },
    Resource {
        name: "swap",
        directive: Some("MemorySwapMax"),
        unit: "",
    },
    Resource {
        name: "processor time",
        directive: Some("CPUQuota"),
        unit: "",
    },
    Resource {
        name: "processes and threads",
        directive: Some("TasksMax"),
        unit: "",
    },
    Resource {
        name: "core dumps",
        directive: Some("LimitCORE"),
        unit: "",
    },
    Resource {
        name: "log lines",
        directive: Some("LogRateLimitBurst"),
        unit: " in 30 seconds",
    },
    // systemd limits directories by quotas from version 258 on.
    Resource {
        name: "disk space",
        directive: None,
        unit: "",
    },
];

/// How much of something a service can use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Limit {
    /// What it uses.
    pub resource: &'static str,
    /// The directive that limits it, if systemd has one.
    pub directive: Option<&'static str>,
    /// The limit; `None` when there is none.
    pub value: Option<String>,
}

/// The limits of a unit from its texts: the file, then its drop-ins.
pub fn limits_in(texts: &[&str]) -> Vec<Limit> {
    limits_of(&Unit::merge(texts))
}

/// The limits of a unit.
pub fn limits_of(unit: &Unit) -> Vec<Limit> {
    let limit = |resource: &Resource| {
        let values = resource.directive.map(|name| unit.values("Service", name));
        let value = values.and_then(|all| all.last().copied());
        let is_set = |value: &&str| !value.is_empty() && *value != "infinity";
        let value = value
            .filter(is_set)
            .map(|value| if value == "0" { "none" } else { value });
        Limit {
            resource: resource.name,
            directive: resource.directive,
            value: value.map(|value| format!("{value}{}", resource.unit)),
        }
    };
    RESOURCES.iter().map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::limits_of;
    use crate::exposure::Unit;

    #[test]
    fn the_last_value_counts_and_infinity_is_no_limit() {
        let texts = [
            "[Service]\nMemoryMax=75%\nTasksMax=4096\nCPUQuota=50%\n",
            "[Service]\nMemoryMax=1G\nTasksMax=infinity\nCPUQuota=\n",
        ];
        let limits = limits_of(&Unit::merge(&texts));
        let value = |name| {
            let mut limits = limits.iter();
            limits
                .find(|one| one.resource == name)
                .unwrap()
                .value
                .clone()
        };
        assert_eq!(value("memory").as_deref(), Some("1G"));
        for name in ["processes and threads", "processor time", "disk space"] {
            assert_eq!(value(name), None, "{name}");
        }
    }
}
