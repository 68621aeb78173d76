//! Every event accounted for: received = counted + duplicate + late + rejected + sampled out.

use std::collections::{BTreeMap, HashMap};

use hashbrown::HashTable;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::codec::{Damaged, Read, Reader, Writer};
use crate::value::{ABSENT, OTHER, ValueId, Values};

/// Why one event was refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    NoTime,
    EndBeforeStart,
    Future,
    BadId,
    NotFinite,
    Negative,
    OutOfRange,
}

/// Every reason with its name in the API, in the order of the enum.
pub(crate) const REJECTIONS: [(Rejection, &str); 7] = [
    (Rejection::NoTime, "no_time"),
    (Rejection::EndBeforeStart, "end_before_start"),
    (Rejection::Future, "future"),
    (Rejection::BadId, "bad_id"),
    (Rejection::NotFinite, "not_finite"),
    (Rejection::Negative, "negative"),
    (Rejection::OutOfRange, "out_of_range"),
];

/// Events by class. `received` is their sum, kept apart so that a slip would show.
///
/// Sampled-out events have no source yet; their class exists so that readers need not change
/// when they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Classes {
    pub received: u64,
    pub counted: u64,
    pub duplicate: u64,
    pub late: u64,
    pub rejected: [u64; REJECTIONS.len()],
    pub sampled_out: u64,
    /// Of those received, how many would be counted again if they were sent again. No class:
    /// each of them stands in one of the others.
    pub at_least_once: u64,
}

impl Classes {
    fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.counted += other.counted;
        self.duplicate += other.duplicate;
        self.late += other.late;
        self.sampled_out += other.sampled_out;
        self.at_least_once += other.at_least_once;
        for (mine, theirs) in self.rejected.iter_mut().zip(other.rejected) {
            *mine += theirs;
        }
    }

    fn save(&self, out: &mut Writer) {
        let Self { received, counted, duplicate, late, rejected, sampled_out, at_least_once } =
            self;
        let named = [received, counted, duplicate, late, sampled_out, at_least_once];
        for events in named.into_iter().chain(rejected) {
            out.varint(*events);
        }
    }

    /// `reasons` are the places of those that were written down.
    fn load(reader: &mut Reader<'_>, reasons: &[usize]) -> Read<Self> {
        let mut classes = Self {
            received: reader.varint()?,
            counted: reader.varint()?,
            duplicate: reader.varint()?,
            late: reader.varint()?,
            sampled_out: reader.varint()?,
            at_least_once: reader.varint()?,
            ..Self::default()
        };
        for reason in reasons {
            classes.rejected[*reason] = reader.varint()?;
        }
        Ok(classes)
    }

    fn balanced(&self) -> bool {
        let rejected: u64 = self.rejected.iter().sum();
        self.received == self.counted + self.duplicate + self.late + rejected + self.sampled_out
    }

    /// What a sender that sends again after a failure gets of its events.
    fn delivery(&self) -> &'static str {
        if self.at_least_once == 0 { "exactly_once" } else { "at_least_once" }
    }

    fn to_json(self) -> Json {
        let named = REJECTIONS.iter().zip(self.rejected).filter(|(_, n)| *n > 0);
        let rejected: BTreeMap<&str, u64> = named.map(|((_, name), n)| (*name, n)).collect();
        json!({
            "received": self.received, "counted": self.counted, "duplicate": self.duplicate,
            "late": self.late, "rejected": rejected, "sampled_out": self.sampled_out,
            "balanced": self.balanced(), "delivery": self.delivery(),
            "at_least_once": self.at_least_once,
        })
    }
}

/// One batch's events of one source and tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub source: ValueId,
    pub tenant: ValueId,
    pub classes: Classes,
}

fn account_hash(source: ValueId, tenant: ValueId) -> u64 {
    let both = u64::from(source) << 32 | u64::from(tenant);
    both.wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29)
}

