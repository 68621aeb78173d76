//! The logarithmic axis: f64 to i32 key and back, by fixed arithmetic.
//!
//! `key = sign(x) · round((log2|x| + 64) · 2^23)`: 8e-8 relative steps over
//! 2^-64 ≤ |x| < 2^64; the wide axis takes all of f64 at 1.3e-6. Zero has key 0.
//! No libm: every operation below is exact or correctly rounded by IEEE 754, so
//! keys agree bit for bit across machines.

/// Key steps per doubling, as a power of two.
pub(crate) const STEPS_LOG2: u32 = 23;
const STEPS: f64 = (1u32 << STEPS_LOG2) as f64;
const OFFSET: f64 = 64.0;
/// The same for the wide axis; its smallest magnitude, 2^-1074, has key 2^19.
const WIDE_STEPS_LOG2: u32 = 19;
const WIDE_STEPS: f64 = (1u32 << WIDE_STEPS_LOG2) as f64;
const WIDE_OFFSET: f64 = 1075.0;
/// Lifts every subnormal into the normal range, exactly.
const LIFT_LOG2: f64 = 54.0;
const LIFT: f64 = (1u64 << 54) as f64;
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

/// `2^x` for 0 <= x < 1, within 3e-16 relative.
#[inline]
fn exp2_fraction(x: f64) -> f64 {
    let scaled = x * TABLE as f64;
    let slice = scaled as usize & (TABLE - 1);
    let r = (scaled - slice as f64) * (std::f64::consts::LN_2 / TABLE as f64);
    // r < 0.0055: the dropped term is under 1e-19.
    let high = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0)));
    let rest = r * (1.0 + r * (0.5 + r * high));
    EXP2_TABLE[slice] + EXP2_TABLE[slice] * rest
}

/// The floor of |x| < 2^62, without the library call that it takes below SSE 4.1.
#[inline]
pub(super) fn floor(x: f64) -> f64 {
    let whole = x as i64 as f64;
    if whole > x { whole - 1.0 } else { whole }
}

/// `2^n` for a normal result.
#[inline]
fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}

/// `2^x` for |x| <= 1000, within 3e-16 relative.
#[inline]
pub(crate) fn exp2(x: f64) -> f64 {
    let whole = floor(x);
    power_of_two(whole as i32) * exp2_fraction(x - whole)
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

/// Truncate 0 <= x < 2^31, without the checks for other numbers that a cast makes.
#[inline]
fn truncated(x: f64) -> i32 {
    // The sum leaves the nearest integer in the low bits, which may be one too many.
    const MAGIC: f64 = (1u64 << 52) as f64;
    let sum = x + MAGIC;
    sum.to_bits() as i32 - i32::from(sum - MAGIC > x)
}

/// Key of a value above 0 for which [`has_key`] holds: [`of`] with less to ask.
#[inline]
pub(super) fn of_positive(x: f64) -> i32 {
    truncated((log2(x) + OFFSET) * STEPS + 0.5).max(1)
}

/// Which axis a digest's keys lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transform {
    /// 2^-64 to 2^64 in relative steps of 8e-8: seconds, tokens, dollars, bytes.
    #[default]
    Standard,
    /// All of f64, in relative steps of 1.3e-6.
    Wide,
}

