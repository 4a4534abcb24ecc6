//! The maintainer scripts (Debian Policy, chapter 6).

use super::control::version;
use crate::app::{App, Name};
use crate::tree::{Entry, FileTree};
use anyhow::Result;
use askama::Template;

#[derive(Template)]
#[template(path = "deb/postinst.sh", config = "packaging/askama.toml")]
struct Postinst<'a> {
    app: &'a str,
    package: &'a str,
    version: String,
    environment: &'a str,
}

#[derive(Template)]
#[template(path = "deb/prerm.sh", config = "packaging/askama.toml")]
struct Prerm<'a> {
    app: &'a str,
    package: &'a str,
}

#[derive(Template)]
#[template(path = "deb/postrm.sh", config = "packaging/askama.toml")]
struct Postrm<'a> {
    app: &'a str,
    package: &'a str,
}

/// The scripts, below `/DEBIAN`.
///
/// # Errors
/// When a value is more than a word: the types of [`App`] allow none.
pub(crate) fn scripts(app: &App) -> Result<FileTree> {
    let (name, package) = (app.name.as_str(), app.package.name.as_str());
    let postinst = Postinst {
        app: name,
        package,
        version: version(app),
        environment: app.environment.as_ref().map_or("", Name::as_str),
    };
    let texts = [
        ("postinst", postinst.render()?),
        ("prerm", Prerm { app: name, package }.render()?),
        ("postrm", Postrm { app: name, package }.render()?),
    ];
    let mut tree = FileTree::default();
    for (script, text) in texts {
        let bytes = (text + "\n").into_bytes();
        tree.insert(
            format!("/DEBIAN/{script}"),
            Entry::File { mode: 0o755, bytes },
        );
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::scripts;
    use crate::app::App;
    use crate::host::Command;
    use crate::manifest::parse;

    #[test]
    fn a_shell_reads_every_script() {
        let text = "[app]\nname = \"shop\"\nversion = \"1.0-rc1\"\n[package]\nname = \"acme-shop\"\n\
                    [service.web]\nexec = [\"/bin/w\"]\n[environment.test.env]\nA = \"1\"\n";
        let app = App::from_manifest(&parse(text).unwrap(), Some("test")).unwrap();
        let tree = scripts(&app).unwrap();
        assert_eq!(tree.len(), 3);
        for (path, entry) in tree.iter() {
            let text = entry.text();
            Command::new(["sh", "-n"])
                .input(text.clone())
                .run()
                .unwrap();
            assert!(text.contains("acme-shop"), "{path}");
            assert!(text.contains("shop-test"), "{path}");
        }
        let postinst = tree.get("/DEBIAN/postinst").unwrap().text();
        for part in [
            "
environment='test'
",
            "deploy --from-package 'shop-test' --apply --wait 300",
        ] {
            assert!(postinst.contains(part), "{postinst}");
        }
        assert!(
            postinst.contains("version 1.0~rc1 is installed"),
            "{postinst}"
        );
    }
}
