//! The text of `robot.toml` as tables, before anything is checked.
//!
//! An unknown key is an error, because a typo in a hardening key must not pass unnoticed.
//! The app checks what the tables mean. It reports with [`Problem`], and
//! [`Problem::at`] adds the line.
//!
//! | file | holds |
//! |---|---|
//! | `tables` | every table and key, with the descriptions that the schema shows |
//! | `build` | one entry of `release.build` |
//! | `texts` | a value that is one text or a list of texts |
//! | `layers` | what applies to each service, of the manifest, an environment and a host |
//! | `host_overlay` | the overlay of one host |
//! | `problem` | what is wrong, where, and what to do |
//! | `nearest` | the name that a person has mistyped |
//! | `toml_error` | the deserializer's errors as problems |

mod build;
mod host_overlay;
mod layers;
mod nearest;
mod problem;
mod right_form;
mod tables;
mod texts;
mod toml_error;

pub use build::{Build, DeclaredBuild};
pub use host_overlay::HostOverlay;
pub(crate) use layers::Layers;
pub(crate) use nearest::{is_similar, nearest};
pub(crate) use problem::line_of_key;
pub use problem::{Problem, Result};
pub(crate) use right_form::NO_TIMEOUT;
pub use tables::{
    AppTable, BuildSandboxTable, CheckTable, HooksTable, LimitsTable, Manifest, OverlayTable,
    PythonTable, ReleaseTable, SandboxTable, SecretTable, ServiceTable, TimerTable,
};
pub use texts::Texts;
pub(crate) use texts::quoted;

/// Parses the text of a manifest.
///
/// # Errors
/// A [`Problem`] with the line, the key and, for an unknown key, the nearest known one.
pub fn parse(text: &str) -> Result<Manifest> {
    let wrong = |error| toml_error::problem(&error, text);
    let mut manifest: Manifest = toml::from_str(text).map_err(wrong)?;
    manifest.written = toml::from_str(text).map_err(wrong)?;
    Ok(manifest)
}

/// The app's name in a manifest, even if the manifest is wrong elsewhere.
pub fn app_name(text: &str) -> Option<String> {
    let table = match toml::from_str::<toml::Table>(text) {
        Ok(table) => table,
        Err(error) => {
            // The text before the line with the error.
            let before = text.get(..error.span()?.start)?;
            let end = before.rfind('\n').map_or(0, |at| at + 1);
            toml::from_str(before.get(..end)?).ok()?
        }
    };
    Some(table.get("app")?.get("name")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{app_name, parse};

    const HEAD: &str = "[app]\nname = \"robot\"\nversion = \"1.0\"\n";

    fn refused(rest: &str) -> String {
        parse(&format!("{HEAD}{rest}"))
            .expect_err("must be refused")
            .to_string()
    }

    #[test]
    fn an_unknown_key_names_line_and_nearest_key() {
        let message = refused("[service.web]\nexec = [\"/bin/true\"]\ntpye = \"simple\"\n");
        assert!(
            message.starts_with("line 6: unknown key `tpye`"),
            "{message}"
        );
        assert!(message.contains("did you mean `type`?"), "{message}");
    }

    #[test]
    fn a_name_is_read_from_a_broken_manifest() {
        for rest in [
            "",
            "[service.web\n",
            "[service.web]\nexec = [\n",
            "tpye = 1\n",
        ] {
            let name = app_name(&format!("{HEAD}{rest}"));
            assert_eq!(name.as_deref(), Some("robot"), "{rest}");
        }
        for text in ["", "[app\n", "[app]\nname = 1\n", "name = \"x\"\n"] {
            assert_eq!(app_name(text), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_type_names_line_and_expectation() {
        let message = refused("[release]\nkeep = \"five\"\n");
        assert!(
            message.starts_with(
                "line 5: `keep` must be a number, and is the string \"five\"\n\nhint: write"
            ),
            "{message}"
        );
    }

    #[test]
    fn a_missing_key_is_named() {
        let message = parse("[app]\nname = \"robot\"\n")
            .expect_err("version is missing")
            .to_string();
        assert!(message.contains("missing key `version`"), "{message}");
    }
}