/// Account of each (source, tenant) of a batch.
#[derive(Default)]
pub(crate) struct Accounts {
    list: Vec<Account>,
    /// Places by (source, tenant). Ids are ours, so mixing them is hash enough.
    places: HashTable<u32>,
    last: u32,
}

impl Accounts {
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.places.clear();
        self.last = 0;
    }

    /// Place of an account, made on first sight.
    #[inline]
    pub(crate) fn place(&mut self, source: ValueId, tenant: ValueId) -> u32 {
        // Runs share both more often than not.
        if let Some(last) = self.list.get(self.last as usize)
            && (last.source, last.tenant) == (source, tenant)
        {
            return self.last;
        }
        let hash = account_hash(source, tenant);
        let same = |place: &u32| {
            let known = &self.list[*place as usize];
            (known.source, known.tenant) == (source, tenant)
        };
        self.last = match self.places.find(hash, same) {
            Some(place) => *place,
            None => self.open(source, tenant),
        };
        self.last
    }

    #[cold]
    fn open(&mut self, source: ValueId, tenant: ValueId) -> u32 {
        let place = self.list.len() as u32;
        self.list.push(Account { source, tenant, classes: Classes::default() });
        let list = &self.list;
        let rehash = |place: &u32| {
            let known = &list[*place as usize];
            account_hash(known.source, known.tenant)
        };
        let _ = self.places.insert_unique(account_hash(source, tenant), place, rehash);
        place
    }

    /// Each account in the order of first sight.
    pub(crate) fn list(&self) -> &[Account] {
        &self.list
    }

    pub(crate) fn at(&mut self, place: u32) -> &mut Classes {
        &mut self.list[place as usize].classes
    }

    /// Count what was not refused, but for `late` of each account, in its order.
    pub(crate) fn settle(&mut self) {
        for Account { classes, .. } in &mut self.list {
            let rejected: u64 = classes.rejected.iter().sum();
            classes.counted = classes.received - rejected - classes.late;
        }
    }

    /// The batch was counted before: so was everything in it, whatever came of it then.
    pub(crate) fn become_duplicate(&mut self) {
        for Account { classes, .. } in &mut self.list {
            let received = classes.received;
            *classes = Classes { received, duplicate: received, ..Classes::default() };
        }
    }

    /// The batch could not be told from one that was counted before.
    pub(crate) fn become_at_least_once(&mut self) {
        for Account { classes, .. } in &mut self.list {
            classes.at_least_once = classes.received;
        }
    }

    /// (source, events received, those of them that are future-dated) of each account.
    pub(crate) fn by_skew(&self) -> impl Iterator<Item = (ValueId, u64, u64)> {
        self.list.iter().map(|account| {
            let future = account.classes.rejected[Rejection::Future as usize];
            (account.source, account.classes.received, future)
        })
    }

    /// Everything in the batch.
    pub(crate) fn total(&self) -> Classes {
        let mut total = Classes::default();
        self.list.iter().for_each(|account| total.add(&account.classes));
        total
    }
}

/// What was booked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Books {
    total: Classes,
    by_source: HashMap<ValueId, Classes>,
    by_tenant: HashMap<ValueId, Classes>,
}

impl Books {
    /// Write everything down.
    pub(crate) fn save(&self, out: &mut Writer) {
        out.varint(REJECTIONS.len() as u64);
        REJECTIONS.iter().for_each(|(_, name)| out.bytes(name.as_bytes()));
        self.total.save(out);
        for rows in [&self.by_source, &self.by_tenant] {
            let mut rows: Vec<_> = rows.iter().collect();
            rows.sort_unstable_by_key(|(id, _)| **id);
            out.varint(rows.len() as u64);
            for (id, classes) in rows {
                out.varint(u64::from(*id));
                classes.save(out);
            }
        }
    }

