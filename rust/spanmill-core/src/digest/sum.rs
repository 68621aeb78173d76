//! Exact sums: integers, so that no order of addition leaves a trace.
//!
//! The standard axis counts nano-units in an i128. The wide one keeps the whole
//! range of f64 as one long integer of 32-bit digits.
//!
//! Source: U. Kulisch, "Computer Arithmetic and Validity" (2008), the long accumulator.

/// Nano-units in a unit.
const NANO: f64 = 1e9;
/// Values summed at once: in nano-units they fit an i64 below [`ROUND_LIMIT`].
pub(super) const CHUNK: usize = 256;
/// First magnitude that [`rounded`] gets wrong.
const ROUND_LIMIT: f64 = (1u64 << 51) as f64;
/// Adding 1.5·2^52 leaves the nearest integer, ties to even, in the low bits.
const ROUND: f64 = 1.5 * (1u64 << 52) as f64;

/// Bits below the point of the long integer: the smallest subnormal is 1.
const LONG_POINT: i32 = 1074;
const DIGIT_BITS: u32 = 32;
const DIGIT: i64 = 1 << DIGIT_BITS;
/// 2,098 bits of f64, 40 of a weight, 60 of a count, and a sign.
pub(super) const DIGITS: usize = 69;

/// The nearest integer to a number below [`ROUND_LIMIT`], with what every CPU has;
/// `round_ties_even` is a library call below SSE 4.1.
#[inline]
fn rounded(nano: f64) -> i64 {
    (nano + ROUND).to_bits().cast_signed().wrapping_sub(ROUND.to_bits().cast_signed())
}

/// A sum of values, the same for every order of adding them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sum {
    /// Nano-units; `exact` until a foreign sum came in or 128 bits were too few.
    Nano { units: i128, exact: bool },
    /// The long integer of the wide axis.
    Long { sum: Box<Long>, exact: bool },
}

impl Sum {
    pub(super) fn nano() -> Self {
        Self::Nano { units: 0, exact: true }
    }

    pub(super) fn long() -> Self {
        Self::Long { sum: Box::default(), exact: true }
    }

    /// Add at most [`CHUNK`] finite values, without a branch a value.
    #[inline]
    pub(super) fn add_chunk(&mut self, values: &[f64]) {
        match self {
            Self::Nano { units, exact } => {
                let mut sum = 0i64;
                let mut large = false;
                for &value in values {
                    let nano = value * NANO;
                    large |= nano.abs() >= ROUND_LIMIT;
                    sum = sum.wrapping_add(rounded(nano));
                }
                if large {
                    values.iter().for_each(|&value| add_units(units, exact, to_nano(value), 1));
                } else {
                    add_units(units, exact, i128::from(sum), 1);
                }
            }
            Self::Long { sum, .. } => {
                values.iter().for_each(|&value| sum.add(value, 1));
                sum.carry();
            }
        }
    }

    /// Add one finite value `weight` times.
    pub(super) fn add_weighted(&mut self, value: f64, weight: u64) {
        match self {
            Self::Nano { units, exact } => add_units(units, exact, to_nano(value), weight),
            Self::Long { sum, .. } => {
                sum.add(value, weight);
                sum.carry();
            }
        }
    }

    /// Add what `other` holds. A long sum takes in nano-units; the reverse loses exactness.
    pub(super) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Nano { units, exact }, Self::Nano { units: theirs, exact: sure }) => {
                *exact &= *sure;
                add_units(units, exact, *theirs, 1);
            }
            (Self::Long { sum, exact }, Self::Long { sum: theirs, exact: sure }) => {
                *exact &= *sure;
                sum.merge(theirs);
            }
            (Self::Long { sum, exact }, nano @ Self::Nano { .. }) => {
                *exact = false;
                sum.add(nano.value(), 1);
                sum.carry();
            }
            (Self::Nano { units, exact }, long @ Self::Long { .. }) => {
                *exact = false;
                add_units(units, exact, to_nano(long.value()), 1);
            }
        }
    }

    /// Say that this sum was told or estimated, not added up.
    pub(super) fn estimated(mut self) -> Self {
        let (Self::Nano { exact, .. } | Self::Long { exact, .. }) = &mut self;
        *exact = false;
        self
    }

    pub(super) fn is_exact(&self) -> bool {
        let (Self::Nano { exact, .. } | Self::Long { exact, .. }) = self;
        *exact
    }

    /// The nearest f64; infinite where the sum passes f64.
    pub(super) fn value(&self) -> f64 {
        match self {
            Self::Nano { units, .. } => *units as f64 / NANO,
            Self::Long { sum, .. } => sum.value(),
        }
    }

    /// Bytes that the digits take beyond those of a varint.
    pub(super) fn digit_bytes(&self) -> usize {
        match self {
            Self::Nano { .. } => 0,
            Self::Long { sum, .. } => sum.digits().2.len() * size_of::<u32>(),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        if matches!(self, Self::Long { .. }) { size_of::<Long>() } else { 0 }
    }
}

fn to_nano(value: f64) -> i128 {
    (value * NANO).round_ties_even() as i128
}

fn add_units(units: &mut i128, exact: &mut bool, nano: i128, weight: u64) {
    let sum = nano.checked_mul(i128::from(weight)).and_then(|more| units.checked_add(more));
    *exact &= sum.is_some();
    *units = sum.unwrap_or(if nano < 0 { i128::MIN } else { i128::MAX });
}

/// A whole number of 2^-1074, little-endian digits; all but the last within 0..2^32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Long([i64; DIGITS]);

impl Default for Long {
    fn default() -> Self {
        Self([0; DIGITS])
    }
}

