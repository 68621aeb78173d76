//! What one request is known again by.

use crate::codec::{Damaged, Read, Reader, Writer};
use crate::secret::Secret;

/// Name a sender gave to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    /// Whose name it is: two tenants may use the same.
    pub tenant: &'a str,
    /// What the sender calls the batch.
    pub id: &'a str,
}

/// What one request is known again by, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// Of our own protocol: who sends, since when, and the how manieth batch it is.
    Numbered { producer: u128, epoch: u64, seq: u64 },
    /// A name the sender gave it, and what it contains.
    Named { name: u128, content: u128 },
    /// What it contains, where no two batches can contain the same.
    Content(u128),
    /// Nothing: the same bytes may be other events.
    None,
}

const NONE: u8 = 0;
const CONTENT: u8 = 1;
const NAMED: u8 = 2;
const NUMBERED: u8 = 3;

impl Key {
    /// The key of an OTLP request.
    ///
    /// - `has_all_ids`: every span in it has its ids, so equal bytes are equal events. Events
    ///   without ids may well be alike: taking them for a repetition would lose them.
    pub(crate) fn of(
        secret: &Secret,
        name: Option<Name<'_>>,
        request: &[u8],
        has_all_ids: bool,
    ) -> Self {
        match name {
            Some(name) => {
                Self::Named { name: name.hash(secret), content: secret.hash_wide(request) }
            }
            None if has_all_ids => Self::Content(secret.hash_wide(request)),
            None => Self::None,
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        match *self {
            Self::None => writer.u8(NONE),
            Self::Content(content) => {
                writer.u8(CONTENT);
                writer.u128(content);
            }
            Self::Named { name, content } => {
                writer.u8(NAMED);
                writer.u128(name);
                writer.u128(content);
            }
            Self::Numbered { producer, epoch, seq } => {
                writer.u8(NUMBERED);
                writer.u128(producer);
                writer.varint(epoch);
                writer.varint(seq);
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        Ok(match reader.u8()? {
            NONE => Self::None,
            CONTENT => Self::Content(reader.u128()?),
            NAMED => Self::Named { name: reader.u128()?, content: reader.u128()? },
            NUMBERED => Self::Numbered {
                producer: reader.u128()?,
                epoch: reader.varint()?,
                seq: reader.varint()?,
            },
            _ => return Err(Damaged("a batch's key is of no known kind")),
        })
    }
}

impl Name<'_> {
    fn hash(&self, secret: &Secret) -> u128 {
        let mut both = Writer::default();
        // With its length in front, no tenant and id make the bytes of another pair.
        both.bytes(self.tenant.as_bytes());
        both.bytes(self.id.as_bytes());
        secret.hash_wide(&both.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(name: Option<Name<'_>>, request: &[u8]) -> Key {
        Key::of(&Secret::known(), name, request, true)
    }

    /// A key is read back as it was written, with nothing left over.
    #[test]
    fn keys_come_back() {
        let keys = [
            Key::None,
            Key::Content(u128::MAX - 1),
            Key::Named { name: 7, content: 1 << 100 },
            Key::Numbered { producer: 9, epoch: u64::MAX, seq: 300 },
        ];
        for key in keys {
            let mut writer = Writer::default();
            key.write(&mut writer);
            let mut reader = Reader(&writer.0);
            assert_eq!(Ok(key), Key::read(&mut reader));
            assert_eq!(Ok(()), reader.end());
        }
        assert!(Key::read(&mut Reader(&[4])).is_err());
    }

    /// A name wins over the content; without either nothing is known again.
    #[test]
    fn the_surest_wins() {
        let name = Some(Name { tenant: "", id: "batch" });
        let secret = Secret::known();
        assert!(matches!(Key::of(&secret, name, b"spans", false), Key::Named { .. }));
        assert!(matches!(Key::of(&secret, None, b"spans", true), Key::Content(_)));
        assert_eq!(Key::None, Key::of(&secret, None, b"spans", false));
    }

    proptest! {
        /// Two (tenant, id) pairs have one name only if they are the same pair.
        #[test]
        fn names_are_told_apart(
            one in ("[ab]{0,3}", "[ab]{0,3}"),
            other in ("[ab]{0,3}", "[ab]{0,3}"),
        ) {
            let hash = |(tenant, id): &(String, String)| Name { tenant, id }.hash(&Secret::known());
            prop_assert_eq!(one == other, hash(&one) == hash(&other));
        }

        /// Content has one key only if it is the same content.
        #[test]
        fn contents_are_told_apart(one: Vec<u8>, other: Vec<u8>) {
            prop_assert_eq!(one == other, key(None, &one) == key(None, &other));
        }
    }
}