    /// What [`Books::save`] wrote; its values are below `ids`.
    pub(crate) fn load(reader: &mut Reader<'_>, ids: ValueId) -> Read<Self> {
        let unknown = Damaged("has a reason to reject that this version does not have");
        let mut reasons = Vec::new();
        for _ in 0..reader.count(1)? {
            let name = reader.text()?;
            let place = REJECTIONS.iter().position(|(_, known)| *known == name);
            reasons.push(place.ok_or(unknown)?);
        }
        let mut books = Self { total: Classes::load(reader, &reasons)?, ..Self::default() };
        for rows in [&mut books.by_source, &mut books.by_tenant] {
            for _ in 0..reader.count(6)? {
                let id = reader.varint()?;
                if id >= u64::from(ids) {
                    return Err(Damaged("has an account of a value that there is not"));
                }
                let _ = rows.insert(id as ValueId, Classes::load(reader, &reasons)?);
            }
        }
        Ok(books)
    }
}

/// The account of every event since the start.
pub(crate) struct Ledger {
    /// Sources, and tenants, told apart; the rest share `__other__`.
    entries_max: usize,
    books: Mutex<Books>,
}

fn entry(map: &mut HashMap<ValueId, Classes>, id: ValueId, entries_max: usize) -> &mut Classes {
    let id = if map.len() < entries_max || map.contains_key(&id) { id } else { OTHER };
    map.entry(id).or_default()
}

impl Ledger {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries_max, books: Mutex::default() }
    }

    /// Book a batch: received and classes move in one step, so every reading balances.
    pub(crate) fn book(&self, accounts: &Accounts) {
        let mut books = self.books.lock();
        for account in &accounts.list {
            let classes = &account.classes;
            books.total.add(classes);
            entry(&mut books.by_source, account.source, self.entries_max).add(classes);
            entry(&mut books.by_tenant, account.tenant, self.entries_max).add(classes);
        }
    }

    /// What is booked now. A copy: at 1,000 sources and tenants some 250 KiB.
    pub(crate) fn books(&self) -> Books {
        self.books.lock().clone()
    }

    /// Begin with what was booked before.
    pub(crate) fn restore(&self, books: Books) {
        *self.books.lock() = books;
    }

    /// Sources and tenants that have a row.
    pub(crate) fn ids(&self) -> Vec<ValueId> {
        let books = self.books.lock();
        books.by_source.keys().chain(books.by_tenant.keys()).copied().collect()
    }

    /// The whole ledger, as `GET /api/v1/ledger` shows it.
    pub(crate) fn to_json(&self, values: &Values) -> Json {
        let books = self.books.lock();
        let named = |map: &HashMap<ValueId, Classes>| {
            map.iter()
                .map(|(id, classes)| (name(*id, values), classes.to_json()))
                .collect::<BTreeMap<_, _>>()
        };
        let by = json!({ "source": named(&books.by_source), "tenant": named(&books.by_tenant) });
        let mut shown = books.total.to_json();
        shown["by"] = by;
        shown
    }
}

