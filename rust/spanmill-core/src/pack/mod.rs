//! Columns of numbers in few bytes: what journal records and the files of the data folder are made of.
//!
//! A column is cut into blocks of [`BLOCK`] values, and each block takes the shortest of a few
//! forms: a constant, offsets from the least, steps, or a choice among few, packed at one
//! width; in units of a thousand where clocks tick so. A block of floats is integers times a
//! power of ten or two where every value comes back bit for bit, and its bits otherwise.
//! What is read is what was written, bit for bit: −0.0 and the payload of a NaN too.
//!
//! Counts are not written: the reader knows them.
//!
//! Source for decimals: A. Afroozeh, P. Boncz, "ALP: Adaptive Lossless floating-Point
//! Compression", SIGMOD 2023; power by block instead of by vector sample, no exceptions.

mod bits;
mod float;
mod integer;

use crate::codec::{Read, Reader, Writer};

use integer::Nature;

/// Values of a block; only a column's last has fewer.
pub(crate) const BLOCK: usize = 256;

/// Most bytes that a column of `count` values takes.
pub(crate) fn bytes_max(count: usize) -> usize {
    count * size_of::<u64>() + count.div_ceil(BLOCK) * (integer::HEAD_MAX + 1)
}

/// Append a column of ids or hashes.
pub(crate) fn pack_u64(values: &[u64], out: &mut Writer) {
    values.chunks(BLOCK).for_each(|block| write_u64(block, out));
}

/// Append a column of amounts or times.
pub(crate) fn pack_i64(values: &[i64], out: &mut Writer) {
    values.chunks(BLOCK).for_each(|block| write_i64(block, out));
}

/// Append a column of floats.
pub(crate) fn pack_f64(values: &[f64], out: &mut Writer) {
    values.chunks(BLOCK).for_each(|block| float::write(block, out));
}

/// Read `count` ids or hashes onto the end of `out`.
///
/// Memory is asked for a block at a time, here as in the other two: bytes that are no
/// column never take more than what they hold, a block for each byte at the worst.
pub(crate) fn unpack_u64(reader: &mut Reader<'_>, count: usize, out: &mut Vec<u64>) -> Read<()> {
    unpack(count, out, |block| read_u64(reader, block))
}

/// Read `count` amounts or times onto the end of `out`.
pub(crate) fn unpack_i64(reader: &mut Reader<'_>, count: usize, out: &mut Vec<i64>) -> Read<()> {
    unpack(count, out, |block| read_i64(reader, block))
}

/// Read `count` floats onto the end of `out`.
pub(crate) fn unpack_f64(reader: &mut Reader<'_>, count: usize, out: &mut Vec<f64>) -> Read<()> {
    unpack(count, out, |block| read_f64(reader, block))
}

fn unpack<T: Copy + Default>(
    count: usize,
    out: &mut Vec<T>,
    mut read: impl FnMut(&mut [T]) -> Read<()>,
) -> Read<()> {
    let end = out.len().saturating_add(count);
    while out.len() < end {
        let start = out.len();
        out.resize(end.min(start + BLOCK), T::default());
        read(&mut out[start..])?;
    }
    Ok(())
}

/// Append one block, 1 to [`BLOCK`] values, of ids or hashes.
pub(crate) fn write_u64(block: &[u64], out: &mut Writer) {
    with_copy(
        block,
        |value| value.cast_signed(),
        |copy| integer::write(copy, 0, Nature::Names, out),
    );
}

/// Append one block, 1 to [`BLOCK`] values, of amounts or times.
pub(crate) fn write_i64(block: &[i64], out: &mut Writer) {
    with_copy(block, |value| value, |copy| integer::write(copy, 0, Nature::Amounts, out));
}

/// Append one block, 1 to [`BLOCK`] values, of floats.
pub(crate) fn write_f64(block: &[f64], out: &mut Writer) {
    float::write(block, out);
}

fn with_copy<T: Copy>(block: &[T], convert: impl Fn(T) -> i64, write: impl FnOnce(&mut [i64])) {
    let mut copy = [0; BLOCK];
    let copy = &mut copy[..block.len()];
    copy.iter_mut().zip(block).for_each(|(place, value)| *place = convert(*value));
    write(copy);
}