impl Long {
    /// From digits as [`digits`](Self::digits) gives them, the lowest at `first`.
    ///
    /// `None` where they reach past the last digit.
    pub(super) fn from_digits(negative: bool, first: usize, digits: &[u32]) -> Option<Self> {
        let mut long = Self::default();
        let places = long.0.get_mut(first..first.checked_add(digits.len())?)?;
        for (place, &digit) in places.iter_mut().zip(digits) {
            *place = if negative { -i64::from(digit) } else { i64::from(digit) };
        }
        long.carry();
        Some(long)
    }

    /// Sign, place of the lowest digit that is not 0, and the digits from there up.
    pub(super) fn digits(&self) -> (bool, usize, Vec<u32>) {
        let negative = self.0[DIGITS - 1] < 0;
        let mut magnitude = self.clone();
        if negative {
            magnitude.0.iter_mut().for_each(|digit| *digit = -*digit);
            magnitude.carry();
        }
        let Some(first) = magnitude.0.iter().position(|&digit| digit != 0) else {
            return (false, 0, Vec::new());
        };
        let end = magnitude.0.iter().rposition(|&digit| digit != 0).map_or(first, |last| last + 1);
        (negative, first, magnitude.0[first..end].iter().map(|&digit| digit as u32).collect())
    }

    /// Add without carrying: at most 2^30 times between two calls of `carry`.
    #[inline]
    fn add(&mut self, value: f64, weight: u64) {
        let bits = value.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as u32;
        let fraction = bits & ((1 << 52) - 1);
        let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
        let shift = exponent.saturating_sub(1);
        let mut rest = (u128::from(mantissa) * u128::from(weight)) << (shift % DIGIT_BITS);
        for place in &mut self.0[(shift / DIGIT_BITS) as usize..] {
            if rest == 0 {
                break;
            }
            let digit = (rest & (DIGIT as u128 - 1)) as i64;
            *place += if value < 0.0 { -digit } else { digit };
            rest >>= DIGIT_BITS;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine += theirs);
        self.carry();
    }

    fn carry(&mut self) {
        let mut carried = 0;
        for place in &mut self.0[..DIGITS - 1] {
            let digit = *place + carried;
            carried = digit >> DIGIT_BITS;
            *place = digit & (DIGIT - 1);
        }
        self.0[DIGITS - 1] = self.0[DIGITS - 1].saturating_add(carried);
    }

    fn value(&self) -> f64 {
        let (negative, first, digits) = self.digits();
        let cut = digits.len().saturating_sub(4);
        let top = digits[cut..].iter().rev().fold(0, |top, &digit| top << 32 | u128::from(digit));
        // A bit that stands for everything below keeps the rounding to nearest right.
        let sticky = u128::from(digits[..cut].iter().any(|&digit| digit != 0));
        let exponent = (first + cut) as i32 * DIGIT_BITS as i32 - LONG_POINT;
        let magnitude = scaled((top | sticky) as f64, exponent);
        if negative { -magnitude } else { magnitude }
    }
}

/// `x · 2^exponent`, exact where the result is normal.
fn scaled(mut x: f64, mut exponent: i32) -> f64 {
    while exponent < -1000 {
        x *= f64::from_bits(((1023 - 500) as u64) << 52);
        exponent += 500;
    }
    while exponent > 1000 {
        x *= f64::from_bits(((1023 + 500) as u64) << 52);
        exponent -= 500;
    }
    x * f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn long_of(values: &[f64]) -> Sum {
        let mut sum = Sum::long();
        values.chunks(CHUNK).for_each(|chunk| sum.add_chunk(chunk));
        sum
    }

    proptest! {
        /// A value added and taken away leaves every other value, whatever the sizes.
        #[test]
        fn cancels_exactly(x in prop::num::f64::ANY, y in prop::num::f64::ANY) {
            prop_assume!(x.is_finite() && y.is_finite());
            prop_assert_eq!(x + 0.0, long_of(&[y, x, -y]).value());
        }

        /// Order leaves no trace, and one pair is summed as IEEE 754 rounds it.
        #[test]
        fn order_leaves_no_trace(mut values in prop::collection::vec(prop::num::f64::NORMAL, 2..40)) {
            let forward = long_of(&values);
            prop_assert_eq!(values[0] + values[1], long_of(&values[..2]).value());
            values.reverse();
            prop_assert_eq!(forward, long_of(&values));
        }

        /// Digits give the number back.
        #[test]
        fn digits_round_trip(values in prop::collection::vec(prop::num::f64::NORMAL, 1..9)) {
            let Sum::Long { sum, .. } = long_of(&values) else { unreachable!("long by construction") };
            let (negative, first, digits) = sum.digits();
            prop_assert_eq!(Some(*sum), Long::from_digits(negative, first, &digits));
        }

        /// A weight is a repetition, on both axes.
        #[test]
        fn weight_is_repetition(x in -1e9f64..1e9, weight in 1u64..50) {
            for empty in [Sum::nano(), Sum::long()] {
                let (mut once, mut repeated) = (empty.clone(), empty);
                once.add_weighted(x, weight);
                repeated.add_chunk(&vec![x; weight as usize]);
                prop_assert_eq!(once, repeated);
            }
        }
    }

    /// A sum past 128 bits of nano-units is held at the end and flagged, not wrapped.
    #[test]
    fn overflow_is_flagged() {
        let mut sum = Sum::nano();
        for _ in 0..30 {
            sum.add_weighted(1.8e19, 1_000_000_000_000);
        }
        assert!(!sum.is_exact());
        assert!(sum.value() > 1e29);
    }
}
