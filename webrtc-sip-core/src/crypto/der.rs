//! As much of DER (ITU-T X.690) as a self-signed certificate needs.

use std::time::{Duration, SystemTime};

const SECONDS_PER_DAY: u64 = 24 * 3600;

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut encoded = vec![tag];
    let len = content.len();
    if len < 0x80 {
        encoded.push(len as u8);
    } else {
        let bytes = len.to_be_bytes();
        let skip = bytes.iter().take_while(|byte| **byte == 0).count();
        encoded.push(0x80 | (bytes.len() - skip) as u8);
        encoded.extend_from_slice(&bytes[skip..]);
    }
    encoded.extend_from_slice(content);
    encoded
}

pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

pub(super) fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x31, &parts.concat())
}

/// The arcs are given as they are encoded.
pub(super) fn oid(encoded: &[u8]) -> Vec<u8> {
    element(0x06, encoded)
}

/// A positive number whose first byte is below 0x80 and not a superfluous 0.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    element(0x02, bytes)
}

pub(super) fn utf8_string(text: &str) -> Vec<u8> {
    element(0x0c, text.as_bytes())
}

pub(super) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    let mut content = vec![0];
    content.extend_from_slice(bytes);
    element(0x03, &content)
}

pub(super) fn explicit(number: u8, inner: &[u8]) -> Vec<u8> {
    element(0xa0 | number, inner)
}

/// UTCTime until 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5).
pub(super) fn time(at: SystemTime) -> Vec<u8> {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (year, month, day) = civil_date(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        element(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        element(0x18, format!("{year:04}{rest}").as_bytes())
    }
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn civil_date(days_since_epoch: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // Whole 400-year cycles first, so that the loops below are short whatever the clock says.
    let mut year = 1970 + days_since_epoch / 146_097 * 400;
    let mut days = days_since_epoch % 146_097;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_few_bytes_as_possible() {
        assert_eq!(element(4, &[0; 3])[..2], [4, 3]);
        assert_eq!(element(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(element(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn dates_are_right() {
        let at = |seconds| time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), b"\x17\x0d700101000000Z");
        assert_eq!(at(951_782_400 + 3_661), b"\x17\x0d000229010101Z");
        assert_eq!(at(2_524_608_000 - 1), b"\x17\x0d491231235959Z");
        assert_eq!(at(2_524_608_000), b"\x18\x0f20500101000000Z");
    }
}
