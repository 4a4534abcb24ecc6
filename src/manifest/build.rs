//! One entry of `release.build`: a command, or a table that also says what it reads and makes.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// One build command: the program and its arguments, or a table with `run`, `inputs` and `outputs`.
#[derive(Debug, Clone)]
pub enum Build {
    /// The program and its arguments. It runs for each release.
    Command(Vec<String>),
    /// A command that a release need not run again while its inputs are the same.
    Declared(DeclaredBuild),
}

/// A build command that says what it reads and makes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeclaredBuild {
    /// The program and its arguments.
    pub run: Vec<String>,
    /// Files and directories of the source, or outputs of earlier commands, that decide what the command makes.
    pub inputs: Vec<String>,
    /// Files and directories that the command makes. While the inputs are the same, the next release takes them over.
    pub outputs: Vec<String>,
}

impl<'de> Deserialize<'de> for Build {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Build;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Build, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Build::Command(words))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Build, A::Error> {
                DeclaredBuild::deserialize(MapAccessDeserializer::new(map)).map(Build::Declared)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Build {
    fn schema_name() -> Cow<'static, str> {
        "Build".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let declared = generator.subschema_for::<DeclaredBuild>();
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string" } },
                declared,
            ],
        })
    }
}
