//! The native layout: one digest as bytes that any later release reads.
//!
//! | field | bytes |
//! |---|---|
//! | magic | `SMDG` |
//! | version | 1 |
//! | flags | 1: wide, centroids (else exact), sum exact, short keys |
//! | count, refused | varints |
//! | sum | standard: zigzag varint of nano-units; wide: digits of the long integer |
//! | exact body | `count` f64, sorted |
//! | centroid body | f64 min and max; varints: heaviest bin, heaviest spike, number, first key (zigzag), then `weight << 1 \| pure` each, then key steps |
//! | checksum | CRC32C of all before |
//!
//! Numbers of fixed width are little-endian, varints LEB128. A key step is a varint; with
//! short keys, one to a centroid that is not a tie is a 16-bit float of 11 bits and an
//! exponent, which is far finer than what the mean is known to.

use super::compress::Item;
use super::error::DigestError;
use super::key::Transform;
use super::sealed::{Body, Centroids, Digest, Forgotten};
use super::sum::{Long, Sum};
use super::totals::{COUNT_MAX, Totals};

const MAGIC: &[u8; 4] = b"SMDG";
const VERSION: u8 = 1;
const WIDE: u8 = 1;
const CENTROIDS: u8 = 2;
const SUM_EXACT: u8 = 4;
const SHORT_KEYS: u8 = 8;
const FLAGS: u8 = WIDE | CENTROIDS | SUM_EXACT | SHORT_KEYS;
/// Bits of a short step beside its exponent.
const SHORT_BITS: u32 = 11;
const CHECKSUM_BYTES: usize = 4;
/// Magic, version, flags, count, refused, sum, checksum: the least a digest has.
const LEAST_BYTES: usize = 4 + 1 + 1 + 1 + 1 + 1 + CHECKSUM_BYTES;

impl Digest {
    /// The digest in our own layout, versioned and with a checksum.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.heap_bytes());
        self.write(&mut out);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        self.write_content(out);
    }

    /// From the flags up to the checksum: for files that have a version and checksums of their own.
    pub(crate) fn write_content(&self, out: &mut Vec<u8>) {
        let flag = |set, flag| if set { flag } else { 0 };
        let short = matches!(&self.body, Body::Centroids(centroids) if is_short(centroids));
        out.push(
            flag(self.transform == Transform::Wide, WIDE)
                | flag(!self.is_exact(), CENTROIDS)
                | flag(self.sum_is_exact(), SUM_EXACT)
                | flag(short, SHORT_KEYS),
        );
        put_varint(out, self.totals.count.into());
        put_varint(out, self.totals.refused.into());
        put_sum(out, &self.totals.sum);
        match &self.body {
            Body::Exact(values) => values.iter().for_each(|v| out.extend(v.to_le_bytes())),
            Body::Centroids(centroids) => {
                out.extend(self.totals.min.to_le_bytes());
                out.extend(self.totals.max.to_le_bytes());
                put_varint(out, self.forgotten.bin.into());
                put_varint(out, self.forgotten.spike.into());
                put_centroids(out, centroids, short);
            }
        }
    }

    /// Read what [`to_bytes`](Self::to_bytes) wrote, in this release or an earlier one.
    ///
    /// # Errors
    ///
    /// Bytes that are no digest, damaged, from a newer release, or contradict themselves.
    /// Never allocates more than a small multiple of their length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DigestError> {
        check_magic(bytes)?;
        if bytes.len() < LEAST_BYTES {
            return malformed(bytes.len(), "it ends within the header");
        }
        let version = bytes[MAGIC.len()];
        if version > VERSION {
            return Err(DigestError::Version { found: version, known: VERSION });
        }
        let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        let stored = checksum.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        let computed = crc32c::crc32c(body);
        if stored != computed {
            return Err(DigestError::Checksum { stored, computed });
        }
        if version == 0 {
            return malformed(MAGIC.len(), "there is no version 0");
        }
        Self::read(Cursor { bytes: body, offset: MAGIC.len() + 1 })
    }

    /// Read what [`Digest::write_content`] wrote.
    pub(crate) fn from_content(bytes: &[u8]) -> Result<Self, DigestError> {
        Self::read(Cursor { bytes, offset: 0 })
    }

    fn read(mut cursor: Cursor<'_>) -> Result<Self, DigestError> {
        let digest = cursor.digest()?;
        if cursor.offset < cursor.bytes.len() {
            return malformed(cursor.offset, "it goes on after its end");
        }
        Ok(digest)
    }
}

fn check_magic(bytes: &[u8]) -> Result<(), DigestError> {
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if start == MAGIC {
        return Ok(());
    }
    let found = start.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let found = if found.is_empty() { "nothing".to_owned() } else { found };
    Err(DigestError::Magic { found, expected: "53 4d 44 47" })
}

