//! Numbers with their nouns.

use std::fmt::Display;

/// A number and a noun, in the plural unless the number is one.
pub(in crate::cli) fn counted<N: Copy + Display + PartialEq + From<u8>>(
    number: N,
    noun: &str,
) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
