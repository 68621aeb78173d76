//! Decisions that are no batch of events.

use crate::codec::{Damaged, Read, Reader, VARINT_MAX, Writer};
use crate::ledger::Accounts;
use crate::pack::{self, pack_u64, unpack_u64};
use crate::value::ValueId;
use crate::view::Plan;

use super::accounts;
use super::definition::Defined;

/// A batch that was there before. Its accounts are booked as duplicates, and nothing else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Duplicate<'a> {
    /// Wall time of its arrival, Unix nanoseconds.
    pub now_ns: i64,
    /// Of the ids in its accounts.
    pub defined: Defined<'a>,
}

impl<'a> Duplicate<'a> {
    /// Append one; no longer than a record of the batch would have been.
    pub(crate) fn write(&self, accounts: &Accounts, out: &mut Vec<u8>) {
        let mut writer = Writer(std::mem::take(out));
        writer.i64(self.now_ns);
        self.defined.write(&mut writer);
        accounts::write(accounts, &mut writer);
        *out = writer.0;
    }

    /// Read one; its accounts replace what is in `accounts`.
    pub(crate) fn read(bytes: &'a [u8], plan: &Plan, accounts: &mut Accounts) -> Read<Self> {
        let mut reader = Reader(bytes);
        let duplicate = Self { now_ns: reader.i64()?, defined: Defined::read(&mut reader, plan)? };
        accounts.clear();
        accounts::read(&mut reader, accounts)?;
        reader.end().map(|()| duplicate)
    }
}

/// After a silence the watermark caught up with the newest event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watermark {
    /// Where it stands, Unix nanoseconds.
    pub watermark_ns: i64,
}

impl Watermark {
    /// Bytes that [`Watermark::write`] writes.
    pub(crate) const BYTES: usize = size_of::<i64>();

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.watermark_ns.to_le_bytes());
    }

    pub(crate) fn read(bytes: &[u8]) -> Read<Self> {
        let mut reader = Reader(bytes);
        let watermark = Self { watermark_ns: reader.i64()? };
        reader.end().map(|()| watermark)
    }
}

/// Buckets became sealed, and buckets were let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal<'a> {
    /// Buckets numbered below this are sealed.
    pub through: i64,
    /// What is held from then on, as `Kept` saves itself: the memory budget has its say in it.
    pub kept: &'a [u8],
}

impl<'a> Seal<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.through.to_le_bytes());
        out.extend_from_slice(self.kept);
    }

    pub(crate) fn read(bytes: &'a [u8]) -> Read<Self> {
        let mut reader = Reader(bytes);
        let through = reader.i64()?;
        Ok(Self { through, kept: reader.0 })
    }
}

/// A round of ids: series that fell silent, and values that nothing uses, are let go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Retire {
    /// Series by view.
    pub series: Vec<Vec<u32>>,
    /// Values let go; `None` where the round was not about them.
    pub values: Option<Vec<ValueId>>,
}

impl Retire {
    /// Most bytes that [`Retire::write`] writes.
    pub(crate) fn bytes_max(&self) -> usize {
        let lists = self.series.iter().chain(&self.values);
        let each = lists.map(|ids| VARINT_MAX + pack::bytes_max(ids.len()));
        VARINT_MAX + 1 + each.sum::<usize>()
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut writer = Writer(std::mem::take(out));
        writer.varint(self.series.len() as u64);
        self.series.iter().for_each(|series| write_ids(series, &mut writer));
        writer.u8(u8::from(self.values.is_some()));
        self.values.iter().for_each(|values| write_ids(values, &mut writer));
        *out = writer.0;
    }

    pub(crate) fn read(bytes: &[u8], plan: &Plan) -> Read<Self> {
        let mut reader = Reader(bytes);
        if reader.varint()? != plan.views.len() as u64 {
            return Err(Damaged("a round of ids of another configuration"));
        }
        let series = plan.views.iter().map(|_| read_ids(&mut reader)).collect::<Read<_>>()?;
        let values = match reader.u8()? {
            0 => None,
            1 => Some(read_ids(&mut reader)?),
            _ => return Err(Damaged("neither values nor none")),
        };
        reader.end().map(|()| Self { series, values })
    }
}

