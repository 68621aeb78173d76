//! What ids mean: each is defined in the record that uses it first, so that a replay gives the very same.

use crate::codec::{Damaged, Read, Reader, VARINT_MAX, Writer};
use crate::signal::{DIMENSIONS, Dimension};
use crate::value::{ValueId, Values};
use crate::view::Plan;

/// Definitions being gathered. Kept between batches.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    values: Writer,
    identities: Writer,
}

/// Definitions of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Defined<'a> {
    values: &'a [u8],
    identities: &'a [u8],
}

/// An identity that became a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    /// Place of its grouping in [`Plan::groupings`].
    pub grouping: usize,
    pub series: u32,
    /// `Identities::serial`.
    pub serial: u64,
    /// Its values in the order of the grouping's dimensions.
    pub tuple: &'a [ValueId],
}

impl Definitions {
    pub(crate) fn clear(&mut self) {
        self.values.0.clear();
        self.identities.0.clear();
    }

    /// Say what a value's id means.
    pub(crate) fn value(&mut self, id: ValueId, dimension: Dimension, text: &str) {
        self.values.varint(u64::from(id));
        self.values.u8(dimension as u8);
        self.values.bytes(text.as_bytes());
    }

    /// Say which identity a series is.
    pub(crate) fn identity(&mut self, identity: Identity<'_>) {
        self.identities.varint(identity.grouping as u64);
        self.identities.varint(u64::from(identity.series));
        self.identities.varint(identity.serial);
        self.identities.varint(identity.tuple.len() as u64);
        identity.tuple.iter().for_each(|id| self.identities.varint(u64::from(*id)));
    }

    /// What was gathered, for a record.
    pub(crate) fn defined(&self) -> Defined<'_> {
        Defined { values: &self.values.0, identities: &self.identities.0 }
    }
}

/// Most bytes that an identity takes, with those of its values that no record has defined yet.
pub(super) fn bytes_max(tuple: &[ValueId], values: &Values) -> usize {
    let value = |id: &ValueId| {
        let text = values.text(*id).map_or(0, |text| text.len());
        1 + 3 * VARINT_MAX + text
    };
    4 * VARINT_MAX + tuple.iter().map(value).sum::<usize>()
}

fn id(reader: &mut Reader<'_>) -> Read<u32> {
    u32::try_from(reader.varint()?).map_err(|_| Damaged("an id is longer than 32 bits"))
}

impl<'a> Defined<'a> {
    /// Whether it defines nothing, as most records do.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.identities.is_empty()
    }

    /// Give every value in the order of definition. Values come before identities: those use them.
    pub(crate) fn values(
        self,
        mut each: impl FnMut(ValueId, Dimension, &'a str) -> Read<()>,
    ) -> Read<()> {
        let mut reader = Reader(self.values);
        while !reader.0.is_empty() {
            let id = id(&mut reader)?;
            let dimension = DIMENSIONS.get(usize::from(reader.u8()?));
            let dimension = dimension.ok_or(Damaged("a dimension that there is none of"))?;
            each(id, dimension.dimension, reader.text()?)?;
        }
        Ok(())
    }

    /// Give every identity in the order of definition.
    pub(crate) fn identities(
        self,
        plan: &Plan,
        mut each: impl FnMut(Identity<'_>) -> Read<()>,
    ) -> Read<()> {
        let mut reader = Reader(self.identities);
        let mut tuple = Vec::new();
        while !reader.0.is_empty() {
            let grouping = reader.varint()? as usize;
            let series = id(&mut reader)?;
            let serial = reader.varint()?;
            let width = reader.count(1)?;
            let dimensions = plan.groupings().nth(grouping).map(|it| it.dimensions.len());
            if dimensions != Some(width) {
                return Err(Damaged("an identity of another configuration"));
            }
            tuple.clear();
            for _ in 0..width {
                tuple.push(id(&mut reader)?);
            }
            each(Identity { grouping, series, serial, tuple: &tuple })?;
        }
        Ok(())
    }

    pub(super) fn write(self, out: &mut Writer) {
        out.bytes(self.values);
        out.bytes(self.identities);
    }

    /// Read what `write` wrote, all of which reads.
    pub(super) fn read(reader: &mut Reader<'a>, plan: &Plan) -> Read<Self> {
        let defined = Self { values: reader.bytes()?, identities: reader.bytes()? };
        defined.values(|_, _, _| Ok(()))?;
        defined.identities(plan, |_| Ok(()))?;
        Ok(defined)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig;
    use super::*;

    /// Definitions come back in their order, and take no more than was asked for.
    #[test]
    fn definitions_come_back() {
        let plan = rig::plan(false);
        let values = Values::new(100, 256, 1);
        let id = values.intern(Dimension::Tenant, "größer".as_bytes());
        let mut definitions = Definitions::default();
        assert!(definitions.defined().is_empty());
        definitions.value(id, Dimension::Tenant, "größer");
        definitions.identity(Identity { grouping: 1, series: 9, serial: u64::MAX, tuple: &[id] });
        let mut out = Writer::default();
        definitions.defined().write(&mut out);
        assert!(out.0.len() <= bytes_max(&[id], &values));
        let defined = Defined::read(&mut Reader(&out.0), &plan).expect("what was written reads");
        let mut told = Vec::new();
        let noted = defined.values(|id, dimension, text| {
            told.push(format!("{id} {dimension:?} {text}"));
            Ok(())
        });
        assert_eq!(Ok(()), noted);
        let noted = defined.identities(&plan, |identity| {
            told.push(format!("{} {:?}", identity.series, identity.tuple));
            Ok(())
        });
        assert_eq!(Ok(()), noted);
        assert_eq!(vec![format!("{id} Tenant größer"), format!("9 [{id}]")], told);
    }

    /// An identity that no grouping of the plan can have is refused before anything is applied.
    #[test]
    fn another_plans_identity_is_refused() {
        let plan = rig::plan(false);
        for (grouping, tuple) in [(1, &[1, 2][..]), (4, &[]), (usize::MAX, &[])] {
            let mut definitions = Definitions::default();
            definitions.identity(Identity { grouping, series: 0, serial: 0, tuple });
            let mut out = Writer::default();
            definitions.defined().write(&mut out);
            assert!(Defined::read(&mut Reader(&out.0), &plan).is_err(), "{grouping} {tuple:?}");
        }
    }
}