fn malformed<T>(offset: usize, reason: &'static str) -> Result<T, DigestError> {
    Err(DigestError::Malformed { offset, reason })
}

fn put_varint(out: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn zigzag(number: i128) -> u128 {
    (number << 1 ^ number >> 127).cast_unsigned()
}

fn unzigzag(number: u128) -> i128 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn put_sum(out: &mut Vec<u8>, sum: &Sum) {
    match sum {
        Sum::Nano { units, .. } => put_varint(out, zigzag(*units)),
        Sum::Long { sum, .. } => {
            let (negative, first, digits) = sum.digits();
            put_varint(out, (digits.len() as u128) << 1 | u128::from(negative));
            put_varint(out, first as u128);
            digits.iter().for_each(|digit| out.extend(digit.to_le_bytes()));
        }
    }
}

/// The largest short step up to `step`: it keeps the upper bits.
fn shortened(step: u32) -> u32 {
    let lost = (u32::BITS - step.leading_zeros()).saturating_sub(SHORT_BITS + 1);
    step >> lost << lost
}

fn short_code(step: u32) -> u16 {
    match step.checked_ilog2() {
        Some(log) if log >= SHORT_BITS => {
            let exponent = log - SHORT_BITS;
            let upper = (step >> exponent) & ((1 << SHORT_BITS) - 1);
            ((exponent + 1) << SHORT_BITS | upper) as u16
        }
        _ => step as u16,
    }
}

fn short_step(code: u16) -> Option<u128> {
    let upper = u128::from(code) & ((1 << SHORT_BITS) - 1);
    match u32::from(code) >> SHORT_BITS {
        0 => Some(upper),
        exponent if exponent <= u32::BITS - SHORT_BITS => {
            Some((upper | 1 << SHORT_BITS) << (exponent - 1))
        }
        _ => None,
    }
}

/// Steps between the keys; the first has none.
fn steps(centroids: impl Iterator<Item = Item> + Clone) -> impl Iterator<Item = (Item, u32)> {
    let next = centroids.clone().skip(1);
    centroids.zip(next).map(|(item, next)| (next, next.key.abs_diff(item.key)))
}

fn is_short(centroids: &Centroids) -> bool {
    steps(centroids.iter()).all(|(item, step)| item.is_pure() || step == shortened(step))
}

/// Move the means down to where short steps reach them: by a 2048th of the step at most.
pub(super) fn shorten(items: &mut [Item]) {
    let mut before = items.first().map_or(0, |item| item.key);
    for item in items.iter_mut().skip(1) {
        if !item.is_pure() {
            item.key = before.wrapping_add_unsigned(shortened(item.key.abs_diff(before)));
        }
        before = item.key;
    }
}

fn put_centroids(out: &mut Vec<u8>, centroids: &Centroids, short: bool) {
    put_varint(out, centroids.iter().len() as u128);
    let first = centroids.iter().next().map_or(0, |item| item.key);
    put_varint(out, zigzag(first.into()));
    for item in centroids.iter() {
        put_varint(out, u128::from(item.weight) << 1 | u128::from(item.is_pure()));
    }
    for (item, step) in steps(centroids.iter()) {
        if short && !item.is_pure() {
            out.extend(short_code(step).to_le_bytes());
        } else {
            put_varint(out, step.into());
        }
    }
}

/// Reads on from `offset`, never past the end.
struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Cursor<'_> {
    fn digest(&mut self) -> Result<Digest, DigestError> {
        let flags = self.array::<1>()?[0];
        if flags & !FLAGS != 0 {
            return malformed(self.offset - 1, "a flag is set that version 1 does not have");
        }
        let transform = if flags & WIDE == 0 { Transform::Standard } else { Transform::Wide };
        let mut totals = Totals::new(transform);
        totals.count = self.number(COUNT_MAX, "the count is over 10^18")?;
        totals.refused = self.number(u64::MAX, "the count of refused values is over 2^64")?;
        totals.sum = self.sum(transform)?;
        if flags & SUM_EXACT == 0 {
            totals.sum = totals.sum.estimated();
        }
        if flags & CENTROIDS == 0 {
            self.exact(transform, totals)
        } else {
            self.compressed(transform, totals, flags & SHORT_KEYS != 0)
        }
    }

    fn exact(&mut self, transform: Transform, mut totals: Totals) -> Result<Digest, DigestError> {
        if (totals.count as u128) * 8 != (self.bytes.len() - self.offset) as u128 {
            return malformed(self.offset, "the values are not as many as the count");
        }
        let mut values = Vec::with_capacity(totals.count as usize);
        for _ in 0..totals.count {
            values.push(self.value(transform)?);
        }
        if !values.is_sorted_by(|a, b| a.total_cmp(b).is_le()) {
            return malformed(self.offset, "the values are not sorted");
        }
        if let (Some(first), Some(last)) = (values.first(), values.last()) {
            // Adding 0 takes the sign off a zero, as adding values does.
            (totals.min, totals.max) = (first + 0.0, last + 0.0);
        }
        Ok(Digest::exact(transform, totals, values))
    }

    fn compressed(
        &mut self,
        transform: Transform,
        mut totals: Totals,
        short: bool,
    ) -> Result<Digest, DigestError> {
        (totals.min, totals.max) = (self.value(transform)?, self.value(transform)?);
        let bin = self.number(totals.count, "a bin is heavier than the count")?;
        let spike = self.number(totals.count, "a bin is heavier than the count")?;
        let number = self.number(u64::MAX, "the number of centroids is over 2^64")?;
        // Each takes at least a byte of key and one of weight.
        if number == 0 || number > ((self.bytes.len() - self.offset) / 2) as u64 {
            return malformed(self.offset, "the centroids are not as many as it says");
        }
        let items = self.items(number as usize, short)?;
        let (low, high) = (items[0].key, items[items.len() - 1].key);
        if low < transform.key(totals.min) || transform.key(totals.max) < high {
            return malformed(self.offset, "a centroid lies outside the minimum and maximum");
        }
        let weights = items.iter().map(|item| u128::from(item.weight)).sum::<u128>();
        if weights != u128::from(totals.count) {
            return malformed(self.offset, "the weights do not add up to the count");
        }
        Ok(Digest::compressed(transform, totals, Forgotten { bin, spike }, &items))
    }

    fn items(&mut self, number: usize, short: bool) -> Result<Vec<Item>, DigestError> {
        let Ok(first) = i32::try_from(unzigzag(self.varint()?)) else {
            return malformed(self.offset, "a key is outside 32 bits");
        };
        let mut items: Vec<Item> = Vec::with_capacity(number);
        for _ in 0..number {
            let word = self.number(COUNT_MAX << 1 | 1, "a weight is over 10^18")?;
            items.push(match (word >> 1, word & 1) {
                (0, _) => return malformed(self.offset, "a weight is 0"),
                (weight, 1) => Item::tie(first, weight),
                (weight, _) => Item::mean(first, weight),
            });
        }
        let mut key = first;
        for item in items.iter_mut().skip(1) {
            let step = if short && !item.is_pure() {
                short_step(u16::from_le_bytes(self.array()?))
            } else {
                Some(self.varint()?)
            };
            let next = step.and_then(|step| u32::try_from(step).ok());
            let Some(next) = next.and_then(|step| key.checked_add_unsigned(step)) else {
                return malformed(self.offset, "a key is outside 32 bits");
            };
            (key, item.key) = (next, next);
        }
        Ok(items)
    }

    fn sum(&mut self, transform: Transform) -> Result<Sum, DigestError> {
        if transform == Transform::Standard {
            return Ok(Sum::Nano { units: unzigzag(self.varint()?), exact: true });
        }
        let head = self.number(u64::from(u16::MAX), "the sum has too many digits")?;
        let first = self.number(u64::from(u16::MAX), "the sum starts too high")?;
        let mut digits = Vec::new();
        for _ in 0..head >> 1 {
            digits.push(u32::from_le_bytes(self.array()?));
        }
        match Long::from_digits(head & 1 == 1, first as usize, &digits) {
            Some(sum) => Ok(Sum::Long { sum: Box::new(sum), exact: true }),
            None => malformed(self.offset, "the sum is past any that f64 values have"),
        }
    }

    fn value(&mut self, transform: Transform) -> Result<f64, DigestError> {
        let value = f64::from_le_bytes(self.array()?);
        if !transform.holds(value) {
            return malformed(self.offset - 8, "a value is not a number that the axis holds");
        }
        Ok(value)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DigestError> {
        match self.bytes.get(self.offset..).and_then(<[u8]>::first_chunk) {
            Some(&chunk) => {
                self.offset += N;
                Ok(chunk)
            }
            None => malformed(self.bytes.len(), "it ends too early"),
        }
    }

    fn number(&mut self, max: u64, reason: &'static str) -> Result<u64, DigestError> {
        let start = self.offset;
        match u64::try_from(self.varint()?) {
            Ok(number) if number <= max => Ok(number),
            _ => malformed(start, reason),
        }
    }

    fn varint(&mut self) -> Result<u128, DigestError> {
        let mut number = 0u128;
        for shift in (0..u128::BITS).step_by(7) {
            let [byte] = self.array()?;
            let digit = u128::from(byte & 0x7f);
            if digit << shift >> shift != digit {
                break;
            }
            number |= digit << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        malformed(self.offset, "a number is over 2^128")
    }
}
