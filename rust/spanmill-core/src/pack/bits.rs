//! Numbers of one width side by side, lowest bit first.

use crate::codec::{Damaged, Read, Reader};

use super::BLOCK;

/// Widest packed number. A wider one takes 64: what is packed fits one load at any bit of a byte.
const PACKED_MAX: u32 = 56;

/// Bytes of one load.
const WORD: usize = size_of::<u64>();

/// Bits that numbers up to `max` take here.
#[inline]
pub(super) fn width_of(max: u64) -> u32 {
    let bits = u64::BITS - max.leading_zeros();
    if bits > PACKED_MAX { u64::BITS } else { bits }
}

/// Bytes of `count` numbers of a width.
#[inline]
pub(super) fn bytes_of(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Append numbers, each below two to the `width`.
#[inline]
pub(super) fn pack(mut values: impl ExactSizeIterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    if width > PACKED_MAX {
        values.for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        return;
    }
    let end = out.len() + bytes_of(values.len(), width);
    let mut start = out.len();
    // Whole words are written: the last may reach beyond the end for a moment.
    out.resize(end + WORD, 0);
    // Eight numbers end with a byte: no group waits for the one before.
    while values.len() > 0 {
        group(values.by_ref().take(8), width, &mut out[start..]);
        start += width as usize;
    }
    out.truncate(end);
}

#[inline]
fn group(values: impl Iterator<Item = u64>, width: u32, out: &mut [u8]) {
    let (mut held, mut filled, mut at) = (0, 0, 0);
    for value in values {
        debug_assert!(value >> width == 0, "{value} takes more than {width} bits");
        held |= value << filled;
        out[at..at + WORD].copy_from_slice(&held.to_le_bytes());
        filled += width;
        at += filled as usize / 8;
        held >>= filled & !7;
        filled &= 7;
    }
}

/// Take `count` numbers of a width; `each` gets them with their places.
#[inline]
pub(super) fn unpack(
    reader: &mut Reader<'_>,
    count: usize,
    width: u32,
    each: impl FnMut(usize, u64),
) -> Read<()> {
    assert!(count <= BLOCK, "a block has at most {BLOCK} numbers");
    if width > PACKED_MAX && width != u64::BITS {
        return Err(Damaged("a width that no number has"));
    }
    let rest = reader.0;
    let packed = reader.take(bytes_of(count, width))?;
    if rest.len() >= packed.len() + WORD {
        words(rest, count, width, each);
    } else {
        // Loads would pass the end of what there is.
        let mut padded = [0; BLOCK * WORD + WORD];
        padded[..packed.len()].copy_from_slice(packed);
        words(&padded, count, width, each);
    }
    Ok(())
}

#[inline]
fn words(bytes: &[u8], count: usize, width: u32, mut each: impl FnMut(usize, u64)) {
    let mask = u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0);
    let mut bit = 0;
    for place in 0..count {
        let mut word = [0; WORD];
        word.copy_from_slice(&bytes[bit / 8..][..WORD]);
        each(place, (u64::from_le_bytes(word) >> (bit % 8)) & mask);
        bit += width as usize;
    }
}
