//! Values that a unit file contains without quotes.
//!
//! systemd removes white space from both ends of such a value and joins a line that ends with a
//! backslash to the next one (systemd.syntax(7)). Values that this would change are refused.

use super::names::{Text, newtype};

newtype! {
    /// The rest of a line, such as `Description=`.
    Line
}

impl Line {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Text::parse(text)?;
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err("remove the spaces at the start and the end: systemd drops them");
        }
        if text.ends_with('\\') {
            return Err(
                "remove the `\\` at the end: systemd would join the next line of the unit to it",
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The line, followed by a remark.
    #[must_use]
    pub fn followed_by(&self, remark: &'static str) -> Self {
        Self(format!("{self}{remark}"))
    }
}

newtype! {
    /// `OnCalendar=`: the characters that systemd.time(7) allows. `systemd-analyze verify` checks
    /// whether they make a date.
    Calendar
}

impl Calendar {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let fits = |c: char| c.is_ascii_alphanumeric() || " *-/,:.~+_".contains(c);
        if text.is_empty() || !text.chars().all(fits) {
            return Err("use only letters, digits and `*-/,:.~+_` (systemd.time(7))");
        }
        Line::parse(text)?;
        Ok(Self(text.to_owned()))
    }
}

newtype! {
    /// `DeviceAllow=`: a node or a group of nodes, and the access to it
    /// (systemd.resource-control(5)).
    Device
}

impl Device {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (node, access) = text
            .split_once(' ')
            .ok_or("write the node and the access, such as `/dev/spidev0.0 rw`")?;
        let path = node.strip_prefix("/dev/").is_some_and(|rest| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "/_.:,@+-".contains(c);
            let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
            rest.chars().all(fits) && rest.split('/').all(plain)
        });
        let group = node
            .strip_prefix("char-")
            .or_else(|| node.strip_prefix("block-"))
            .is_some_and(|name| {
                let fits = |c: char| c.is_ascii_alphanumeric() || "/_.*-".contains(c);
                !name.is_empty() && name.chars().all(fits)
            });
        if !path && !group {
            return Err("write `/dev/…`, `char-…` or `block-…` as the node");
        }
        let known = access.chars().all(|c| "rwm".contains(c));
        let once = |c: char| access.matches(c).count() == 1;
        if access.is_empty() || !known || !access.chars().all(once) {
            return Err("write the access with `r`, `w` and `m`, each at most once");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Calendar, Device, Line};

    #[test]
    fn a_line_that_systemd_would_change_is_refused() {
        for good in ["", "a  b", "50% \\o/ $x \"q\"", "\u{a0}a\u{a0}"] {
            assert!(Line::parse(good).is_ok(), "{good:?}");
        }
        for bad in [" a", "a ", " ", "a\\", "\\", "a\tb", "a\nb"] {
            assert!(Line::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn calendars_have_the_characters_of_systemd_time() {
        for good in [
            "hourly",
            "Mon..Fri *-*-* 03:30:00 Europe/Berlin",
            "*-02~01 00/2:15,45:00.5 UTC",
        ] {
            assert!(Calendar::parse(good).is_ok(), "{good:?}");
        }
        for bad in [
            "", " daily", "daily ", "daily; x", "da%ily", "täglich", "a\\",
        ] {
            assert!(Calendar::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn devices_have_a_node_and_an_access() {
        for good in [
            "/dev/spidev0.0 rw",
            "char-rtc r",
            "block-* m",
            "/dev/snd/pcm rwm",
        ] {
            assert!(Device::parse(good).is_ok(), "{good:?}");
        }
        for bad in [
            "/dev/x",
            "/dev/x ",
            "/dev/x  rw",
            "/dev/x rr",
            "/dev/x rx",
            "/dev/../x r",
            "/dev/ r",
            "/etc/x r",
            "char- r",
            "/dev/%i r",
            "/dev/a b r",
        ] {
            assert!(Device::parse(bad).is_err(), "{bad:?}");
        }
    }
}
