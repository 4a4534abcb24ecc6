//! Sizes as people read them: `812 B`, `1.46 KiB`, `32.00 MiB`.

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes with the largest binary unit that fits, to two decimals.
pub fn format_bytes(count: u64) -> String {
    let mut unit = None;
    let mut size: u128 = 1;
    for name in UNITS {
        if u128::from(count) < size * 1024 {
            break;
        }
        size *= 1024;
        unit = Some(name);
    }
    let Some(unit) = unit else {
        return format!("{count} B");
    };
    let hundredths = div_half_even(u128::from(count) * 100, size);
    format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100)
}

/// A quotient rounded to the nearest integer, and to the even one of two that are equally near, as
/// `format!("{:.2}")` does.
fn div_half_even(dividend: u128, divisor: u128) -> u128 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Equal => quotient + quotient % 2,
        std::cmp::Ordering::Greater => quotient + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::format_bytes;

    /// Up to 8 PiB: from there on, indicatif counts in steps of more than one byte.
    #[test]
    fn sizes_are_formatted_as_indicatif_formats_them() {
        let powers = (0..53).map(|shift| 1_u64 << shift);
        let around = powers.flat_map(|power| [power - 1, power, power + 1, power + power / 8]);
        for count in around.chain([0, 15, 1_500, 1_152, 1_500_000_000]) {
            let expected = indicatif::BinaryBytes(count).to_string();
            assert_eq!(format_bytes(count), expected, "{count}");
        }
    }
}
