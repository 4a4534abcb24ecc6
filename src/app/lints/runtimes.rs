//! Programs that do not work without the exceptions of a preset.

use super::case::{Case, Message};
use crate::app::names::Text;
use crate::sandbox::exceptions::{PRESETS, Preset, preset_of};

/// The first systemd of the Debian release after the last one whose Gunicorn is older than 21.
const AFTER_GUNICORN_20: u16 = 253;

pub(super) fn runtime(case: &Case<'_>) -> Vec<Message> {
    let sandbox = &case.service.sandbox;
    let is_granted = |preset: &Preset| {
        let has_files =
            preset.files.is_empty() || sandbox.runtime == Some(preset.name) || !case.shape.rooted;
        has_files && preset.allow.iter().all(|name| sandbox.allows(name))
    };
    let message = |(program, preset): (&str, &Preset)| {
        (
            format!(
                "runs `{program}` without `runtime = \"{}\"`: {}",
                preset.name, preset.without
            ),
            "write the `runtime`, or what the program needs of it in `sandbox.allow`",
        )
    };
    let needed = needed(case).filter(|(_, preset)| !is_granted(preset));
    needed.map(message).into_iter().collect()
}

/// The program that needs a preset, and the preset.
fn needed<'a>(case: &Case<'a>) -> Option<(&'a str, &'static Preset)> {
    let mut words = case.service.exec.iter().map(Text::as_str);
    let mut program = words.next()?;
    // `env` runs the program of its first word that is neither a variable nor an option (env(1)).
    if program.ends_with("/env") {
        program = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    }
    if let Some(preset) = preset_of(program) {
        return Some((program, preset));
    }
    let is_gunicorn = ["/usr/bin/gunicorn", "/usr/bin/gunicorn3"].contains(&program);
    let is_old = case
        .target
        .is_some_and(|target| !target.has(AFTER_GUNICORN_20));
    let preset = PRESETS.iter().find(|preset| preset.name == "gunicorn-20");
    preset
        .filter(|_| is_gunicorn && is_old)
        .map(|preset| (program, preset))
}
