//! The JSON schema of `robot.toml`, for completion and checks in editors.

use super::condition::CONDITIONS;
use super::service::Type;
use crate::manifest::Manifest;
use crate::sandbox::exceptions::{CAPABILITIES, EXCEPTIONS, PRESETS};
use serde_json::{Value, json};

/// Keys with a fixed set of words: table, key, words.
fn words() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    vec![
        (
            "ServiceTable",
            "type",
            Type::WORDS.iter().map(|(word, _)| *word).collect(),
        ),
        (
            "ServiceTable",
            "runtime",
            PRESETS.iter().map(|preset| preset.name).collect(),
        ),
        (
            "ServiceTable",
            "socket",
            vec!["activate", "proxy", "direct"],
        ),
        ("SecretTable", "as", vec!["file", "env"]),
        ("ServiceTable", "upgrade", vec!["overlap", "restart"]),
        (
            "ServiceTable",
            "restart",
            vec![
                "no",
                "always",
                "on-success",
                "on-failure",
                "on-abnormal",
                "on-abort",
                "on-watchdog",
            ],
        ),
    ]
}

/// The schema, with descriptions and the words that each key accepts.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Manifest).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("robot.toml"));
    }
    for (table, key, words) in words() {
        let pointer = format!("/$defs/{table}/properties/{key}");
        if let Some(Value::Object(property)) = schema.pointer_mut(&pointer) {
            property.insert("enum".into(), json!(words));
            property.insert("type".into(), json!("string"));
        }
    }
    if let Some(Value::Object(table)) =
        schema.pointer_mut("/$defs/ServiceTable/properties/condition")
    {
        let text = table.remove("additionalProperties").unwrap_or_default();
        let properties = CONDITIONS.iter().map(|one| {
            let mut property = text.clone();
            let meaning = format!("`{}=`: {}", one.directive, one.meaning);
            if let Some(property) = property.as_object_mut() {
                property.insert("description".into(), json!(meaning));
            }
            (one.key.to_owned(), property)
        });
        table.insert("properties".into(), Value::Object(properties.collect()));
        table.insert("additionalProperties".into(), json!(false));
    }
    overlays(&mut schema);
    let names: Vec<Value> = EXCEPTIONS
        .iter()
        .map(|one| json!({ "const": one.name, "description": one.opens }))
        .collect();
    if let Some(items) = schema.pointer_mut("/$defs/SandboxTable/properties/allow/items") {
        *items = json!({ "oneOf": names });
    }
    if let Some(items) = schema.pointer_mut("/$defs/SandboxTable/properties/capabilities/items") {
        *items = json!({ "enum": CAPABILITIES, "type": "string" });
    }
    schema
}

/// The tables of overlays: a service needs a command, and an overlay says only what it changes. Their keys refer
/// to those of a service.
fn overlays(schema: &mut Value) {
    let Some(Value::Object(mut service)) = schema.pointer("/$defs/ServiceTable").cloned() else {
        return;
    };
    let keys = service.get("properties").and_then(Value::as_object);
    let keys: Vec<String> = keys
        .into_iter()
        .flat_map(|keys| keys.keys().cloned())
        .collect();
    let refer = |properties: &mut serde_json::Map<String, Value>, description: &str| {
        for key in &keys {
            if key == "listen" && properties.contains_key("service") {
                continue;
            }
            let reference = format!("#/$defs/ServiceTable/properties/{key}");
            let property = json!({ "$ref": reference, "description": description });
            properties.insert(key.clone(), property);
        }
    };
    if let Some(Value::Object(own)) = schema.pointer_mut("/$defs/ServiceTable") {
        own.insert("required".into(), json!(["exec"]));
    }
    if let Some(Value::Object(overlay)) = schema.pointer_mut("/$defs/OverlayTable/properties") {
        refer(overlay, "As in `[service.NAME]`, for every service.");
        overlay.insert(
            "service".into(),
            json!({
                "description": overlay.get("service").and_then(|one| one.get("description")),
                "type": "object",
                "additionalProperties": { "$ref": "#/$defs/ServiceOverlay" },
            }),
        );
    }
    if let Some(Value::Object(properties)) = service.get_mut("properties") {
        refer(properties, "As in `[service.NAME]`.");
    }
    if let Some(Value::Object(defs)) = schema.pointer_mut("/$defs") {
        defs.insert("ServiceOverlay".into(), Value::Object(service));
    }
}

#[cfg(test)]
mod tests {
    use super::{schema, words};
    use serde_json::Value;

