//! Numbers, exactly. Integers and decimals never pass through floating point.
//!
//! The same reading serves JSON numbers and numeric strings: a sign (also `+`), digits (also with leading zeros), a
//! fraction, an exponent. `NaN`, `Infinity`, hexadecimal, separators and surrounding space are not numbers.

use std::borrow::Cow;

use crate::scan::byte;

/// Why a text gave no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberFault {
    /// The text is not a number.
    Unreadable,
    /// It is one, but the column cannot hold it.
    OutOfRange,
    /// It has more decimals than the column's scale.
    Inexact,
    /// The column takes no numbers.
    WrongColumn,
}

/// A number taken apart; all in ASCII digits.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Saturated.
    exponent: i64,
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let len = text.iter().take_while(|b| b.is_ascii_digit()).count();
    text.split_at(len)
}

impl<'a> Parts<'a> {
    fn of(text: &'a [u8]) -> Option<Parts<'a>> {
        let (negative, rest) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        let (whole, mut rest) = digits(rest);
        if whole.is_empty() {
            return None;
        }
        let mut fraction: &[u8] = &[];
        if let Some((b'.', behind)) = rest.split_first() {
            (fraction, rest) = digits(behind);
            if fraction.is_empty() {
                return None;
            }
        }
        let mut exponent = 0_i64;
        if let Some((b'e' | b'E', behind)) = rest.split_first() {
            let (minus, behind) = match behind.split_first()? {
                (b'-', b) => (true, b),
                (b'+', b) => (false, b),
                _ => (false, behind),
            };
            let (power, behind) = digits(behind);
            if power.is_empty() {
                return None;
            }
            for d in power {
                exponent = exponent.saturating_mul(10).saturating_add(i64::from(d - b'0'));
            }
            if minus {
                exponent = -exponent;
            }
            rest = behind;
        }
        rest.is_empty().then_some(Parts { negative, whole, fraction, exponent })
    }

    /// The same number, to what any float can tell apart, with one digit before the point and the exponent that goes with it.
    fn normal(&self) -> String {
        /// No midpoint between two floats has more digits that are not zero; what follows them only breaks ties.
        const DIGITS_MAX: usize = 800;
        /// Far beyond every float.
        const BEYOND: i64 = 10_000;
        let mut digits = self.whole.iter().chain(self.fraction).copied().enumerate();
        let Some((zeros, first)) = digits.by_ref().find(|(_, d)| *d != b'0') else {
            return if self.negative { "-0" } else { "0" }.to_owned();
        };
        let before_point = i64::try_from(self.whole.len()).unwrap_or(i64::MAX);
        let zeros = i64::try_from(zeros).unwrap_or(i64::MAX);
        let exponent = self.exponent.saturating_add(before_point).saturating_sub(zeros).saturating_sub(1);
        let mut text = String::from(if self.negative { "-" } else { "" });
        text.push(char::from(first));
        text.push('.');
        let (mut kept, mut rest) = (0, b'0');
        for (_, digit) in digits {
            if kept < DIGITS_MAX {
                text.push(char::from(digit));
                kept += 1;
            } else if digit != b'0' {
                rest = b'1';
                break;
            }
        }
        text.push(char::from(rest));
        text.push_str(&format!("e{}", exponent.clamp(-BEYOND, BEYOND)));
        text
    }

    /// The value times 10^`shift`, cut to a whole number, and whether anything but zeros was cut.
    fn scaled(&self, shift: i64) -> Result<(u128, bool), NumberFault> {
        let written = self.whole.len() + self.fraction.len();
        // As many of the written digits stand in front of the point.
        let kept = i64::try_from(self.whole.len()).unwrap_or(i64::MAX);
        let kept = kept.saturating_add(self.exponent).saturating_add(shift);
        let mut value = 0_u128;
        let mut cut = false;
        for (i, d) in self.whole.iter().chain(self.fraction).enumerate() {
            if i64::try_from(i).unwrap_or(i64::MAX) < kept {
                let more = value.checked_mul(10).and_then(|v| v.checked_add(u128::from(d - b'0')));
                value = more.ok_or(NumberFault::OutOfRange)?;
            } else {
                cut |= *d != b'0';
            }
        }
        let zeros = kept.saturating_sub(i64::try_from(written).unwrap_or(i64::MAX));
        if value > 0 && zeros > 0 {
            // 10^39 is beyond 128 bits already.
            let power = u32::try_from(zeros).ok().and_then(|z| 10_u128.checked_pow(z));
            value = power.and_then(|p| value.checked_mul(p)).ok_or(NumberFault::OutOfRange)?;
        }
        Ok((value, cut))
    }
}

/// The integer a text stands for, decimals cut off towards zero (`5.9` is 5, `-0.5` is 0). The result holds every integer
/// type of the schema; the caller narrows it.
pub(crate) fn integer(text: &[u8]) -> Result<i128, NumberFault> {
    let parts = Parts::of(text).ok_or(NumberFault::Unreadable)?;
    let (magnitude, _) = parts.scaled(0)?;
    let value = i128::try_from(magnitude).map_err(|_| NumberFault::OutOfRange)?;
    Ok(if parts.negative { -value } else { value })
}

/// The unscaled value of a decimal of `precision` digits, `scale` of them behind the point.
pub(crate) fn decimal(text: &[u8], precision: u8, scale: u8) -> Result<i128, NumberFault> {
    let parts = Parts::of(text).ok_or(NumberFault::Unreadable)?;
    let (magnitude, cut) = parts.scaled(i64::from(scale))?;
    if cut {
        return Err(NumberFault::Inexact);
    }
    let limit = 10_u128.checked_pow(u32::from(precision)).unwrap_or(u128::MAX);
    if magnitude >= limit {
        return Err(NumberFault::OutOfRange);
    }
    let value = i128::try_from(magnitude).map_err(|_| NumberFault::OutOfRange)?;
    Ok(if parts.negative { -value } else { value })
}

/// The nearest `f64`.
pub(crate) fn float64(text: &[u8]) -> Result<f64, NumberFault> {
    let value: f64 = readable(text)?.parse().map_err(|_| NumberFault::Unreadable)?;
    if value.is_finite() { Ok(value) } else { Err(NumberFault::OutOfRange) }
}

/// The nearest `f32`, rounded once.
pub(crate) fn float32(text: &[u8]) -> Result<f32, NumberFault> {
    let value: f32 = readable(text)?.parse().map_err(|_| NumberFault::Unreadable)?;
    if value.is_finite() { Ok(value) } else { Err(NumberFault::OutOfRange) }
}

/// The text, if it is a number by the rule above: the standard library's reader knows `inf`, `nan` and `1.` as well.
fn readable(text: &[u8]) -> Result<Cow<'_, str>, NumberFault> {
    /// Beyond it the standard library's reader takes an exponent for this one, however many zeros make up for it.
    const EXPONENT_MAX: u64 = 10_000;
    let parts = Parts::of(text).ok_or(NumberFault::Unreadable)?;
    if parts.exponent.unsigned_abs() > EXPONENT_MAX {
        return Ok(Cow::Owned(parts.normal()));
    }
    std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| NumberFault::Unreadable)
}

