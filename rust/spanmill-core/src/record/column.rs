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

/// A block, gathered from rows.
pub(super) struct Gathered<T> {
    values: [T; BLOCK],
    length: usize,
    /// Values that are there.
    count: usize,
}

impl<T: Copy + Default> Gathered<T> {
    /// Take the column of some rows.
    #[inline]
    pub(super) fn of(column: impl Iterator<Item = T>, is_there: impl Fn(T) -> bool) -> Self {
        let (mut values, mut length, mut count) = ([T::default(); BLOCK], 0, 0);
        for (place, value) in values.iter_mut().zip(column) {
            *place = value;
            length += 1;
            count += usize::from(is_there(value));
        }
        Self { values, length, count }
    }

    /// Append the block.
    #[inline]
    pub(super) fn write(
        &mut self,
        is_there: impl Fn(T) -> bool,
        pack: impl FnOnce(&[T], &mut Writer),
        out: &mut Writer,
    ) {
        match self.count {
            0 => return out.u8(NONE),
            count if count == self.length => out.u8(ALL),
            _ => self.write_presence(is_there, out),
        }
        pack(&self.values[..self.count], out);
    }

    /// Say which values are there, and move those to the front.
    fn write_presence(&mut self, is_there: impl Fn(T) -> bool, out: &mut Writer) {
        out.u8(SOME);
        let (mut bits, mut count) = ([0_u8; BLOCK / 8], 0);
        for at in 0..self.length {
            let value = self.values[at];
            // Moved in any case: whether a value is there is hard to foresee.
            self.values[count] = value;
            count += usize::from(is_there(value));
            bits[at / 8] |= u8::from(is_there(value)) << (at % 8);
        }
        out.0.extend_from_slice(&bits[..self.length.div_ceil(8)]);
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
