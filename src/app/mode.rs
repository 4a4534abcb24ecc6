//! The mode of a directory of the services.

use std::fmt;

/// The permission bits of a directory (chmod(1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(u32);

impl Mode {
    /// The user can do everything, and the group can read.
    pub const PRIVATE: Self = Self(0o750);

    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_octal = (3..=4).contains(&text.len()) && text.chars().all(|c| c.is_digit(8));
        let mode = u32::from_str_radix(text, 8).ok().filter(|_| is_octal);
        let mode = mode.ok_or("write three or four octal digits, such as `0750` or `2770`")?;
        if mode & 0o700 != 0o700 {
            return Err("let the user of the services read, write and enter it: `07..`");
        }
        if mode & 0o002 != 0 {
            return Err("do not let every user of the host write there: end it with `0` or `5`");
        }
        if mode & 0o4000 != 0 {
            return Err(
                "the first digit is `0`, `1` (sticky), `2` (setgid) or `3`: a directory is not setuid",
            );
        }
        Ok(Self(mode))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Mode;

    #[test]
    fn a_mode_lets_the_services_in_and_keeps_the_world_from_writing() {
        for (text, shown) in [
            ("750", "0750"),
            ("0700", "0700"),
            ("2770", "2770"),
            ("3775", "3775"),
        ] {
            assert_eq!(Mode::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "", "7", "0x750", "+750", "0758", "rwx", "00750", "0777", "0550", "4750", "1777",
        ] {
            assert!(Mode::parse(text).is_err(), "{text}");
        }
    }
}
