//! `@da`, dates: 64 bits of seconds above 64 bits of their fraction, counted from a year long before all others.
//!
//! `spec/eventlog.md` section 5 has the relation to Unix time, the same as vere's.

use std::time::{Duration, SystemTime};

use super::TextError;

/// The seconds of a date at the beginning of 1970.
const UNIX_EPOCH: u64 = 0x8000_000c_ce9e_0d80;
const DAY: i128 = 86_400;
/// Days in 400 years, after which the calendar repeats.
const ERA: i128 = 146_097;
/// Days from the first of March of the year 0 to the beginning of 1970.
const MARCH_TO_EPOCH: i128 = 719_468;
/// The first year that a date can name is `292277024401-`, and the last one has as many digits.
const YEAR_DIGITS: usize = 12;

/// The date of a Unix time in seconds and microseconds (below a million). As in vere, a fraction has 16 bits, so a
/// date names a time to 15 microseconds.
#[must_use]
pub fn from_unix(seconds: u64, micros: u32) -> u128 {
    let fraction = (u64::from(micros) << 16) / 1_000_000;
    u128::from(UNIX_EPOCH.wrapping_add(seconds)) << 64 | u128::from(fraction << 48)
}

/// Unix time in seconds and microseconds; nothing for a date before 1970.
#[must_use]
pub fn to_unix(date: u128) -> Option<(u64, u32)> {
    let seconds = seconds(date).checked_sub(UNIX_EPOCH)?;
    let micros = ((fraction(date) >> 48) * 1_000_000) >> 16;
    u32::try_from(micros).ok().map(|micros| (seconds, micros))
}

/// The date of a clock's time; that of 1970 if the clock shows an earlier one.
#[must_use]
pub fn from_system_time(time: SystemTime) -> u128 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    from_unix(since.as_secs(), since.subsec_micros())
}

/// The time that a clock shows at a date; nothing for one before 1970 or later than clocks go.
#[must_use]
pub fn to_system_time(date: u128) -> Option<SystemTime> {
    let (seconds, micros) = to_unix(date)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds) + Duration::from_micros(micros.into()))
}

/// Whole milliseconds from one date to a later one, 0 if it is not later, as vere counts them for its timers.
#[must_use]
pub fn gap_ms(now: u128, then: u128) -> u64 {
    let gap = then.saturating_sub(now);
    let millis = ((fraction(gap) >> 48) * 1000) >> 16;
    seconds(gap).saturating_mul(1000).saturating_add(millis)
}

/// A date as text: `~2026.11.23..02.06.58..3380`, without the parts at the end that are zero. Month and day have no
/// leading zeros: kernels before and after UIP-135 read that.
#[must_use]
pub fn format(date: u128) -> String {
    let since = i128::from(seconds(date)) - i128::from(UNIX_EPOCH);
    let (days, second) = (since.div_euclid(DAY), since.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let mut text = if year > 0 {
        format!("~{year}")
    } else {
        format!("~{}-", 1 - year)
    };
    text.push_str(&format!(".{month}.{day}"));
    if second != 0 || fraction(date) != 0 {
        text.push_str(&format!(
            "..{:02}.{:02}.{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        ));
    }
    if fraction(date) != 0 {
        text.push('.');
        let mut rest = fraction(date);
        while rest != 0 {
            text.push_str(&format!(".{:04x}", rest >> 48));
            rest <<= 16;
        }
    }
    text
}

/// The date that a text stands for. Month and day may have one leading zero. Unlike Hoon, which counts on into the next
/// unit, it takes no 31st of February and no 25th hour.
///
/// # Errors
/// If the text is not a date, or one before or after those that 64 bits of seconds can count.
pub fn parse(text: &str) -> Result<u128, TextError> {
    parsed(text).ok_or_else(|| TextError::new(text, "a date (@da) like ~2026.11.23..02.06.58..3380"))
}

fn parsed(text: &str) -> Option<u128> {
    let mut parts = text.strip_prefix('~')?.split("..");
    let (date, time, fractions) = (parts.next()?, parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    let [year, month, day] = fields(date)?;
    let (year, month, day) = (parse_year(year)?, short(month, 2)?, short(day, 2)?);
    // A day that its month does not have comes back as another one.
    let days = days_from_civil(year, month, day);
    if civil(days) != (year, month, day) {
        return None;
    }
    let [hour, minute, second] = match time {
        Some(time) => fields(time)?,
        None => ["0"; 3],
    };
    let (hour, minute, second) = (short(hour, 2)?, short(minute, 2)?, short(second, 2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let since = days * DAY + hour * 3600 + minute * 60 + second;
    let seconds = u64::try_from(since + i128::from(UNIX_EPOCH)).ok()?;
    let fraction = fractions.map_or(Some(0), parse_fraction)?;
    Some(u128::from(seconds) << 64 | u128::from(fraction))
}

/// A year without leading zeros; one before Christ ends with `-`.
fn parse_year(text: &str) -> Option<i128> {
    let (digits, before_christ) = text
        .strip_suffix('-')
        .map_or((text, false), |digits| (digits, true));
    if digits.starts_with('0') {
        return None;
    }
    let year = short(digits, YEAR_DIGITS)?;
    Some(if before_christ { 1 - year } else { year })
}

/// Up to four groups of four digits.
fn parse_fraction(text: &str) -> Option<u64> {
    let mut fraction = 0;
    for (at, group) in text.split('.').enumerate() {
        let hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        if at == 4 || group.len() != 4 || !group.bytes().all(hex) {
            return None;
        }
        fraction |= u64::from_str_radix(group, 16).ok()? << (48 - 16 * at);
    }
    Some(fraction)
}

/// Three fields with dots between them.
fn fields(text: &str) -> Option<[&str; 3]> {
    let mut fields = text.split('.');
    let three = [fields.next()?, fields.next()?, fields.next()?];
    fields.next().is_none().then_some(three)
}

/// A number of at most so many digits, with nothing else in it.
fn short(text: &str, digits: usize) -> Option<i128> {
    let good = text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if good { text.parse().ok() } else { None }
}

/// Year (the one before 1 is 0), month and day of a number of days since 1970. Years are counted from March here, so
/// that the leap day is the last of its year.
fn civil(days: i128) -> (i128, i128, i128) {
    let days = days + MARCH_TO_EPOCH;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let day = day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year + i128::from(month <= 2), month, day)
}

/// Days since 1970; the inverse of `civil` for days that exist.
fn days_from_civil(year: i128, month: i128, day: i128) -> i128 {
    let year = year - i128::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day = (153 * march_month + 2) / 5 + day - 1;
    era * ERA + year * 365 + year / 4 - year / 100 + day - MARCH_TO_EPOCH
}

fn seconds(date: u128) -> u64 {
    (date >> 64) as u64
}

fn fraction(date: u128) -> u64 {
    date as u64
}
