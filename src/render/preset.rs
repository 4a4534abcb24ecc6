//! systemd.preset(5): the units of an app that a preset must not enable.

use crate::app::App;
use anyhow::Result;
use askama::Template;
use std::collections::BTreeSet;

#[derive(Template)]
#[template(path = "app.preset", config = "packaging/askama.toml")]
struct Preset<'a> {
    app: &'a str,
    units: BTreeSet<String>,
}

/// The preset of an app, if it has units that do not start with it. At the first boot of an image, and when
/// `systemctl preset-all` runs, systemd enables each unit with an `[Install]` section that no preset disables
/// (machine-id(5), "First Boot Semantics").
pub(super) fn preset(app: &App) -> Result<Option<String>> {
    let services = app.services.iter().filter(|service| !service.enable);
    let units: BTreeSet<String> = services.flat_map(|service| app.units_of(service)).collect();
    if units.is_empty() {
        return Ok(None);
    }
    let app = app.name.as_str();
    Ok(Some(Preset { app, units }.render()?))
}

#[cfg(test)]
mod tests {
    use super::preset;
    use crate::app::App;
    use crate::manifest::parse;

    #[test]
    fn a_preset_disables_what_does_not_start_with_the_app() {
        let text = "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/w\"]\n\
                    [service.b]\nexec = [\"/bin/b\"]\nlisten = [\"127.0.0.1:80\"]\nENABLE\n";
        let preset = |enable: &str| {
            let text = text.replace("ENABLE", enable);
            preset(&App::from_manifest(&parse(&text).unwrap(), None).unwrap()).unwrap()
        };
        assert_eq!(preset(""), None);
        let text = preset("enable = false").unwrap();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines, ["disable shop-b.service", "disable shop-b.socket"]);
    }
}
