//! Accounts of a batch: sources and tenants with the class of every event.

use crate::codec::{Damaged, Read, Reader, VARINT_MAX, Writer};
use crate::ledger::{Accounts, Classes, REJECTIONS};
use crate::value::{ValueId, Values};

use super::definition;

const FIELDS: usize = 6 + REJECTIONS.len();

/// Most bytes of one account: ids, which fields are not zero, and those.
const ACCOUNT_BYTES_MAX: usize = (3 + FIELDS) * VARINT_MAX;

/// Most bytes of accounts and of the definitions of what is in them.
pub(super) fn bytes_max(accounts: &Accounts, values: &Values) -> usize {
    let each = accounts.list().iter().map(|account| {
        ACCOUNT_BYTES_MAX + definition::bytes_max(&[account.source, account.tenant], values)
    });
    each.sum::<usize>() + VARINT_MAX
}

fn fields(classes: &Classes) -> [u64; FIELDS] {
    let &Classes { received, counted, duplicate, late, rejected, sampled_out, at_least_once } =
        classes;
    let mut fields = [0; FIELDS];
    let named = [received, counted, duplicate, late, sampled_out, at_least_once];
    fields[..6].copy_from_slice(&named);
    fields[6..].copy_from_slice(&rejected);
    fields
}

fn classes(fields: &[u64; FIELDS]) -> Classes {
    let [received, counted, duplicate, late, sampled_out, at_least_once, rejected @ ..] = *fields;
    Classes { received, counted, duplicate, late, sampled_out, at_least_once, rejected }
}

pub(super) fn write(accounts: &Accounts, out: &mut Writer) {
    out.varint(accounts.list().len() as u64);
    for account in accounts.list() {
        out.varint(u64::from(account.source));
        out.varint(u64::from(account.tenant));
        let fields = fields(&account.classes);
        let bits = fields.iter().enumerate().map(|(at, n)| u64::from(*n > 0) << at);
        out.varint(bits.sum());
        fields.iter().filter(|n| **n > 0).for_each(|n| out.varint(*n));
    }
}

/// Fill empty `accounts`.
pub(super) fn read(reader: &mut Reader<'_>, accounts: &mut Accounts) -> Read<()> {
    let id = |id: u64| ValueId::try_from(id).map_err(|_| Damaged("an id is longer than 32 bits"));
    for _ in 0..reader.count(3)? {
        let source = id(reader.varint()?)?;
        let tenant = id(reader.varint()?)?;
        let bits = reader.varint()?;
        if bits >> FIELDS > 0 {
            return Err(Damaged("a class of events that there is none of"));
        }
        let mut fields = [0; FIELDS];
        for (at, field) in fields.iter_mut().enumerate() {
            if bits >> at & 1 == 1 {
                *field = reader.varint()?;
            }
        }
        let place = accounts.place(source, tenant);
        *accounts.at(place) = classes(&fields);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every class of every account comes back, in no more bytes than were asked for.
        #[test]
        fn accounts_come_back(classes_of in prop::collection::vec(any::<[u64; FIELDS]>(), 0..5)) {
            let mut accounts = Accounts::default();
            for (source, of) in classes_of.iter().enumerate() {
                let place = accounts.place(source as u32 % 2, 0);
                *accounts.at(place) = classes(of);
            }
            let mut out = Writer::default();
            write(&accounts, &mut out);
            prop_assert!(out.0.len() <= bytes_max(&accounts, &Values::new(1, 1, 1)));
            let (mut reader, mut back) = (Reader(&out.0), Accounts::default());
            prop_assert_eq!(Ok(()), read(&mut reader, &mut back));
            prop_assert_eq!(Ok(()), reader.end());
            prop_assert_eq!(format!("{:?}", accounts.list()), format!("{:?}", back.list()));
        }
    }

    /// A class that this version does not have is refused.
    #[test]
    fn unknown_classes_are_refused() {
        let mut out = Writer::default();
        [1, 0, 0, 1 << FIELDS, 1].iter().for_each(|n| out.varint(*n));
        let expected = Err(Damaged("a class of events that there is none of"));
        assert_eq!(expected, read(&mut Reader(&out.0), &mut Accounts::default()));
    }
}