fn name(id: ValueId, values: &Values) -> String {
    // An event without a tenant is still somebody's: the empty name is its own row.
    if id == ABSENT { String::new() } else { values.text(id).as_deref().unwrap_or("").to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Dimension;

    /// A booked batch shows in the total and under its source and tenant, and all three balance.
    #[test]
    fn books_balance() {
        let values = Values::new(100, 100, 1);
        let (source, tenant) = (
            values.intern(Dimension::Service, b"gateway"),
            values.intern(Dimension::Tenant, b"acme"),
        );
        let mut accounts = Accounts::default();
        let place = accounts.place(source, tenant);
        *accounts.at(place) = Classes { received: 5, counted: 3, late: 1, ..Classes::default() };
        accounts.at(place).rejected[Rejection::BadId as usize] = 1;
        let ledger = Ledger::new(10);
        ledger.book(&accounts);
        let shown = ledger.to_json(&values);
        for part in [&shown, &shown["by"]["source"]["gateway"], &shown["by"]["tenant"]["acme"]] {
            assert_eq!(json!(5), part["received"]);
            assert_eq!(json!({"bad_id": 1}), part["rejected"]);
            assert_eq!(json!(true), part["balanced"]);
        }
    }

    /// A batch that was counted before is all duplicate, whatever came of its events; the books
    /// balance.
    #[test]
    fn a_duplicate_is_no_other_class() {
        let values = Values::new(100, 100, 1);
        let mut accounts = Accounts::default();
        for tenant in [ABSENT, OTHER] {
            let place = accounts.place(ABSENT, tenant);
            *accounts.at(place) = Classes { received: 5, late: 1, ..Classes::default() };
            accounts.at(place).rejected[Rejection::NoTime as usize] = 2;
        }
        accounts.become_duplicate();
        let ledger = Ledger::new(10);
        ledger.book(&accounts);
        let shown = ledger.to_json(&values);
        assert_eq!((&json!(10), &json!(10)), (&shown["received"], &shown["duplicate"]));
        assert_eq!((&json!(0), &json!({})), (&shown["late"], &shown["rejected"]));
        assert_eq!(json!(true), shown["balanced"]);
    }

    /// A source whose events would be counted again is named, and so is the total; its
    /// neighbours are not, and the sum of classes does not change.
    #[test]
    fn at_least_once_is_said_by_source() {
        let values = Values::new(100, 100, 1);
        let ledger = Ledger::new(10);
        for name in ["known", "unknown"] {
            let source = values.intern(Dimension::Service, name.as_bytes());
            let mut accounts = Accounts::default();
            let place = accounts.place(source, ABSENT);
            *accounts.at(place) = Classes { received: 3, counted: 3, ..Classes::default() };
            if name == "unknown" {
                accounts.become_at_least_once();
            }
            ledger.book(&accounts);
        }
        let shown = ledger.to_json(&values);
        for (part, delivery, events) in [
            (&shown, "at_least_once", 3),
            (&shown["by"]["source"]["unknown"], "at_least_once", 3),
            (&shown["by"]["source"]["known"], "exactly_once", 0),
        ] {
            assert_eq!(json!(delivery), part["delivery"]);
            assert_eq!(json!(events), part["at_least_once"]);
            assert_eq!(json!(true), part["balanced"]);
        }
    }

    /// Past its limit the ledger folds new sources into one row and the total stays exact.
    #[test]
    fn sources_are_bounded() {
        let ledger = Ledger::new(2);
        for source in 10..20 {
            let mut accounts = Accounts::default();
            let place = accounts.place(source, ABSENT);
            accounts.at(place).received = 1;
            ledger.book(&accounts);
        }
        let books = ledger.books.lock();
        assert_eq!(10, books.total.received);
        assert_eq!(3, books.by_source.len());
        assert_eq!(8, books.by_source[&OTHER].received);
    }

    /// What was booked comes back, row by row.
    #[test]
    fn books_come_back() {
        let ledger = Ledger::new(2);
        for source in 10..20 {
            let mut accounts = Accounts::default();
            let place = accounts.place(source, ABSENT);
            accounts.at(place).received = u64::from(source);
            accounts.at(place).rejected[Rejection::Future as usize] = u64::from(source);
            ledger.book(&accounts);
        }
        let mut out = Writer::default();
        ledger.books().save(&mut out);
        let mut reader = Reader(&out.0);
        assert_eq!(Ok(ledger.books()), Books::load(&mut reader, 20));
        assert_eq!(Ok(()), reader.end());
        assert!(Books::load(&mut Reader(&out.0), 11).is_err(), "a value that there is not");
        for length in 0..out.0.len() {
            assert!(Books::load(&mut Reader(&out.0[..length]), 20).is_err(), "{length} B");
        }
    }

    /// Reasons index their counters.
    #[test]
    fn reasons_are_in_order() {
        for (place, (reason, _)) in REJECTIONS.iter().enumerate() {
            assert_eq!(place, *reason as usize);
        }
    }
}
