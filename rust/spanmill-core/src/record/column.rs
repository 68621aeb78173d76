//! A block of one column, of which some events have no value.

use crate::codec::{Damaged, Read, Reader, Writer};
use crate::pack::BLOCK;

/// No event has a value; every one has; some have: which, then theirs.
const NONE: u8 = 0;
const ALL: u8 = 1;
const SOME: u8 = 2;
/// Values follow from other columns. What this means, the reader knows.
const FOLLOWS: u8 = 3;

/// Bytes beside the values of a block at most.
pub(super) const PRESENCE_MAX: usize = 1 + BLOCK / 8;

/// The values of a block that are there, and which they are.
pub(super) struct Present<T> {
    values: [T; BLOCK],
    count: usize,
    bits: [u8; BLOCK / 8],
    length: usize,
}

impl<T: Copy + Default> Present<T> {
    /// Gather a block.
    #[inline]
    pub(super) fn of(
        column: impl ExactSizeIterator<Item = T>,
        is_present: impl Fn(&T) -> bool,
    ) -> Self {
        let mut present =
            Self { values: [T::default(); BLOCK], count: 0, bits: [0; BLOCK / 8], length: 0 };
        present.length = column.len();
        for (at, value) in column.enumerate() {
            let there = is_present(&value);
            // Written in any case: whether there is a value is hard to foresee.
            present.values[present.count] = value;
            present.count += usize::from(there);
            present.bits[at / 8] |= u8::from(there) << (at % 8);
        }
        present
    }

    /// Append the block.
    pub(super) fn write(&self, out: &mut Writer, pack: impl FnOnce(&[T], &mut Writer)) {
        match self.count {
            0 => return out.u8(NONE),
            count if count == self.length => out.u8(ALL),
            _ => {
                out.u8(SOME);
                out.0.extend_from_slice(&self.bits[..self.length.div_ceil(8)]);
            }
        }
        pack(&self.values[..self.count], out);
    }
}

/// Append a block whose values follow from other columns.
pub(super) fn write_following(out: &mut Writer) {
    out.u8(FOLLOWS);
}

/// Whether a block's values were read, or follow from other columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Read,
    Follows,
}

/// Read a block of `length` values; `each` gets those that are there, with their places.
#[inline]
pub(super) fn read<T: Copy + Default>(
    reader: &mut Reader<'_>,
    length: usize,
    unpack: impl FnOnce(&mut Reader<'_>, &mut [T]) -> Read<()>,
    mut each: impl FnMut(usize, T),
) -> Read<Found> {
    let mut values = [T::default(); BLOCK];
    match reader.u8()? {
        NONE => {}
        ALL => {
            let values = &mut values[..length];
            unpack(reader, values)?;
            values.iter().enumerate().for_each(|(at, value)| each(at, *value));
        }
        SOME => {
            let bits = reader.take(length.div_ceil(8))?;
            let count: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
            let there = |at: &usize| bits[at / 8] >> (at % 8) & 1 == 1;
            let values = values.get_mut(..count as usize).filter(|values| !values.is_empty());
            let values = values.ok_or(Damaged("a column of no values, or of too many"))?;
            unpack(reader, values)?;
            (0..length).filter(there).zip(values).for_each(|(at, value)| each(at, *value));
        }
        FOLLOWS => return Ok(Found::Follows),
        _ => return Err(Damaged("a column of no known kind")),
    }
    Ok(Found::Read)
}
