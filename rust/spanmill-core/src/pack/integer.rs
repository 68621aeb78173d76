//! A block of integers in whichever form is shortest.

use crate::codec::{Damaged, Read, Reader, VARINT_MAX, Writer};

use super::BLOCK;
use super::bits::{bytes_of, pack, unpack, width_of};

/// Longest block beside its packed numbers: head, two numbers, a count and two widths.
pub(super) const HEAD_MAX: usize = 1 + 2 * VARINT_MAX + 3;

/// All alike.
const CONSTANT: u8 = 0;
/// Distances from the least.
const OFFSETS: u8 = 1;
/// The first, then how much each step is above the least step.
const STEPS: u8 = 2;
/// Few different ones: those, then which of them.
const CHOICES: u8 = 3;

const FORM_BITS: u32 = 2;
const UNIT_BITS: u32 = 2;

/// Clocks and prices often tick in thousands: numbers that all do are divided.
const UNITS: [i64; 1 << UNIT_BITS] = [1, 1_000, 1_000_000, 1_000_000_000];

/// Narrower offsets leave nothing to gain by looking for units, or for choices.
const WIDE_BITS: u32 = 20;
/// Nor is looking for steps worth its time below.
const STEPS_FROM_BITS: u32 = 4;
/// So many steps show whether they are any shorter.
const STEPS_LOOK: usize = 32;

/// With more values than this a least value as long as any is worth a bit less of each.
const FEW: usize = 8 * VARINT_MAX;

const CHOICES_MAX: usize = 64;
/// After so many values it shows whether they repeat.
const CHOICES_LOOK: usize = 48;
const CHOICES_LOOK_MAX: usize = 42;

/// Which forms are worth looking for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Ids and hashes, of which the same ones come again.
    Names,
    /// Numbers that mean an amount, or a time.
    Amounts,
}

/// Least and greatest.
#[derive(Clone, Copy)]
struct Range {
    least: i64,
    greatest: i64,
}

impl Range {
    #[inline]
    fn of(values: impl Iterator<Item = i64>) -> Self {
        let none = Self { least: i64::MAX, greatest: i64::MIN };
        values.fold(none, |range, value| Self {
            least: range.least.min(value),
            greatest: range.greatest.max(value),
        })
    }

    /// Bits of the distance of each from the least.
    fn width(self) -> u32 {
        width_of(self.greatest.wrapping_sub(self.least).cast_unsigned())
    }
}

fn steps(values: &[i64]) -> impl ExactSizeIterator<Item = i64> {
    values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]))
}

/// Append a block of at least one value; `mark`, below 16, comes back with it.
pub(super) fn write(values: &mut [i64], mark: u8, nature: Nature, out: &mut Writer) {
    assert!((1..=BLOCK).contains(&values.len()), "a block of {} numbers", values.len());
    let mut range = Range::of(values.iter().copied());
    let mut unit = 0;
    if range.width() >= WIDE_BITS && nature == Nature::Amounts {
        unit = take_unit(values);
        let scale = |value| value / UNITS[usize::from(unit)];
        range = Range { least: scale(range.least), greatest: scale(range.greatest) };
    }
    let head = |form: u8| form | unit << FORM_BITS | mark << (FORM_BITS + UNIT_BITS);
    let width = range.width();
    if width == 0 {
        out.u8(head(CONSTANT));
        out.zigzag(range.least);
        return;
    }
    if width >= WIDE_BITS
        && nature == Nature::Names
        && let Some(choices) = Choices::of(values)
    {
        out.u8(head(CHOICES));
        choices.write(out);
        return;
    }
    let look = &values[..values.len().min(STEPS_LOOK)];
    if width >= STEPS_FROM_BITS && Range::of(steps(look)).width() < width {
        let range = Range::of(steps(values));
        // A first value is as long as a least one; the least step is a number more.
        if bytes_of(values.len() - 1, range.width()) + VARINT_MAX < bytes_of(values.len(), width) {
            out.u8(head(STEPS));
            out.zigzag(values[0]);
            write_offsets(steps(values), range, out);
            return;
        }
    }
    out.u8(head(OFFSETS));
    write_offsets(values.iter().copied(), range, out);
}

fn write_offsets(values: impl ExactSizeIterator<Item = i64>, range: Range, out: &mut Writer) {
    let (mut least, mut width) = (range.least, range.width());
    // Of few large values the least alone would be longer than what it saves.
    if values.len() <= FEW
        && zigzag_bytes(least) + bytes_of(values.len(), width)
            > 1 + bytes_of(values.len(), u64::BITS)
    {
        (least, width) = (0, u64::BITS);
    }
    out.zigzag(least);
    out.u8(width as u8);
    let offset = |value: i64| value.wrapping_sub(least).cast_unsigned();
    pack(values.map(offset), width, &mut out.0);
}