impl Transform {
    /// `standard` or `wide`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Wide => "wide",
        }
    }

    /// Whether `x` has a place on this axis: finite, and within its range or 0.
    #[must_use]
    #[inline]
    pub fn holds(self, x: f64) -> bool {
        match self {
            Self::Standard => has_key(x),
            Self::Wide => x.is_finite(),
        }
    }

    /// Whether all of `values` have a place, without a branch a value.
    #[inline]
    pub(super) fn holds_all(self, values: &[f64]) -> bool {
        match self {
            Self::Standard => values.iter().fold(true, |all, &x| {
                let size = x.abs();
                all & ((MIN_MAGNITUDE..MAX_MAGNITUDE).contains(&size) | (x == 0.0))
            }),
            Self::Wide => values.iter().fold(true, |all, &x| all & x.is_finite()),
        }
    }

    /// Whether all of `values` are held and above 0, where [`of_positive`] gives their keys.
    #[inline]
    pub(super) fn holds_all_positive(self, values: &[f64]) -> bool {
        let inside = |x: &f64| (MIN_MAGNITUDE..MAX_MAGNITUDE).contains(x);
        self == Self::Standard && values.iter().fold(true, |all, x| all & inside(x))
    }

    /// Key of a value that the axis [`holds`](Self::holds).
    #[inline]
    pub(super) fn key(self, x: f64) -> i32 {
        match self {
            Self::Standard => of(x),
            Self::Wide => wide(x),
        }
    }

    /// Value `part` steps above `key`; `part` may be any number of steps.
    ///
    /// What lies outside ±f64 comes back as its nearest end.
    #[inline]
    pub(super) fn value(self, key: i32, part: f64) -> f64 {
        let whole = floor(part);
        let (key, part) = (key.saturating_add(whole as i32), part - whole);
        if key >= 0 { self.magnitude(key, part) } else { -self.magnitude(-key, -part) }
    }

    fn magnitude(self, key: i32, part: f64) -> f64 {
        let (bits, offset) = match self {
            Self::Standard => (STEPS_LOG2, OFFSET as i32),
            Self::Wide => (WIDE_STEPS_LOG2, WIDE_OFFSET as i32),
        };
        if key == 0 && part <= 0.0 {
            return 0.0;
        }
        let steps = f64::from(1u32 << bits);
        let (mut octave, mut fraction) =
            (key >> bits, (f64::from(key & ((1 << bits) - 1)) + part) / steps);
        if fraction < 0.0 {
            (octave, fraction) = (octave - 1, fraction + 1.0);
        } else if fraction >= 1.0 {
            (octave, fraction) = (octave + 1, fraction - 1.0);
        }
        let exponent = octave - offset;
        let scaled = exp2_fraction(fraction);
        if exponent < -1000 {
            // In two exact steps: the power itself may be subnormal.
            return scaled * power_of_two(exponent + 100) * power_of_two(-100);
        }
        if exponent > 1000 {
            return (scaled * power_of_two(exponent - 100) * power_of_two(100)).min(f64::MAX);
        }
        scaled * power_of_two(exponent)
    }

    /// Where a value lies: its key, and the part of a step beyond it, within ±0.5 or so.
    ///
    /// The inverse of [`value`](Self::value) to the last bits of f64, which the
    /// key's own logarithm is too coarse for.
    pub(super) fn place(self, x: f64) -> (i32, f64) {
        let key = self.key(x);
        let here = self.value(key, 0.0);
        let steps = match self {
            Self::Standard => STEPS,
            Self::Wide => WIDE_STEPS,
        };
        if here == 0.0 {
            return (key, 0.0);
        }
        // log2(1 + d) for |d| < 1e-6, where four terms reach the last bit.
        let d = (x - here) / here.abs();
        let toward = if here < 0.0 { -d } else { d };
        let log = d * (1.0 - toward * (0.5 - toward * (1.0 / 3.0)));
        (key, log * INV_LN2 * steps)
    }
}

fn wide(x: f64) -> i32 {
    let magnitude = x.abs();
    if magnitude == 0.0 {
        return 0;
    }
    let log = if magnitude < f64::MIN_POSITIVE {
        log2(magnitude * LIFT) - LIFT_LOG2
    } else {
        log2(magnitude)
    };
    let key = ((log + WIDE_OFFSET) * WIDE_STEPS + 0.5) as i32;
    if x < 0.0 { -key } else { key }
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
            let back = Transform::Standard.value(of(x), 0.0);
            prop_assert!((back / x - 1.0).abs() < 5e-8, "{x} came back as {back}");
        }

        /// The wide axis takes any finite f64 and gives it back within its step.
        #[test]
        fn wide_round_trip(x in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
            let back = Transform::Wide.value(Transform::Wide.key(x), 0.0);
            // A subnormal has fewer bits than the step is fine.
            let step = (x.abs() * 7e-7).max(f64::from_bits(1));
            prop_assert!((back - x).abs() <= step, "{x:e} came back as {back:e}");
        }

        /// A place is where its value lies, to the last bits; subnormals have fewer.
        #[test]
        fn place_inverts_value(key in (1i32 << 25)..(1 << 30), part in -0.5f64..0.5, negative: bool) {
            for axis in [Transform::Standard, Transform::Wide] {
                let key = if negative { -key } else { key };
                let (found, beyond) = axis.place(axis.value(key, part));
                let off = f64::from(found - key) + beyond - part;
                prop_assert!(off.abs() < 1e-8, "{key} + {part}: off by {off}");
            }
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

    proptest! {
        /// The short way to a key gives the same one.
        #[test]
        fn positive_keys_are_keys(log in -63.99f64..63.99) {
            prop_assert_eq!(of(log.exp2()), of_positive(log.exp2()));
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
