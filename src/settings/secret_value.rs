//! The value of a secret: what systemd can deliver, and the fingerprint that people compare.

use crate::host::random_hex;
use anyhow::Result;
use std::fmt;
use std::hint::black_box;

/// The most bytes of a credential (`CREDENTIAL_SIZE_MAX` of systemd; systemd.exec(5), `LoadCredential=`).
pub(crate) const MAX_SECRET_BYTES: u64 = 1024 * 1024;
/// The most bytes of a name and its value, without `=` and the end (execve(2), `MAX_ARG_STRLEN`).
const MAX_VARIABLE_BYTES: usize = 128 * 1024 - 2;
/// How many hexadecimal digits a fingerprint has. They are few on purpose: a person who sees one
/// and has a list of ten million guesses cannot find out which guess is right.
const FINGERPRINT_DIGITS: usize = 6;
/// Makes the hash of a fingerprint differ from every other hash of the same bytes.
const FINGERPRINT_CONTEXT: &str = "robotctl 2026 fingerprint of a secret";

/// A value. Its bytes are in no message, and they are cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretValue(Vec<u8>);

impl SecretValue {
    /// The value, unless systemd could not deliver it. The error is a clause about it.
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self, &'static str> {
        let value = Self(bytes);
        if value.0.is_empty() {
            return Err("is empty");
        }
        let len = u64::try_from(value.0.len()).unwrap_or(u64::MAX);
        if len > MAX_SECRET_BYTES {
            return Err("is larger than 1 MiB, and systemd loads no more");
        }
        Ok(value)
    }

    /// A value of random bytes, in hexadecimal.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub(crate) fn generate(bytes: u16) -> Result<Self> {
        Ok(Self(random_hex(usize::from(bytes))?.into_bytes()))
    }

    /// Why no environment variable can hold it, as a clause; `None` if one can (execve(2)).
    pub(crate) fn variable_fault(&self, variable: &str) -> Option<&'static str> {
        let len = variable.len().saturating_add(self.0.len());
        if self.0.contains(&0) {
            return Some("has a NUL byte, which no environment variable can have");
        }
        (len > MAX_VARIABLE_BYTES)
            .then_some("is larger than an environment variable can be, 128 KiB")
    }

    /// The bytes, to write them where the value belongs.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A few digits that are the same on two hosts if the value is the same, byte for byte.
    pub(crate) fn fingerprint(&self) -> String {
        let key = blake3::derive_key(FINGERPRINT_CONTEXT, &self.0);
        let digits = blake3::Hash::from_bytes(key).to_hex();
        digits.chars().take(FINGERPRINT_DIGITS).collect()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue")
    }
}

impl Drop for SecretValue {
    fn drop(&mut self) {
        self.0.fill(0);
        // The compiler must not leave out the line above.
        black_box(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_SECRET_BYTES, SecretValue};

    #[test]
    fn a_value_that_systemd_cannot_deliver_is_refused() {
        let max = usize::try_from(MAX_SECRET_BYTES).unwrap();
        for (bytes, wrong) in [
            (Vec::new(), Some("is empty")),
            (vec![b'x'], None),
            (vec![0], None),
            (vec![b'x'; max], None),
            (
                vec![b'x'; max + 1],
                Some("is larger than 1 MiB, and systemd loads no more"),
            ),
        ] {
            let len = bytes.len();
            assert_eq!(SecretValue::new(bytes).err(), wrong, "{len}");
        }
    }

    #[test]
    fn a_value_that_no_variable_can_have_is_refused() {
        for (value, wrong) in [
            (b"a\n\"$`\\% '\xff".to_vec(), None),
            (b"a\0".to_vec(), Some("has a NUL byte")),
            (vec![b'x'; 131_067], None),
            (vec![b'x'; 131_068], Some("is larger than")),
        ] {
            let len = value.len();
            let found = SecretValue::new(value).unwrap().variable_fault("KEY");
            assert_eq!(found.is_some(), wrong.is_some(), "{len}");
            assert!(
                found
                    .unwrap_or_default()
                    .starts_with(wrong.unwrap_or_default())
            );
        }
    }

    #[test]
    fn equal_values_have_equal_fingerprints_and_no_text_shows_the_value() {
        let value = |text: &str| SecretValue::new(text.into()).unwrap();
        let of = |text| value(text).fingerprint();
        assert_eq!(of("hunter2"), of("hunter2"));
        assert_eq!(of("hunter2").len(), 6);
        assert_ne!(of("hunter2"), of("hunter2\n"));
        let plain = blake3::hash(b"hunter2").to_hex();
        assert!(!plain.starts_with(&of("hunter2")));
        assert_eq!(format!("{:?}", value("hunter2")), "SecretValue");
    }

    #[test]
    fn a_generated_value_has_two_digits_a_byte() {
        let (one, other) = (SecretValue::generate(32), SecretValue::generate(32));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.bytes().len(), 64);
        assert_ne!(one, other);
    }
}