    /// What is wrong with a value. Knows only the JSON schema keywords that our schema uses.
    fn wrong(schema: &Value, root: &Value, value: &Value, path: &str) -> Vec<String> {
        if let Some(pointer) = schema["$ref"].as_str() {
            let target = root.pointer(pointer.trim_start_matches('#')).unwrap();
            return wrong(target, root, value, path);
        }
        let none_fits = |list: &Value| {
            let list = list.as_array().into_iter().flatten();
            list.clone().count() > 0
                && list
                    .map(|one| wrong(one, root, value, path))
                    .all(|found| !found.is_empty())
        };
        let mut out = Vec::new();
        let of_type = |name: &str| match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64(),
            _ => value.is_null(),
        };
        let types = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let listed = schema["enum"].as_array();
        if (!types.is_empty() && !types.iter().any(|name| of_type(name)))
            || listed.is_some_and(|list| !list.contains(value))
            || schema.get("const").is_some_and(|one| one != value)
            || none_fits(&schema["anyOf"])
            || none_fits(&schema["oneOf"])
        {
            out.push(format!("{path}: {value}"));
        }
        for (key, inner) in value.as_object().into_iter().flatten() {
            let known = &schema["properties"][key];
            let path = format!("{path}/{key}");
            match (known.is_null(), &schema["additionalProperties"]) {
                (false, _) => out.extend(wrong(known, root, inner, &path)),
                (true, Value::Bool(false)) => out.push(format!("{path}: unknown")),
                (true, Value::Null) => {}
                (true, other) => out.extend(wrong(other, root, inner, &path)),
            }
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            if value.is_object() && value.get(required.as_str().unwrap()).is_none() {
                out.push(format!("{path}: {required} is missing"));
            }
        }
        if let Some(items) = value.as_array() {
            for item in items {
                out.extend(wrong(&schema["items"], root, item, path));
            }
        }
        out
    }

    fn problems(text: &str) -> Vec<String> {
        let value: Value = toml::from_str(text).unwrap();
        let schema = schema();
        wrong(&schema, &schema, &value, "")
    }

    #[test]
    fn examples_fit_the_schema() {
        for text in [
            include_str!("../../docs/examples/wiki-platform/robot.toml"),
            include_str!("../../tests/golden/web/robot.toml"),
            include_str!("../../tests/golden/runtimes/robot.toml"),
            include_str!("../../tests/golden/environment/robot.toml"),
            include_str!("../../tests/golden/timer/robot.toml"),
        ] {
            assert_eq!(problems(text), [""; 0]);
        }
    }

    #[test]
    fn mistakes_do_not_fit_the_schema() {
        let head = "[app]\nname = \"a\"\nversion = \"1\"\n";
        for (rest, expected) in [
            ("nmae = 1\n", "/app/nmae: unknown"),
            (
                "[service.w]\nexec = [\"/x\"]\ntype = \"notfy\"\n",
                "/service/w/type: \"notfy\"",
            ),
            ("[service.w]\nexec = \"/x\"\n", "/service/w/exec: \"/x\""),
            (
                "[service.w]\nexec = []\nsandbox.allow = [\"jot\"]\n",
                "/service/w/sandbox/allow: \"jot\"",
            ),
            (
                "[service.w]\nexec = []\nsandbox.capabilities = [\"CAP_X\"]\n",
                "/service/w/sandbox/capabilities: \"CAP_X\"",
            ),
            (
                "[service.w]\nexec = []\ncondition.path-exist = \"/x\"\n",
                "/service/w/condition/path-exist: unknown",
            ),
            (
                "[service.w]\nexec = []\ncondition.path-exists = 1\n",
                "/service/w/condition/path-exists: 1",
            ),
            ("[service.w]\n", "/service/w: \"exec\" is missing"),
            (
                "[environment.s]\nsocket = \"x\"\n",
                "/environment/s/socket: \"x\"",
            ),
            (
                "[environment.s.service.w]\nenabel = true\n",
                "/environment/s/service/w/enabel: unknown",
            ),
            ("[release]\nkeep = true\n", "/release/keep: true"),
        ] {
            assert_eq!(problems(&format!("{head}{rest}")), [expected], "{rest}");
        }
    }

    #[test]
    fn every_key_is_described() {
        let schema = schema();
        for (name, table) in schema["$defs"].as_object().unwrap() {
            for (key, property) in table["properties"].as_object().unwrap() {
                let description = property["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{name}.{key} has no description");
            }
        }
        for (table, key, _) in words() {
            let property = &schema["$defs"][table]["properties"][key];
            assert!(property["enum"].is_array(), "{table}.{key}");
        }
    }
}
