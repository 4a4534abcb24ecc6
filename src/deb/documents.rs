//! Copyright and changelog (Debian Policy 12.5 and 12.7).

use super::control::version;
use crate::app::App;
use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// The copyright file, in the machine-readable format.
pub(crate) fn copyright(app: &App, maintainer: &str, date: Timestamp) -> String {
    let year = date.to_zoned(jiff::tz::TimeZone::UTC).year();
    let (license, text) = match &app.package.license {
        Some(license) => (license.to_string(), "The files of the app say more."),
        None => (
            "all-rights-reserved".to_owned(),
            "The authors have not given a license to others.",
        ),
    };
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: {}\n\nFiles: *\nCopyright: {year} {maintainer}\nLicense: {license}\n {text}\n",
        app.name
    )
}

/// The changelog of an app that has none: one entry for this version.
pub(crate) fn changelog(app: &App, maintainer: &str, date: Timestamp) -> Result<String> {
    let date = rfc2822::DateTimePrinter::new()
        .timestamp_to_string(&date)
        .context("writing the date of the changelog")?;
    // The form with the time zone as numbers is the one that Debian reads.
    let date = date.replace("-0000", "+0000");
    Ok(format!(
        "{} ({}) unstable; urgency=medium\n\n  * Version {}.\n\n -- {maintainer}  {date}\n",
        app.package.name,
        version(app),
        app.version
    ))
}

/// Tags of lintian(1) about files that the app brings and no one wrote for Debian.
const OF_THE_PAYLOAD: &[&str] = &[
    "absolute-symlink-in-top-level-folder",
    "binary-without-manpage",
    "custom-library-search-path",
    "embedded-library",
    "executable-not-elf-or-script",
    "extra-license-file",
    "library-not-linked-against-libc",
    "missing-dep-for-interpreter",
    "national-encoding",
    "package-contains-documentation-outside-usr-share-doc",
    "package-installs-python-pycache-dir",
    "script-not-executable",
    "shared-library-lacks-prerequisites",
    "statically-linked-binary",
    "unstripped-binary-or-object",
    "unusual-interpreter",
    "wrong-path-for-interpreter",
];

/// What lintian(1) should not report of the payload.
pub(crate) fn overrides(app: &App) -> String {
    let name = app.package.name.as_str();
    let place = app.layout.packaged_payload();
    let place = place.trim_start_matches('/');
    let mut text =
        "# The payload is the release of the app as its developers made it.\n".to_owned();
    for tag in OF_THE_PAYLOAD {
        text += &format!("{name}: {tag} *[{place}/*]\n");
    }
    text
}

/// The date of the newest entry of a changelog; `None` when it has no entry that is complete.
pub(crate) fn changelog_date(text: &str) -> Option<Timestamp> {
    let line = text.lines().find_map(|line| line.strip_prefix(" -- "))?;
    let (_, date) = line.split_once(">  ")?;
    let date = rfc2822::DateTimeParser::new().parse_timestamp(date.trim());
    date.ok()
}

#[cfg(test)]
mod tests {
    use super::{changelog, changelog_date};
    use crate::app::App;
    use crate::manifest::parse;
    use jiff::Timestamp;

    #[test]
    fn the_date_of_a_changelog_is_that_of_its_newest_entry() {
        let text =
            "[app]\nname = \"shop\"\nversion = \"1.0\"\n[service.web]\nexec = [\"/bin/w\"]\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        let date = Timestamp::from_second(1_764_547_200).unwrap();
        let text = changelog(&app, "Ann <ann@example.org>", date).unwrap();
        let end = " -- Ann <ann@example.org>  Mon, 1 Dec 2025 00:00:00 +0000\n";
        assert!(
            text.starts_with("shop (1.0) unstable; urgency=medium\n\n  * "),
            "{text}"
        );
        assert!(text.ends_with(end), "{text}");
        let older = text.replace("1 Dec", "30 Nov");
        assert_eq!(changelog_date(&format!("{text}\n{older}")), Some(date));
        for none in ["", "shop (1.0) unstable\n", " -- Ann <a@b>  soon\n"] {
            assert_eq!(changelog_date(none), None, "{none}");
        }
    }
}
