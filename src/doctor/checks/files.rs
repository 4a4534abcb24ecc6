//! Files: what the release put on the host, what tmpfiles.d makes, and who may read and write it.

use super::{Findings, error, warning};
use crate::app::layout::{SYSUSERS_DIR, TMPFILES_DIR};
use crate::doctor::CheckContext;
use crate::host::{Mismatch, files as on_disk};
use crate::render::execstart_path;
use crate::tree::Entry;
use crate::units::{ENABLE_DIR, UnitFile};

pub(in crate::doctor) fn files(context: &CheckContext<'_>) -> Findings {
    let mut out = Vec::new();
    for (path, entry) in context.tree.iter() {
        if matches!(entry, Entry::Symlink(_)) || pinned(context, path) {
            continue; // Enablement is the administrator's; a pin rewrites its own file.
        }
        match context.host.root.entry(path)? {
            Some(found) if found == *entry => {}
            Some(_) => out.push(warning(
                format!("`{path}` was changed by hand"),
                "put changes into a drop-in under /etc/systemd/system; `sudo robotctl deploy` shows the difference",
            )),
            None => out.push(error(
                format!("`{path}` is missing"),
                "sudo robotctl deploy --apply",
            )),
        }
    }
    Ok(out)
}

/// Whether a path is the file that pins a service to a release of its own.
fn pinned(context: &CheckContext<'_>, path: &str) -> bool {
    let mut pins = context.state.pins.keys();
    pins.any(|name| path == execstart_path(&context.app.unit_called(name)))
}

pub(in crate::doctor) fn shadowed(context: &CheckContext<'_>) -> Findings {
    let mut out = Vec::new();
    for path in context.tree.paths() {
        let Some(unit) = UnitFile::parse(path).and_then(UnitFile::main) else {
            continue;
        };
        let other = format!("{ENABLE_DIR}/{unit}");
        let root = &context.host.root;
        let masked = root.read_link(&other)?.as_deref() == Some("/dev/null");
        if masked {
            continue;
        }
        if root.meta(&other)?.is_some() {
            out.push(warning(
                format!("`{other}` hides the generated unit, and cannot be masked"),
                format!(
                    "make it a drop-in: {}",
                    UnitFile::drop_in(unit, "50-local.conf").path_in(ENABLE_DIR)
                ),
            ));
        }
    }
    Ok(out)
}

pub(in crate::doctor) fn tmpfiles(context: &CheckContext<'_>) -> Findings {
    let path = format!("{}/{}.conf", TMPFILES_DIR, context.app.name);
    let Some(Entry::File { bytes, .. }) = context.tree.get(&path) else {
        return Ok(Vec::new());
    };
    let again = format!("sudo systemd-tmpfiles{} --create {path}", below(context));
    let text = String::from_utf8_lossy(bytes);
    let unlike = context.host.root.unlike_tmpfiles(&text)?;
    let findings = unlike.into_iter().map(|(path, how)| match how {
        Mismatch::Missing => error(format!("`{path}` is missing"), &again),
        Mismatch::Kind => error(
            format!("`{path}` is not what tmpfiles.d makes"),
            "move it away, then: ".to_owned() + &again,
        ),
        Mismatch::Mode { is, wanted } => warning(
            format!("`{path}` has mode {is:04o}, not {wanted:04o}"),
            &again,
        ),
        Mismatch::Owner(user) => error(format!("`{path}` is not owned by `{user}`"), &again),
        Mismatch::NoUser(user) => error(
            format!("the user `{user}` is missing"),
            format!(
                "sudo systemd-sysusers{} {SYSUSERS_DIR}/{}.conf",
                below(context),
                context.app.name
            ),
        ),
    });
    Ok(findings.collect())
}

/// What keeps a tool of systemd's from the running host when a tree is looked at.
fn below(context: &CheckContext<'_>) -> String {
    match context.host.is_offline() {
        true => format!(" --root={}", context.host.root.path("/").display()),
        false => String::new(),
    }
}

pub(in crate::doctor) fn permissions(context: &CheckContext<'_>) -> Findings {
    let mut out = Vec::new();
    if let Some(live) = &context.state.live {
        let dir = context.host.root.path(&context.layout.release(live));
        let loose = on_disk::loose(&dir)?;
        if let Some(first) = loose.first() {
            out.push(error(
                format!(
                    "{} files of the live release are not root's alone to write, such as `{}`",
                    loose.len(),
                    first.display()
                ),
                format!(
                    "sudo chown -R root:root {0} && sudo chmod -R u=rwX,go=rX {0}",
                    dir.display()
                ),
            ));
        }
    }
    let mut private = vec![context.layout.env_file()];
    private.extend(
        context
            .app
            .secrets
            .iter()
            .map(|secret| context.layout.credential(secret.name.as_str())),
    );
    for path in private {
        if let Some(meta) = context.host.root.meta(&path)?
            && (meta.mode & 0o077 != 0 || meta.uid != 0)
        {
            let at = context.host.root.path(&path);
            let at = at.display();
            out.push(error(
                format!("`{path}` can be read by others than root"),
                format!("sudo chown root:root {at} && sudo chmod 600 {at}"),
            ));
        }
    }
    Ok(out)
}

pub(in crate::doctor) fn secrets(context: &CheckContext<'_>) -> Findings {
    let mut out = Vec::new();
    for secret in &context.app.secrets {
        let path = context.layout.credential(secret.name.as_str());
        if context.host.root.meta(&path)?.is_none() {
            out.push(error(
                format!("the secret `{}` is missing", secret.name),
                format!(
                    "sudo install -D -m 600 FILE {}",
                    context.host.root.path(&path).display()
                ),
            ));
        }
    }
    Ok(out)
}
