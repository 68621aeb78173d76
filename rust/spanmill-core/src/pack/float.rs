//! A block of floats as integers: decimals, binary fractions, or their bits.

use crate::codec::{Damaged, Read, Reader, Writer};

use super::BLOCK;
use super::integer::{self, Nature};

/// Powers of ten that a decimal may be scaled by: seconds are told to the nanosecond at most.
const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Marks beyond those of the powers: the bits as they are, and fractions of a power of two.
const BITS: u8 = 10;
const BINARY: u8 = 11;

/// Scaled values are whole numbers up to here: adding [`ROUND`] leaves no fraction in them.
const SCALED_MAX: f64 = (1_u64 << 51) as f64;
const ROUND: f64 = (3_u64 << 51) as f64;

/// Binary fractions are worth it up to this many bits in all: the bits themselves take 56 or less.
const BINARY_MAX: i32 = 50;
/// A float's own fraction bits, and the bias of its exponent.
const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;
const BIAS: i32 = f64::MAX_EXP - 1;
/// Scales of binary fractions: half of what an exponent can say.
const BINARY_SCALE_MAX: i32 = 512;

/// The whole number that stands for `value` at a scale; `None` where it does not come back bit for bit.
#[inline]
fn scaled(value: f64, scale: f64) -> Option<i64> {
    let shifted = value * scale + ROUND;
    let whole = shifted - ROUND;
    let same = (whole / scale).to_bits() == value.to_bits();
    // Not a number compares false: it is no scaled value.
    (same & (whole.abs() <= SCALED_MAX))
        .then(|| (shifted.to_bits().wrapping_sub(ROUND.to_bits())).cast_signed())
}

/// Scale until one does not come back; how many did.
#[inline]
fn scale_all(values: &[f64], scale: f64, whole: &mut [i64]) -> usize {
    let pairs = values.iter().zip(whole);
    let scaled = |(value, place): (&f64, &mut i64)| {
        scaled(*value, scale).map(|scaled| *place = scaled).is_some()
    };
    pairs.map(scaled).take_while(|came_back| *came_back).count()
}

/// Scale by the smallest power of ten that serves all; which it is.
fn decimals(values: &[f64], whole: &mut [i64]) -> Option<u8> {
    let mut power = 0;
    loop {
        let done = scale_all(values, POWERS[power], whole);
        let Some(value) = values.get(done) else { return Some(power as u8) };
        // What is whole at one power is so at the next.
        power = (power + 1..POWERS.len()).find(|at| scaled(*value, POWERS[*at]).is_some())?;
    }
}

/// Scale by the power of two at which all are whole, such as what one clock's two readings
/// differ by; which it is.
fn binary(values: &[f64], whole: &mut [i64]) -> Option<u8> {
    let (mut finest, mut greatest) = (i32::MIN, i32::MIN);
    for value in values.iter().filter(|value| **value != 0.0) {
        let bits = value.to_bits();
        let exponent = ((bits << 1) >> (FRACTION + 1)) as i32 - BIAS;
        let fraction = (bits | 1 << FRACTION).trailing_zeros();
        finest = finest.max((FRACTION - fraction) as i32 - exponent);
        greatest = greatest.max(exponent);
        if finest + greatest > BINARY_MAX {
            return None;
        }
    }
    let places = u8::try_from(finest).ok()?;
    let done = scale_all(values, power_of_two(i32::from(places))?, whole);
    (done == values.len()).then_some(places)
}

fn power_of_two(power: i32) -> Option<f64> {
    ((0..=BINARY_SCALE_MAX).contains(&power))
        .then(|| f64::from_bits(((power + BIAS) as u64) << FRACTION))
}

/// Append a block of at least one value.
pub(super) fn write(values: &[f64], out: &mut Writer) {
    let mut whole = [0; BLOCK];
    let whole = &mut whole[..values.len()];
    if let Some(power) = decimals(values, whole) {
        integer::write(whole, power, Nature::Amounts, out);
    } else if let Some(places) = binary(values, whole) {
        integer::write(whole, BINARY, Nature::Amounts, out);
        out.u8(places);
    } else {
        for (value, place) in values.iter().zip(&mut *whole) {
            *place = value.to_bits().cast_signed();
        }
        integer::write(whole, BITS, Nature::Amounts, out);
    }
}

/// Fill `values` from the next block.
pub(super) fn read(reader: &mut Reader<'_>, values: &mut [f64]) -> Read<()> {
    let mut whole = [0; BLOCK];
    let whole = &mut whole[..values.len()];
    let mark = integer::read(reader, whole)?;
    let pairs = values.iter_mut().zip(whole);
    match mark {
        BITS => pairs.for_each(|(value, bits)| *value = f64::from_bits(bits.cast_unsigned())),
        0 => pairs.for_each(|(value, whole)| *value = *whole as f64),
        mark => {
            let scale = match mark {
                BINARY => power_of_two(i32::from(reader.u8()?)),
                power => POWERS.get(usize::from(power)).copied(),
            };
            let scale = scale.ok_or(Damaged("a scale that no float has"))?;
            pairs.for_each(|(value, whole)| *value = *whole as f64 / scale);
        }
    }
    Ok(())
}
