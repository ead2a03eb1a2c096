//! Numbers as `strtoul` with base 0 takes them: decimal, `0x` hexadecimal, `0` octal (`spec/cli.md` section 2).

use std::ops::RangeInclusive;

/// Reads a number that fits.
pub(super) fn number<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let (digits, radix) = match text.strip_prefix('0') {
        Some(rest) => match rest.strip_prefix(['x', 'X']) {
            Some(digits) => (digits, 16),
            None if rest.is_empty() => (text, 10),
            None => (rest, 8),
        },
        None => (text, 10),
    };
    // `from_str_radix` takes a sign.
    if digits.starts_with('+') {
        return Err("not a number".to_owned());
    }
    let value = u64::from_str_radix(digits, radix).map_err(|error| error.to_string())?;
    T::try_from(value).map_err(|_| format!("{value} is too large"))
}

/// Reads a number of a range.
pub(super) fn within<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync
where
    T: TryFrom<u64> + PartialOrd + std::fmt::Display + Clone + Send + Sync,
{
    move |text| {
        let value = number(text)?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(format!("{value} is not in {} to {}", range.start(), range.end()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_as_strtoul_takes_them() {
        for (text, value) in [("0", 0), ("31", 31), ("0x1f", 31), ("0X1F", 31), ("037", 31)] {
            assert_eq!(number::<u64>(text), Ok(value), "{text}");
        }
        for text in ["", "0x", "08", "-1", "+1", "1 ", "0x-1", "99999999999999999999"] {
            number::<u64>(text).unwrap_err();
        }
        assert_eq!(number::<u16>("65535"), Ok(65535));
        number::<u16>("65536").unwrap_err();
    }

    #[test]
    fn a_range_is_kept() {
        let loom = within(20..=33_u8);
        assert_eq!(loom("0x1f"), Ok(31));
        assert_eq!(loom("19").unwrap_err(), "19 is not in 20 to 33");
        loom("34").unwrap_err();
    }
}
