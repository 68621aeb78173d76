//! The logarithmic axis: f64 to i32 key and back, by fixed arithmetic.
//!
//! `key = sign(x) · round((log2|x| + 64) · 2^23)`: 8e-8 relative steps over
//! 2^-64 ≤ |x| < 2^64. Zero has key 0. No libm: every operation below is exact
//! or correctly rounded by IEEE 754, so keys agree bit for bit across machines.

/// Key steps per doubling, as a power of two.
pub(crate) const STEPS_LOG2: u32 = 23;
const STEPS: f64 = (1u32 << STEPS_LOG2) as f64;
const OFFSET: f64 = 64.0;
/// Smallest magnitude with a key of its own.
pub(crate) const MIN_MAGNITUDE: f64 = 1.0 / (u64::MAX as f64);
/// First magnitude too large for a key.
pub(crate) const MAX_MAGNITUDE: f64 = u64::MAX as f64;

const TABLE_BITS: u32 = 7;
const TABLE: usize = 1 << TABLE_BITS;
const INV_LN2: f64 = std::f64::consts::LOG2_E;

/// `(1 / c, log2 c)` for the centre `c` of each 1/128 slice of [1, 2).
const LOG2_TABLE: [(f64, f64); TABLE] = log2_table();
/// `2^(i/128)`.
const EXP2_TABLE: [f64; TABLE] = exp2_table();

const fn log2_table() -> [(f64, f64); TABLE] {
    let mut table = [(0.0, 0.0); TABLE];
    let mut i = 0;
    while i < TABLE {
        let centre = 1.0 + (i as f64 + 0.5) / TABLE as f64;
        // ln c = 2·atanh((c-1)/(c+1)); s <= 1/3, so 24 terms pass 1e-24.
        let s = (centre - 1.0) / (centre + 1.0);
        let mut power = s;
        let mut sum = 0.0;
        let mut term = 0;
        while term < 24 {
            sum += power / (2 * term + 1) as f64;
            power *= s * s;
            term += 1;
        }
        table[i] = (1.0 / centre, 2.0 * sum * INV_LN2);
        i += 1;
    }
    table
}

const fn exp2_table() -> [f64; TABLE] {
    let mut table = [0.0; TABLE];
    let mut i = 0;
    while i < TABLE {
        let x = i as f64 / TABLE as f64 * std::f64::consts::LN_2;
        let mut term = 1.0;
        let mut sum = 1.0;
        let mut n = 1;
        while n < 24 {
            term *= x / n as f64;
            sum += term;
            n += 1;
        }
        table[i] = sum;
        i += 1;
    }
    table
}

/// Base-2 logarithm of a positive, normal `x`, within 1e-10.
#[inline]
pub(crate) fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) as i32 - 1023) as f64;
    let slice = (bits >> (52 - TABLE_BITS)) as usize & (TABLE - 1);
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let (inverse, log) = LOG2_TABLE[slice];
    let r = mantissa * inverse - 1.0;
    // |r| <= 2^-8: the dropped fourth-order term is under 1e-10.
    exponent + (log + r * (INV_LN2 + r * (-0.5 * INV_LN2 + r * (INV_LN2 / 3.0))))
}

/// `2^x` for |x| <= 1000, within 1e-13 relative.
#[inline]
pub(crate) fn exp2(x: f64) -> f64 {
    let floor = x.floor();
    let scaled = (x - floor) * TABLE as f64;
    let slice = scaled as usize & (TABLE - 1);
    let r = (scaled - slice as f64) / TABLE as f64 * std::f64::consts::LN_2;
    let series = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0))));
    let power = f64::from_bits(((floor as i64 + 1023) as u64) << 52);
    power * EXP2_TABLE[slice] * series
}

/// Whether `x` has a key: finite and, unless zero, 2^-64 <= |x| < 2^64.
#[inline]
pub(crate) fn has_key(x: f64) -> bool {
    let magnitude = x.abs();
    x == 0.0 || (MIN_MAGNITUDE..MAX_MAGNITUDE).contains(&magnitude)
}

/// Key of a value for which [`has_key`] holds.
#[inline]
pub(crate) fn of(x: f64) -> i32 {
    let magnitude = x.abs();
    // Rounding by adding a half and truncating: one instruction, and the sum is positive.
    let steps = ((log2(magnitude) + OFFSET) * STEPS + 0.5) as i32;
    let key = if magnitude == 0.0 { 0 } else { steps.max(1) };
    if x < 0.0 { -key } else { key }
}

/// Value at a (possibly fractional) key.
#[inline]
pub(crate) fn value(key: f64) -> f64 {
    if key == 0.0 {
        return 0.0;
    }
    let magnitude = exp2(key.abs() / STEPS - OFFSET);
    if key < 0.0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A key gives its value back within the stated step, whatever the sign and size.
        #[test]
        fn round_trip(log in -63.9f64..63.9, negative: bool) {
            let x = if negative { -log.exp2() } else { log.exp2() };
            let back = value(f64::from(of(x)));
            prop_assert!((back / x - 1.0).abs() < 5e-8, "{x} came back as {back}");
        }

        /// A larger value never has a smaller key, but for one step of rounding.
        #[test]
        fn ordered(a in 1e-12f64..1e12, b in 1e-12f64..1e12) {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(of(low) <= of(high));
        }

        /// The fixed-arithmetic logarithm agrees with the library's.
        #[test]
        fn log2_is_log2(x in 1e-18f64..1e18) {
            prop_assert!((log2(x) - x.log2()).abs() < 2e-10);
        }
    }

    /// Golden keys: these may never change, or old files would be misread.
    #[test]
    fn golden_keys() {
        assert_eq!(0, of(0.0));
        assert_eq!(64 << 23, of(1.0));
        assert_eq!(65 << 23, of(2.0));
        assert_eq!(-(63 << 23), of(-0.5));
        assert_eq!(500_615_951, of(0.05));
        assert_eq!(539_077_405, of(1.2));
        assert_eq!(286_073_739, of(1e-9));
        assert_eq!(678_752_864, of(123_456.789));
    }

    /// Infinities, NaN and magnitudes outside the axis have no key.
    #[test]
    fn refuses_what_has_no_place() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e20, -1e20, 1e-20, f64::MIN_POSITIVE]
        {
            assert!(!has_key(x), "{x}");
        }
        for x in [0.0, -0.0, 1e-19, 1.8e19, -3.0] {
            assert!(has_key(x), "{x}");
        }
    }
}
