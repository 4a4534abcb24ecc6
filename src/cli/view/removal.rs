//! The plan of a removal as text.

use crate::ops::RemovalPreview;

/// Files first, then directories and units, then what stays.
pub(in crate::cli) fn text(preview: &RemovalPreview) -> String {
    let removal = &preview.removal;
    let from = preview.live.as_deref().unwrap_or("no release");
    let mut text = format!("{}: {from} -> removed\n", preview.app);
    for (title, mark, names) in [
        ("files on the host", "-", &removal.files),
        ("directories", "-", &removal.directories),
        ("units", "stop", &removal.units),
    ] {
        if !names.is_empty() {
            text.push_str(&format!("\n{title}:\n"));
            for name in names {
                text.push_str(&format!("  {mark} {name}\n"));
            }
        }
    }
    text.push_str(&format!("\n{}\n", preview.kept));
    text
}
