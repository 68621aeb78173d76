//! Attributes where the span before had them.
//!
//! A sender writes the same attributes in the same order into span after span.
//! So each place of the list remembers the bytes that led to its value; where
//! they stand again, one comparison has read tag, lengths and key, and what the
//! key was found to mean is still known. A wrong guess costs that comparison.

use super::reader::{BYTES, Reader, tag};
use super::trace::{Value, usual_value};

/// Bytes compared at once: tag and length of the pair, of its key, the key, the value's tag.
const BLOCK: usize = 16;
const BLOCKS: usize = 3;
/// The longest key that fits beside the five bytes around it.
const KEY_MAX: usize = BLOCK * BLOCKS - 5;
/// Attributes of one span whose places are remembered.
const PLACES: usize = 64;

const AT_ATTRIBUTE: u8 = tag(9, BYTES) as u8;
const AT_KEY: u8 = tag(1, BYTES) as u8;
const AT_VALUE: u8 = tag(2, BYTES) as u8;

/// What stood at one place, and what it meant.
struct Expected<T> {
    blocks: [u128; BLOCKS],
    /// Bits that must agree: not those of the pair's length, but for the one that makes it long.
    masks: [u128; BLOCKS],
    /// Blocks with such bits.
    used: usize,
    /// Where the value's length stands.
    value_at: usize,
    meaning: T,
}

/// Meanings of attributes by their place in a span.
pub(crate) struct Layout<T> {
    places: Vec<Expected<T>>,
}

// Not derived: that would ask a default of `T`.
impl<T> Default for Layout<T> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<T: Copy> Layout<T> {
    /// The attribute that comes next, where it is the one that stood at `place` before.
    #[inline(always)]
    pub(super) fn expected<'a>(
        &self,
        place: usize,
        reader: &mut Reader<'a>,
    ) -> Option<(T, Value<'a>)> {
        let expected = self.places.get(place)?;
        let rest = reader.rest();
        let differs = match rest.first_chunk::<{ BLOCK * BLOCKS }>() {
            Some(head) => differs(head, expected, BLOCKS),
            None => differs(rest, expected, expected.used),
        };
        if differs {
            return None;
        }
        let end = 2 + usize::from(rest[1]);
        let [length @ ..0x80, value @ ..] = rest.get(expected.value_at..end)? else { return None };
        if value.len() != usize::from(*length) {
            return None;
        }
        let value = usual_value(value)?;
        reader.advance(end);
        Some((expected.meaning, value))
    }

    /// Remember that an attribute with this key stood at `place`.
    pub(super) fn learn(&mut self, place: usize, key: &[u8], meaning: T) {
        let known = match place.cmp(&self.places.len()) {
            std::cmp::Ordering::Less => &mut self.places[place],
            std::cmp::Ordering::Equal if place < PLACES => {
                self.places.push(Expected::nothing(meaning));
                &mut self.places[place]
            }
            _ => return,
        };
        *known = Expected::nothing(meaning);
        if key.len() <= KEY_MAX {
            known.expect(key);
        }
    }
}

/// Whether what must agree does not; too few bytes do not agree.
#[inline(always)]
fn differs<T>(bytes: &[u8], expected: &Expected<T>, blocks: usize) -> bool {
    let (chunks, _) = bytes.as_chunks::<BLOCK>();
    let Some(chunks) = chunks.get(..blocks) else { return true };
    let wanted = expected.blocks.iter().zip(&expected.masks);
    let difference = chunks.iter().zip(wanted).fold(0, |difference, (chunk, (wanted, mask))| {
        difference | (u128::from_le_bytes(*chunk) ^ wanted) & mask
    });
    difference != 0
}

impl<T> Expected<T> {
    /// Agrees with no attribute: none begins with the tag 0.
    fn nothing(meaning: T) -> Self {
        Self { blocks: [0; BLOCKS], masks: [0xff, 0, 0], used: 1, value_at: 0, meaning }
    }

    fn expect(&mut self, key: &[u8]) {
        let mut bytes = [0; BLOCK * BLOCKS];
        let mut mask = [0; BLOCK * BLOCKS];
        self.value_at = key.len() + 5;
        bytes[..4].copy_from_slice(&[AT_ATTRIBUTE, 0, AT_KEY, key.len() as u8]);
        bytes[4..4 + key.len()].copy_from_slice(key);
        bytes[4 + key.len()] = AT_VALUE;
        mask[..self.value_at].fill(0xff);
        mask[1] = 0x80;
        for (block, chunk) in self.blocks.iter_mut().zip(bytes.as_chunks::<BLOCK>().0) {
            *block = u128::from_le_bytes(*chunk);
        }
        for (block, chunk) in self.masks.iter_mut().zip(mask.as_chunks::<BLOCK>().0) {
            *block = u128::from_le_bytes(*chunk);
        }
        self.used = self.value_at.div_ceil(BLOCK);
    }
}
