//! A network prefix, as a manifest lists it and as systemd filters by it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address, or all addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why a text is not a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadPrefix {
    /// It is neither an address nor a prefix.
    Syntax,
    /// The length is larger than the number of bits of such an address.
    Length {
        /// The number of bits.
        longest: u8,
    },
    /// Bits after the prefix are set.
    HostBits {
        /// The prefix without these bits.
        prefix: Prefix,
        /// The address alone.
        address: Prefix,
    },
    /// It contains every address of a family.
    Everything,
    /// It is an IPv4 address in the form of IPv6, which no packet carries.
    Mapped(Ipv4Addr),
}

impl Prefix {
    /// The IPv4 and IPv6 addresses of the loopback interface. systemd calls them `localhost`.
    pub const LOOPBACK: [Self; 2] = [
        Self {
            address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            length: 8,
        },
        Self::host(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];

    /// One address.
    pub const fn host(address: IpAddr) -> Self {
        let length = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        Self { address, length }
    }

    /// Parses `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, BadPrefix> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadPrefix::Syntax)?;
        if let IpAddr::V6(six) = address
            && let Some(four) = six.to_ipv4_mapped()
        {
            return Err(BadPrefix::Mapped(four));
        }
        let host = Self::host(address);
        let Some(length) = length else {
            return Ok(host);
        };
        let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
        if length.is_empty() || !is_number || (length.len() > 1 && length.starts_with('0')) {
            return Err(BadPrefix::Syntax);
        }
        let longest = host.length;
        let length = length.parse().ok().filter(|length| *length <= longest);
        let length = length.ok_or(BadPrefix::Length { longest })?;
        if length == 0 {
            return Err(BadPrefix::Everything);
        }
        let prefix = host.shortened(length);
        if prefix.address != address {
            let address = host;
            return Err(BadPrefix::HostBits { prefix, address });
        }
        Ok(prefix)
    }

    /// The prefix of this length that contains it.
    fn shortened(self, length: u8) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        };
        Self { address, length }
    }

    /// Whether it contains no address but those of the loopback interface.
    pub fn is_loopback(&self) -> bool {
        Self::LOOPBACK.iter().any(|one| one.covers(self))
    }

    /// Whether it contains every address of another prefix.
    pub fn covers(&self, other: &Self) -> bool {
        other.address.is_ipv4() == self.address.is_ipv4()
            && other.length >= self.length
            && other.shortened(self.length) == *self
    }
}

/// As in `IPAddressAllow=`: one address has no length.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if Self::host(self.address) == *self {
            return Ok(());
        }
        write!(f, "/{}", self.length)
    }
}

/// The value of `IPAddressAllow=`: each prefix once, and `localhost` for the loopback interface.
pub fn words(prefixes: &[Prefix]) -> String {
    let is_whole = Prefix::LOOPBACK.iter().all(|one| prefixes.contains(one));
    let mut words = Vec::new();
    if is_whole {
        words.push("localhost".to_owned());
    }
    for prefix in prefixes {
        let word = prefix.to_string();
        if !words.contains(&word) && (!is_whole || !prefix.is_loopback()) {
            words.push(word);
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{BadPrefix, Prefix, words};

    #[test]
    fn a_prefix_is_written_as_it_was_read() {
        for text in [
            "192.0.2.7",
            "192.0.2.0/24",
            "128.0.0.0/1",
            "2001:db8::/32",
            "2001:db8::1",
            "fe80::/64",
        ] {
            assert_eq!(Prefix::parse(text).unwrap().to_string(), text);
        }
        for (text, shown) in [
            ("192.0.2.7/32", "192.0.2.7"),
            ("2001:DB8:0:0::/32", "2001:db8::/32"),
        ] {
            assert_eq!(Prefix::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_bad_prefix_breaks_one_rule() {
        let prefix = |text| Prefix::parse(text).unwrap();
        for (text, expected) in [
            ("", BadPrefix::Syntax),
            ("db.example.org", BadPrefix::Syntax),
            ("192.0.2", BadPrefix::Syntax),
            ("192.0.2.0/", BadPrefix::Syntax),
            ("192.0.2.0/+24", BadPrefix::Syntax),
            ("192.0.2.0/024", BadPrefix::Syntax),
            ("192.0.2.7:80", BadPrefix::Syntax),
            ("fe80::1%eth0", BadPrefix::Syntax),
            ("192.0.2.0/33", BadPrefix::Length { longest: 32 }),
            ("192.0.2.0/300", BadPrefix::Length { longest: 32 }),
            ("2001:db8::/129", BadPrefix::Length { longest: 128 }),
            ("0.0.0.0/0", BadPrefix::Everything),
            ("::/0", BadPrefix::Everything),
            (
                "::ffff:192.0.2.7",
                BadPrefix::Mapped("192.0.2.7".parse().unwrap()),
            ),
            (
                "192.0.2.7/24",
                BadPrefix::HostBits {
                    prefix: prefix("192.0.2.0/24"),
                    address: prefix("192.0.2.7"),
                },
            ),
            (
                "2001:db8::1/64",
                BadPrefix::HostBits {
                    prefix: prefix("2001:db8::/64"),
                    address: prefix("2001:db8::1"),
                },
            ),
        ] {
            assert_eq!(Prefix::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn loopback_prefixes_are_recognised() {
        for (text, expected) in [
            ("127.0.0.0/8", true),
            ("127.0.0.53", true),
            ("::1", true),
            ("126.0.0.0/7", false),
            ("192.0.2.0/24", false),
            ("::/127", false),
        ] {
            let prefix = Prefix::parse(text).unwrap();
            assert_eq!(prefix.is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn a_list_has_each_prefix_once_and_a_word_for_loopback() {
        let parse = |text: &&str| Prefix::parse(text).unwrap();
        let list = |texts: &[&str]| texts.iter().map(parse).collect::<Vec<_>>();
        assert_eq!(words(&list(&["127.0.0.53"])), "127.0.0.53");
        assert_eq!(
            words(&list(&["192.0.2.0/24", "::1", "127.0.0.53", "127.0.0.0/8"])),
            "localhost 192.0.2.0/24"
        );
        assert_eq!(words(&list(&["192.0.2.1", "192.0.2.1/32"])), "192.0.2.1");
        assert_eq!(words(&[]), "");
    }
}
