//! Numbers and texts as bytes, for everything we write to disk. Little endian.

/// Bytes that do not read as what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged(pub &'static str);

/// Result of reading.
pub(crate) type Read<T> = std::result::Result<T, Damaged>;

const SHORT: Damaged = Damaged("ends too early");

/// Bytes of the longest variable-length number.
pub(crate) const VARINT_MAX: usize = 10;

/// Appends to bytes.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.u64(value.cast_unsigned());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    /// Seven bits a byte, lowest first: small numbers are short.
    #[inline]
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Like [`Writer::varint`], for numbers that are small in either direction.
    #[inline]
    pub(crate) fn zigzag(&mut self, value: i64) {
        self.varint((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
    }

    /// A number or none; none is one byte.
    pub(crate) fn option(&mut self, value: Option<i64>) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            self.i64(value);
        }
    }

    /// Length, then the bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

/// Takes from the front of bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `length` bytes.
    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Read<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Read<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Read<u128> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub(crate) fn f64(&mut self) -> Read<f64> {
        Ok(f64::from_bits(self.u64()?))
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Read<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged("a number is longer than 64 bits"))
    }

    #[inline]
    pub(crate) fn zigzag(&mut self) -> Read<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn option(&mut self) -> Read<Option<i64>> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.i64().map(Some),
            _ => Err(Damaged("neither a number nor none")),
        }
    }

    pub(crate) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| SHORT)?)
    }

    pub(crate) fn text(&mut self) -> Read<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged("a text is not UTF-8"))
    }

    /// How many entries follow, each at least `bytes_min` long: no count makes us ask for
    /// more memory than the bytes could fill.
    pub(crate) fn count(&mut self, bytes_min: usize) -> Read<usize> {
        let count = usize::try_from(self.varint()?).map_err(|_| SHORT)?;
        if count.saturating_mul(bytes_min) > self.0.len() { Err(SHORT) } else { Ok(count) }
    }

    /// Everything must have been read.
    pub(crate) fn end(&self) -> Read<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Damaged("goes on after its end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is written is read back, and nothing is left.
        #[test]
        fn numbers_come_back(a: u64, b: i64, c: u128, d: f64, e: Option<i64>, f: Vec<u8>) {
            let mut writer = Writer::default();
            writer.varint(a);
            writer.zigzag(b);
            writer.u128(c);
            writer.f64(d);
            writer.option(e);
            writer.bytes(&f);
            let mut reader = Reader(&writer.0);
            prop_assert_eq!(Ok(a), reader.varint());
            prop_assert_eq!(Ok(b), reader.zigzag());
            prop_assert_eq!(Ok(c), reader.u128());
            prop_assert_eq!(d.to_bits(), reader.f64().expect("there").to_bits());
            prop_assert_eq!(Ok(e), reader.option());
            prop_assert_eq!(Ok(&f[..]), reader.bytes());
            prop_assert_eq!(Ok(()), reader.end());
        }

        /// Whatever the bytes, reading ends in a value or an error, never in a panic.
        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>) {
            let mut reader = Reader(&bytes);
            while reader.varint().is_ok() && reader.bytes().is_ok() && reader.option().is_ok() {}
            let mut reader = Reader(&bytes);
            if let Ok(count) = reader.count(3) {
                prop_assert!(count * 3 <= bytes.len());
            }
        }
    }
}