/// Fill one block, 1 to [`BLOCK`] values, of ids or hashes.
pub(crate) fn read_u64(reader: &mut Reader<'_>, block: &mut [u64]) -> Read<()> {
    let mut signed = [0; BLOCK];
    let signed = &mut signed[..block.len()];
    let _ = integer::read(reader, signed)?;
    block.iter_mut().zip(signed).for_each(|(value, signed)| *value = signed.cast_unsigned());
    Ok(())
}

/// Fill one block, 1 to [`BLOCK`] values, of amounts or times.
pub(crate) fn read_i64(reader: &mut Reader<'_>, block: &mut [i64]) -> Read<()> {
    integer::read(reader, block).map(|_| ())
}

/// Fill one block, 1 to [`BLOCK`] values, of floats.
pub(crate) fn read_f64(reader: &mut Reader<'_>, block: &mut [f64]) -> Read<()> {
    float::read(reader, block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed<T: Copy>(values: &[T], pack: impl Fn(&[T], &mut Writer)) -> Vec<u8> {
        let mut out = Writer::default();
        pack(values, &mut out);
        assert!(out.0.len() <= bytes_max(values.len()), "{} B", out.0.len());
        out.0
    }

    fn back<T>(
        bytes: &[u8],
        count: usize,
        unpack: impl Fn(&mut Reader<'_>, usize, &mut Vec<T>) -> Read<()>,
    ) -> Vec<T> {
        let (mut reader, mut values) = (Reader(bytes), Vec::new());
        unpack(&mut reader, count, &mut values).expect("what was written reads");
        assert_eq!(Ok(()), reader.end());
        values
    }

    fn i64_bytes(values: &[i64]) -> usize {
        let bytes = packed(values, pack_i64);
        assert_eq!(values, back(&bytes, values.len(), unpack_i64));
        bytes.len()
    }

    fn u64_bytes(values: &[u64]) -> usize {
        let bytes = packed(values, pack_u64);
        assert_eq!(values, back(&bytes, values.len(), unpack_u64));
        bytes.len()
    }

    fn f64_bytes(values: &[f64]) -> usize {
        let bytes = packed(values, pack_f64);
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(values), bits(&back(&bytes, values.len(), unpack_f64)));
        bytes.len()
    }

    /// Integers of any size and sign, around a base, in steps, in units and as repeated names.
    fn integers() -> impl Strategy<Value = Vec<i64>> {
        let wild = prop::collection::vec(any::<i64>(), 0..300);
        let near = (any::<i64>(), 0_u32..64, prop::collection::vec(any::<i64>(), 0..300)).prop_map(
            |(base, shift, values)| {
                values.iter().map(|value| base.wrapping_add(value >> shift)).collect()
            },
        );
        let rising = prop::collection::vec(0_i64..1_000, 0..300).prop_map(|steps| {
            let mut at = 1_795_219_200_000_000_000;
            let next = |step: i64| {
                at += step;
                at
            };
            steps.into_iter().map(next).collect()
        });
        let ticking = (0_u32..10, prop::collection::vec(-1_000_000_i64..1_000_000, 0..300))
            .prop_map(|(power, values)| values.iter().map(|v| v * 10_i64.pow(power)).collect());
        let names = (
            prop::collection::vec(any::<i64>(), 1..80),
            prop::collection::vec(any::<usize>(), 0..300),
        )
            .prop_map(|(names, picks)| {
                picks.iter().map(|pick| names[pick % names.len()]).collect()
            });
        prop_oneof![wild, near, rising, ticking, names]
    }

    /// Floats of any bits, decimals, binary fractions, and mixtures with what is no number.
    fn floats() -> impl Strategy<Value = Vec<f64>> {
        let wild = prop::collection::vec(any::<u64>().prop_map(f64::from_bits), 0..300);
        let decimal =
            (0_i32..13, prop::collection::vec(-1_000_000_000_000_i64..1_000_000_000_000, 0..300))
                .prop_map(|(power, n)| n.iter().map(|n| *n as f64 / 10_f64.powi(power)).collect());
        let binary = (0_i32..60, prop::collection::vec(-1_000_000_000_i64..1_000_000_000, 0..300))
            .prop_map(|(power, n)| n.iter().map(|n| *n as f64 / 2_f64.powi(power)).collect());
        let odd = prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(f64::NAN),
            Just(-f64::NAN),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(f64::MIN_POSITIVE),
            Just(5e-324),
            Just(f64::MAX),
            Just(2_f64.powi(51)),
            Just(2_f64.powi(53) + 2.0),
            Just(0.1),
            Just(1e-9),
            Just(3.0),
        ];
        prop_oneof![wild, decimal, binary, prop::collection::vec(odd, 0..300)]
    }

    proptest! {
        /// Every integer comes back, in no more bytes than stated.
        #[test]
        fn integers_come_back(values in integers()) {
            let _ = i64_bytes(&values);
            let unsigned: Vec<u64> = values.iter().map(|value| value.cast_unsigned()).collect();
            let _ = u64_bytes(&unsigned);
        }

        /// Every float comes back bit for bit, in no more bytes than stated.
        #[test]
        fn floats_come_back(values in floats()) {
            let _ = f64_bytes(&values);
        }

        /// Whatever the bytes, reading ends in values or an error, and asks for a block a byte at most.
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200), count: u32) {
            let count = count as usize;
            let (mut a, mut b, mut c) = (Vec::new(), Vec::new(), Vec::new());
            let _ = unpack_i64(&mut Reader(&bytes), count, &mut a);
            let _ = unpack_u64(&mut Reader(&bytes), count, &mut b);
            let _ = unpack_f64(&mut Reader(&bytes), count, &mut c);
            let longest = a.len().max(b.len()).max(c.len());
            prop_assert!(longest <= (bytes.len() + 1) * BLOCK, "{longest} of {} B", bytes.len());
        }

        /// What was cut short or changed reads as an error or as other numbers, never as a panic.
        #[test]
        fn damage_is_safe(values in floats(), cut: usize, at: usize, bit in 0_u8..8) {
            let mut bytes = packed(&values, pack_f64);
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] ^= 1 << bit;
                bytes.truncate(cut % (bytes.len() + 1));
            }
            let _ = unpack_f64(&mut Reader(&bytes), values.len(), &mut Vec::new());
        }
    }

    /// Each kind of column takes what its form should take: a change that lengthens one shows here.
    #[test]
    fn forms_are_short() {
        let spread = |n: i64| (0..256).map(move |i: i64| i * 7_919 % n);
        let now = 1_795_219_200_000_000_000;
        // A constant, and one value alone.
        assert_eq!(3, i64_bytes(&[5_000; 256]));
        assert_eq!(2, f64_bytes(&[3.0]));
        // Ten bits a value, and a head.
        assert_eq!(3 + 320, i64_bytes(&spread(1_000).collect::<Vec<_>>()));
        // Times at one stride: steps that are all alike.
        let times: Vec<i64> = (0..256).map(|i| now + i * 488_281).collect();
        assert!(i64_bytes(&times) <= 20);
        // Times of a clock of microseconds: units.
        let times: Vec<i64> = spread(2_000).map(|us| now + us * 1_000).collect();
        assert!(i64_bytes(&times) <= 11 * 32 + 11);
        // Few names of 64 bits.
        let names: Vec<u64> =
            spread(16).map(|n| n.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        assert!(u64_bytes(&names) <= 16 * 8 + 128 + 13);
        // Durations of whole nanoseconds, and a clock's differences.
        let durations: Vec<f64> = spread(1_000_003).map(|ns| ns as f64 / 1e9).collect();
        assert!(f64_bytes(&durations) <= 20 * 32 + 5);
        let differences: Vec<f64> = spread(1_000_003).map(|n| n as f64 / 4_194_304.0).collect();
        assert!(f64_bytes(&differences) <= 20 * 32 + 6);
        // Floats of no such kind share what their exponents have in common.
        let any: Vec<f64> = spread(1_000_003).map(|n| (n as f64 + 1.5).ln()).collect();
        assert!(f64_bytes(&any) < 256 * 7 + 12);
        // Few of them take little more than their own bytes.
        for few in 1..12 {
            assert!(f64_bytes(&any[..few]) <= 3 + 8 * few, "{few}: {}", f64_bytes(&any[..few]));
        }
    }
}
