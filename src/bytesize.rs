//! Sizes as people read them: `812 B`, `1.46 KiB`, `32.00 MiB`.

/// A number of bytes with the largest binary unit that fits, to two decimals.
pub fn format_bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}
