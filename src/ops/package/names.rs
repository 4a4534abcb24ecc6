//! Names that the archive of the distribution has: apt would take the wrong package at the next upgrade.

use crate::host::{Command, is_installed};
use anyhow::Result;

/// Parts of an archive's address, such as `http://deb.debian.org/debian bookworm/main`.
const ARCHIVES: [&str; 4] = ["/debian ", "/debian-security ", "/ubuntu ", "/raspbian "];

/// Why the name is taken, as far as apt on this machine knows.
pub(super) fn in_archive(name: &str) -> Result<Option<String>> {
    if !is_installed("apt-cache") {
        return Ok(None);
    }
    let output = Command::new(["apt-cache", "madison", "--", name]).output()?;
    Ok(taken(&output.stdout))
}

/// The first archive of a distribution that `apt-cache madison` lists.
fn taken(listed: &str) -> Option<String> {
    let places = listed.lines().filter_map(|line| line.rsplit_once('|'));
    let mut places = places.map(|(_, place)| place.trim());
    let place = places.find(|place| ARCHIVES.iter().any(|archive| place.contains(archive)))?;
    let address = place.split(' ').next().unwrap_or(place);
    Some(format!("{address} has a package of that name"))
}

#[cfg(test)]
mod tests {
    use super::taken;

    #[test]
    fn only_an_archive_of_a_distribution_takes_a_name() {
        let debian =
            " nginx | 1.22.1-9 | http://deb.debian.org/debian bookworm/main amd64 Packages\n";
        assert_eq!(
            taken(debian).unwrap(),
            "http://deb.debian.org/debian has a package of that name"
        );
        let own = " shop | 1.0 | https://apt.example.org/stable ./ Packages\n";
        assert_eq!(taken(own), None);
        assert_eq!(taken(""), None);
        assert!(taken(&format!("{own}{debian}")).is_some());
    }
}
