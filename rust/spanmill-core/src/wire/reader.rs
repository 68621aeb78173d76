//! The protobuf wire format: tags, varints, lengths, skipping.

use super::Fault;

/// Messages and groups together nest this deep at most, as in Google's decoders.
const DEPTH_MAX: u32 = 100;

/// Tags and lengths are written in this many bytes at most, as in Google's decoders.
const SHORT_VARINT: usize = 5;

const TRUNCATED: Fault = Fault(&"ends inside a field");
const LONG_VARINT: Fault = Fault(&"a varint is longer than 10 bytes");
const BAD_TAG: Fault = Fault(&"a tag is not a field number and wire type");
const BAD_LENGTH: Fault = Fault(&"a length runs past the end");
const BAD_GROUP: Fault = Fault(&"a group is not closed by its own end");
const TOO_DEEP: Fault = Fault(&"groups nest deeper than 100");

/// Wire type of a varint field.
pub(super) const VARINT: u32 = 0;
/// Wire type of an 8-byte field.
pub(super) const FIXED64: u32 = 1;
/// Wire type of a length-delimited field.
pub(super) const BYTES: u32 = 2;
const GROUP_START: u32 = 3;
const GROUP_END: u32 = 4;
/// Wire type of a 4-byte field.
pub(super) const FIXED32: u32 = 5;

/// No field has this tag, so it stands for the end of a message.
pub(super) const END: u32 = 0;

/// Field number and wire type in one number, as on the wire.
pub(super) const fn tag(field: u32, wire_type: u32) -> u32 {
    field << 3 | wire_type
}

/// Bytes still to be read of one message.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Messages around this one.
    depth: u32,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(message: &'a [u8], depth: u32) -> Self {
        Self { rest: message, depth }
    }

    /// The next tag, or [`END`] of the message.
    #[inline]
    pub(super) fn tag(&mut self) -> Result<u32, Fault> {
        let Some((&first, rest)) = self.rest.split_first() else { return Ok(END) };
        if (0x08..0x80).contains(&first) {
            self.rest = rest;
            return Ok(u32::from(first));
        }
        match self.any_tag()? {
            0..0x08 => Err(BAD_TAG),
            tag => Ok(tag),
        }
    }

    /// A tag of any field number: in a group that is skipped, Google's decoders take 0 too.
    #[cold]
    fn any_tag(&mut self) -> Result<u32, Fault> {
        let tag = self.short_varint(BAD_TAG)?;
        u32::try_from(tag).map_err(|_| BAD_TAG)
    }

    #[inline]
    fn short_varint(&mut self, too_long: Fault) -> Result<u64, Fault> {
        let before = self.rest.len();
        let value = self.varint()?;
        if before - self.rest.len() > SHORT_VARINT { Err(too_long) } else { Ok(value) }
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Fault> {
        match *self.rest {
            [a, ref rest @ ..] if a < 0x80 => {
                self.rest = rest;
                Ok(u64::from(a))
            }
            [a, b, ref rest @ ..] if b < 0x80 => {
                self.rest = rest;
                Ok(u64::from(a & 0x7f) | u64::from(b) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0;
        for (place, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place as u32);
            if byte < 0x80 {
                self.rest = &self.rest[place + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { TRUNCATED } else { LONG_VARINT })
    }

    #[inline]
    pub(super) fn fixed64(&mut self) -> Result<u64, Fault> {
        let (head, rest) = self.rest.split_first_chunk::<8>().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*head))
    }

    pub(super) fn fixed32(&mut self) -> Result<u32, Fault> {
        let (head, rest) = self.rest.split_first_chunk::<4>().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*head))
    }

    /// A length-delimited field's contents.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.short_varint(BAD_LENGTH)?;
        if length > self.rest.len() as u64 {
            return Err(BAD_LENGTH);
        }
        let (head, rest) = self.rest.split_at(length as usize);
        self.rest = rest;
        Ok(head)
    }

    /// Bytes still to be read.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether a field with this tag, of one byte, comes next.
    #[inline(always)]
    pub(super) fn is_at(&self, tag: u32) -> bool {
        self.rest.first().is_some_and(|first| u32::from(*first) == tag)
    }

    /// Pass over bytes that were read another way; no more than there are.
    #[inline(always)]
    pub(super) fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Pass over the field that `tag` announced.
    #[inline(never)]
    pub(super) fn skip(&mut self, tag: u32) -> Result<(), Fault> {
        self.skip_at(tag, self.depth)
    }

    fn skip_at(&mut self, tag: u32, depth: u32) -> Result<(), Fault> {
        match tag & 7 {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            BYTES => self.bytes().map(drop),
            FIXED32 => self.fixed32().map(drop),
            GROUP_START => self.skip_group(tag >> 3, depth + 1),
            GROUP_END => Err(BAD_GROUP),
            _ => Err(BAD_TAG),
        }
    }

    fn skip_group(&mut self, field: u32, depth: u32) -> Result<(), Fault> {
        if depth > DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        while !self.rest.is_empty() {
            match self.any_tag()? {
                tag if tag & 7 != GROUP_END => self.skip_at(tag, depth)?,
                tag if tag >> 3 == field => return Ok(()),
                _ => return Err(BAD_GROUP),
            }
        }
        Err(TRUNCATED)
    }
}
