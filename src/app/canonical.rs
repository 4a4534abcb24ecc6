//! The canonical form of a manifest: the same for all texts with the same meaning.

use crate::manifest::{Manifest, Problem, Result};
use serde_json::{Map, Value};

/// Keys of `[release]` that only decide its payload.
const OF_THE_SOURCE: [&str; 2] = ["source", "exclude"];

/// The keys of a manifest and their values, without comments, layout, order, other environments and
/// the place of the source.
///
/// A key that the manifest does not have is not here either. So a key that a later `robotctl`
/// introduces does not change older manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical(Map<String, Value>);

impl Canonical {
    /// The canonical form of a manifest, for one of its environments.
    pub(super) fn new(manifest: &Manifest, environment: Option<&str>) -> Result<Self> {
        let mut keys = Map::new();
        for (key, value) in &manifest.written {
            let value = serde_json::to_value(value);
            let value = value.map_err(|error| {
                let message = format!("`{key}` cannot be recorded: {error}");
                let hint = "write strings, numbers, `true`, `false`, lists and tables";
                Problem::new(&[key], message, hint)
            })?;
            keys.insert(key.clone(), value);
        }
        if let Some(Value::Object(release)) = keys.get_mut("release") {
            release.retain(|key, _| !OF_THE_SOURCE.contains(&key.as_str()));
        }
        if let Some(Value::Object(all)) = keys.get_mut("environment") {
            all.retain(|key, _| Some(key.as_str()) == environment);
        }
        // It says how the release gets to a host, and nothing about the release.
        keys.remove("package");
        // An empty table means the same as no table.
        keys.retain(|_, value| value.as_object().is_none_or(|table| !table.is_empty()));
        Ok(Self(keys))
    }

    /// JSON on one line, with sorted keys.
    pub fn json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// The keys that differ, such as `release.keep`, except the version. A service that only one
    /// of them has is `service.` and its name.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let mut out = Vec::new();
        differing("", &self.0, &other.0, &mut out);
        out.retain(|key| key != "app.version");
        out
    }
}

fn differing(
    table: &str,
    one: &Map<String, Value>,
    other: &Map<String, Value>,
    out: &mut Vec<String>,
) {
    let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
    keys.sort();
    keys.dedup();
    let none = Value::Object(Map::new());
    for key in keys {
        let path = format!("{table}{key}");
        let is_known = table.is_empty(); // Whether `[release]` exists means nothing.
        let absent = is_known.then_some(&none);
        match (one.get(key).or(absent), other.get(key).or(absent)) {
            (Some(Value::Object(one)), Some(Value::Object(other))) => {
                differing(&format!("{path}."), one, other, out);
            }
            (one, other) if one != other => out.push(path),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Canonical;
    use crate::manifest::parse;

    const HEAD: &str = "[app]\nname = \"shop\"\nversion = \"1\"\n";

    fn of(rest: &str, environment: Option<&str>) -> Canonical {
        let manifest = parse(&format!("{HEAD}{rest}")).unwrap();
        Canonical::new(&manifest, environment).unwrap()
    }

    #[test]
    fn texts_with_the_same_meaning_are_the_same() {
        let plain = of("[release]\nkeep = 3\nsoak = \"1min\"\n", None);
        let json = r#"{"app":{"name":"shop","version":"1"},"release":{"keep":3,"soak":"1min"}}"#;
        assert_eq!(plain.json(), json);
        for same in [
            "# Words.\n[release]\nsoak = '1min'\n\nkeep = 3 # more\n",
            "[release]\nsource = \"a\"\nexclude = [\"b\"]\nkeep = 3\nsoak = \"1min\"\n",
            "[release]\nkeep = 3\nsoak = \"1min\"\n[environment.test.env]\nA = \"1\"\n",
        ] {
            assert_eq!(of(same, None), plain, "{same}");
        }
        assert_eq!(of("[release]\nsource = \"a\"\n", None), of("", None));
        let test = of("[environment.test.env]\nA = \"1\"\n", Some("test"));
        assert_eq!(test.differing(&of("", None)), ["environment.test"]);
    }

    #[test]
    fn the_keys_that_differ_are_named() {
        let one = "[release]\nkeep = 3\n[service.web]\nexec = [\"/a\"]\n[service.web.env]\nA = \"1\"\n\
                   B = \"1\"\n[[service.web.check]]\nhttp = \"/\"\nwithin = \"2s\"\n";
        let other = one
            .replace("keep = 3\n", "soak = \"1min\"\n")
            .replace("B = \"1\"", "B = \"2\"")
            .replace("2s", "3s")
            + "[service.job]\nexec = [\"/b\"]\n";
        let (one, other) = (of(one, None), of(&other, None));
        let keys = [
            "release.keep",
            "release.soak",
            "service.job",
            "service.web.check",
            "service.web.env.B",
        ];
        assert_eq!(one.differing(&other), keys);
        assert_eq!(other.differing(&one), keys);
        assert!(one.differing(&one).is_empty());
    }
}