/// Bytes of [`Writer::zigzag`].
fn zigzag_bytes(value: i64) -> usize {
    let bits = u64::BITS - value.unsigned_abs().leading_zeros() + 1;
    (bits as usize).div_ceil(7)
}

/// Divide by the largest unit that all are multiples of; which it is.
fn take_unit(values: &mut [i64]) -> u8 {
    // Divisors are constants here, so that no division takes place.
    fn divide<const UNIT: i64>(values: &mut [i64]) -> bool {
        let all = values.iter().all(|value| value % UNIT == 0);
        if all {
            values.iter_mut().for_each(|value| *value /= UNIT);
        }
        all
    }
    if divide::<{ UNITS[3] }>(values) {
        3
    } else if divide::<{ UNITS[2] }>(values) {
        2
    } else if divide::<{ UNITS[1] }>(values) {
        1
    } else {
        0
    }
}

/// The different values of a block, and which of them each is.
struct Choices {
    values: [i64; CHOICES_MAX],
    count: usize,
    places: [u8; BLOCK],
    length: usize,
}

impl Choices {
    /// `None` where there are too many for it to be shorter.
    fn of(values: &[i64]) -> Option<Self> {
        let mut choices =
            Self { values: [0; CHOICES_MAX], count: 0, places: [0; BLOCK], length: values.len() };
        // Places of values by hash, one more than they are: 0 is free.
        let mut table = [0_u8; BLOCK];
        for (at, value) in values.iter().enumerate() {
            if at == CHOICES_LOOK && choices.count > CHOICES_LOOK_MAX {
                return None;
            }
            choices.places[at] = choices.place(&mut table, *value)?;
        }
        (choices.count * 4 <= values.len()).then_some(choices)
    }

    fn place(&mut self, table: &mut [u8; BLOCK], value: i64) -> Option<u8> {
        let mut at = (value.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        loop {
            let entry = &mut table[usize::from(at)];
            if *entry == 0 {
                *self.values.get_mut(self.count)? = value;
                self.count += 1;
                *entry = self.count as u8;
                return Some(*entry - 1);
            }
            if self.values[usize::from(*entry) - 1] == value {
                return Some(*entry - 1);
            }
            at = at.wrapping_add(1);
        }
    }

    fn width(count: usize) -> u32 {
        width_of(count as u64 - 1)
    }

    fn write(&self, out: &mut Writer) {
        let values = &self.values[..self.count];
        out.u8(self.count as u8);
        write_offsets(values.iter().copied(), Range::of(values.iter().copied()), out);
        let places = self.places[..self.length].iter().map(|place| u64::from(*place));
        pack(places, Self::width(self.count), &mut out.0);
    }
}

/// Fill `values` from the next block; the mark it was written with.
pub(super) fn read(reader: &mut Reader<'_>, values: &mut [i64]) -> Read<u8> {
    let head = reader.u8()?;
    match head & ((1 << FORM_BITS) - 1) {
        CONSTANT => values.fill(reader.zigzag()?),
        OFFSETS => read_offsets(reader, values)?,
        STEPS => {
            let first = reader.zigzag()?;
            let (head, steps) = values.split_first_mut().ok_or(Damaged("steps from nowhere"))?;
            *head = first;
            read_offsets(reader, steps)?;
            let mut at = first;
            for step in steps {
                at = at.wrapping_add(*step);
                *step = at;
            }
        }
        _ => read_choices(reader, values)?,
    }
    match (head >> FORM_BITS) & ((1 << UNIT_BITS) - 1) {
        0 => {}
        unit => {
            let unit = UNITS[usize::from(unit)];
            values.iter_mut().for_each(|value| *value = value.wrapping_mul(unit));
        }
    }
    Ok(head >> (FORM_BITS + UNIT_BITS))
}

fn read_offsets(reader: &mut Reader<'_>, values: &mut [i64]) -> Read<()> {
    let least = reader.zigzag()?;
    let width = u32::from(reader.u8()?);
    unpack(reader, values.len(), width, |place, offset| {
        values[place] = least.wrapping_add(offset.cast_signed());
    })
}

fn read_choices(reader: &mut Reader<'_>, values: &mut [i64]) -> Read<()> {
    const NONE: Damaged = Damaged("a choice among none");
    let count = usize::from(reader.u8()?);
    let mut choices = [0; BLOCK];
    let choices = choices.get_mut(..count).filter(|them| !them.is_empty()).ok_or(NONE)?;
    read_offsets(reader, choices)?;
    let mut outside = false;
    unpack(reader, values.len(), Choices::width(count), |place, choice| {
        match choices.get(choice as usize) {
            Some(value) => values[place] = *value,
            None => outside = true,
        }
    })?;
    if outside { Err(NONE) } else { Ok(()) }
}