fn write_ids(ids: &[u32], out: &mut Writer) {
    out.varint(ids.len() as u64);
    pack_u64(&ids.iter().map(|id| u64::from(*id)).collect::<Vec<_>>(), out);
}

fn read_ids(reader: &mut Reader<'_>) -> Read<Vec<u32>> {
    let count = usize::try_from(reader.varint()?).map_err(|_| Damaged("too many ids"))?;
    let mut ids = Vec::new();
    unpack_u64(reader, count, &mut ids)?;
    let short = |id: u64| u32::try_from(id).map_err(|_| Damaged("an id is longer than 32 bits"));
    ids.into_iter().map(short).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::definition::Definitions;
    use super::super::rig;
    use super::*;
    use crate::signal::Dimension;
    use crate::value::Values;

    proptest! {
        /// A round of ids comes back, in no more bytes than were asked for.
        #[test]
        fn rounds_come_back(
            one in prop::collection::vec(any::<u32>(), 0..300),
            other: Vec<u32>,
            values: Option<Vec<u32>>,
        ) {
            let plan = rig::plan(false);
            let retire = Retire { series: vec![one, other], values };
            let mut bytes = Vec::new();
            retire.write(&mut bytes);
            prop_assert!(bytes.len() <= retire.bytes_max());
            prop_assert_eq!(Ok(retire), Retire::read(&bytes, &plan));
        }

        /// Any bytes are safe to read as any decision.
        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>) {
            let plan = rig::plan(false);
            let _ = Retire::read(&bytes, &plan);
            let _ = Duplicate::read(&bytes, &plan, &mut Accounts::default());
            let _ = Watermark::read(&bytes);
            let _ = Seal::read(&bytes);
        }
    }

    /// A duplicate's accounts and definitions come back.
    #[test]
    fn duplicates_come_back() {
        let plan = rig::plan(false);
        let values = Values::new(100, 256, 1);
        let source = values.intern(Dimension::Service, b"gateway");
        let mut accounts = Accounts::default();
        let place = accounts.place(source, 0);
        accounts.at(place).received = 4_096;
        accounts.at(place).duplicate = 4_096;
        let mut definitions = Definitions::default();
        definitions.value(source, Dimension::Service, "gateway");
        let duplicate = Duplicate { now_ns: rig::NOW_NS, defined: definitions.defined() };
        let mut bytes = Vec::new();
        duplicate.write(&accounts, &mut bytes);
        let mut back = Accounts::default();
        let _ = back.place(99, 99);
        assert_eq!(Ok(duplicate), Duplicate::read(&bytes, &plan, &mut back));
        assert_eq!(format!("{:?}", accounts.list()), format!("{:?}", back.list()));
    }

    /// Watermarks and seals come back whole, and what is left of them is refused.
    #[test]
    fn small_decisions_come_back() {
        let mut bytes = Vec::new();
        Watermark { watermark_ns: -5 }.write(&mut bytes);
        assert_eq!(Watermark::BYTES, bytes.len());
        assert_eq!(Ok(Watermark { watermark_ns: -5 }), Watermark::read(&bytes));
        assert!(Watermark::read(&bytes[1..]).is_err());
        bytes.clear();
        let seal = Seal { through: 179_521_920, kept: b"kept" };
        seal.write(&mut bytes);
        assert_eq!(Ok(seal), Seal::read(&bytes));
        assert!(Seal::read(&bytes[..7]).is_err());
    }

    /// A round of another number of views is refused.
    #[test]
    fn another_plans_round_is_refused() {
        let mut bytes = Vec::new();
        Retire { series: vec![vec![1]], values: None }.write(&mut bytes);
        let expected = Err(Damaged("a round of ids of another configuration"));
        assert_eq!(expected, Retire::read(&bytes, &rig::plan(false)));
    }
}
