//! `Provenance`: what was proved of an archive before robotctl read it. Records, plans and events share it.

use crate::error::HintedError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The one algorithm of a digest, as it is written before the `:`.
const ALGORITHM: &str = "sha256";
/// How many hexadecimal digits such a digest has.
const DIGITS: usize = 64;

/// What was proved of an archive before robotctl read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// The digest of the archive: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The principal in the file of allowed signers whose key signed the archive (ssh-keygen(1), "ALLOWED SIGNERS").
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signer: Option<String>,
}

impl Provenance {
    /// The signer in a few words, or the digest if there is no signature.
    pub fn in_words(&self) -> String {
        match &self.signer {
            Some(signer) => format!("signed by {signer}"),
            None => format!("digest {}", self.digest),
        }
    }
}

/// A digest as robotctl writes it.
pub fn shown_digest(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{ALGORITHM}:{}", digits.concat())
}

/// Refuses a text that is not a digest as robotctl writes it.
///
/// # Errors
/// A sentence about what is wrong with it.
pub fn check_digest(text: &str) -> Result<(), HintedError> {
    let refuse = |what: &str| {
        Err(HintedError::new(
            format!("`{text}` in `--digest` {what}"),
            "write `sha256:` and the 64 digits that `sha256sum FILE` prints",
        ))
    };
    let Some((algorithm, digits)) = text.split_once(':') else {
        return refuse("does not name its algorithm");
    };
    if algorithm != ALGORITHM {
        return refuse("has an algorithm that robotctl does not know");
    }
    let is_upper = |c: char| c.is_ascii_hexdigit() && c.is_ascii_uppercase();
    if digits.chars().any(is_upper) {
        return refuse("has upper-case digits");
    }
    if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return refuse("has a character that is not a hexadecimal digit");
    }
    match digits.len() {
        DIGITS => Ok(()),
        count => refuse(&format!("has {count} digits")),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_digest, shown_digest};

    #[test]
    fn a_digest_is_written_in_one_way() {
        let good = shown_digest(&[0xab; 32]);
        check_digest(&good).unwrap();
        for (text, what) in [
            (good.trim_start_matches("sha256:"), "does not name"),
            (&good.replace("256", "512"), "an algorithm that"),
            (&good.to_uppercase(), "an algorithm that"),
            (&good.replace("ab", "AB"), "upper-case"),
            (&good.replace("ab", "xy"), "not a hexadecimal digit"),
            (&good.replacen("ab", "", 1), "has 62 digits"),
            ("sha256:", "has 0 digits"),
            ("", "does not name"),
        ] {
            let message = check_digest(text).unwrap_err().message;
            assert!(message.contains(what), "{message}");
        }
    }
}