/// The integer at `pos` and the place behind it, if it is written plainly: at most 18 digits, no fraction, no exponent.
#[inline(always)]
pub(crate) fn plain_integer(input: &[u8], pos: usize) -> Option<(i64, usize)> {
    let negative = byte(input, pos) == b'-';
    let start = pos + usize::from(negative);
    let (value, end) = plain_digits(input, start, 0);
    let plain = (1..=18).contains(&(end - start)) && !matches!(byte(input, end), b'.' | b'e' | b'E');
    plain.then(|| (if negative { -value } else { value }, end))
}

/// Goes on reading digits from `pos`; the value means nothing once there are more than 18.
#[inline(always)]
fn plain_digits(input: &[u8], mut pos: usize, mut value: i64) -> (i64, usize) {
    loop {
        let digit = byte(input, pos).wrapping_sub(b'0');
        if digit > 9 {
            return (value, pos);
        }
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        pos += 1;
    }
}

/// The number at `pos` without its point, how many digits stand behind the point, whether it is negative, and the place
/// behind it, if it is written plainly: at most 15 digits, no exponent.
#[inline(always)]
fn plain_decimal(input: &[u8], pos: usize) -> Option<(i64, usize, bool, usize)> {
    let negative = byte(input, pos) == b'-';
    let start = pos + usize::from(negative);
    let (mut value, mut end) = plain_digits(input, start, 0);
    let mut decimals = 0;
    let mut digits = end - start;
    if byte(input, end) == b'.' {
        let point = end;
        (value, end) = plain_digits(input, point + 1, value);
        decimals = end - point - 1;
        if decimals == 0 {
            return None;
        }
        digits += decimals;
    }
    let plain = end > start && digits <= 15 && byte(input, end) | 0x20 != b'e';
    plain.then_some((value, decimals, negative, end))
}

const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The nearest `f64` to the plainly written number at `pos`, and the place behind it. Both operands of the division are
/// exact, so that it rounds once.
#[inline(always)]
pub(crate) fn plain_float64(input: &[u8], pos: usize) -> Option<(f64, usize)> {
    let (value, decimals, negative, end) = plain_decimal(input, pos)?;
    #[expect(clippy::cast_precision_loss, reason = "15 digits are exact")]
    let magnitude = value as f64 / POWERS.get(decimals)?;
    Some((if negative { -magnitude } else { magnitude }, end))
}

#[cfg(test)]
mod tests;
