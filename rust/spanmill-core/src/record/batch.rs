//! A batch of events: its verdicts, and its columns in blocks of 256 events.
//!
//! A block holds event times, measures by slot, series by view and what companions count.
//! Blocks rather than whole columns, because rows of measures are read once each way, in
//! the nearest cache. Good and bad stand apart, counted by group and second already.

use crate::batch::{Batch, Groups, tpot};
use crate::budget::{Counts, Tally};
use crate::codec::{Damaged, Read, Reader, VARINT_MAX, Writer};
use crate::pack::{self, BLOCK, read_f64, read_i64, read_u64, write_f64, write_i64, write_u64};
use crate::value::Values;
use crate::view::Plan;
use crate::wide::NO_VALUE;

use super::accounts;
use super::column::{self, Found, Gathered, PRESENCE_MAX};
use super::definition::{self, Defined};

/// Verdicts on a batch, and what else a replay needs beside its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// Wall time of its arrival, Unix nanoseconds.
    pub now_ns: i64,
    /// Newest event so far, its own included, Unix nanoseconds.
    pub newest_ns: Option<i64>,
    /// Where the watermark stands after it, Unix nanoseconds.
    pub watermark_ns: Option<i64>,
    /// Buckets numbered below this take nothing of it.
    pub sealed: i64,
    /// Its events before this leave no trace, Unix nanoseconds.
    pub horizon_ns: i64,
    /// What it is recognised by when it comes again, at most [`KEY_BYTES_MAX`].
    pub key: &'a [u8],
    /// What is answered then, at most [`RESPONSE_BYTES_MAX`].
    pub response: &'a [u8],
    /// Ids that it is the first to use.
    pub defined: Defined<'a>,
}

/// Longest key of a batch.
pub(crate) const KEY_BYTES_MAX: usize = 64;
/// Longest answer: a count and a word for each reason to refuse events.
pub(crate) const RESPONSE_BYTES_MAX: usize = 1_024;

/// Numbers of the head, lengths and counts, with room to spare.
const HEAD_BYTES_MAX: usize = 256 + KEY_BYTES_MAX + RESPONSE_BYTES_MAX;
/// Columns of a block of tallies.
const TALLY_COLUMNS: usize = 4;

/// Measures that a span lacks have exactly these bits.
const ABSENT: u64 = f64::NAN.to_bits();

/// Most bytes that [`encode`] writes for a batch whose identities may still be unresolved.
///
/// Costs a look at each column and account, and at each identity seen first.
pub(crate) fn bytes_max(batch: &Batch, plan: &Plan, values: &Values) -> usize {
    // Past a limit an identity may become another, but of no new values.
    let unresolved = batch.groups.iter().flat_map(Groups::unresolved);
    let identities = unresolved.map(|tuple| definition::bytes_max(tuple, values));
    let tallies = batch
        .groups
        .iter()
        .map(|groups| TALLY_COLUMNS * pack::bytes_max(groups.tallies.len()) + VARINT_MAX);
    let texts = batch.wide.texts().len() * (size_of::<u64>() + VARINT_MAX);
    let events = batch.ends_ns.len();
    let column = pack::bytes_max(events) + events.div_ceil(BLOCK) * PRESENCE_MAX;
    let columns = 1 + plan.slots.measures.len() + plan.views.len() + wide_columns(plan);
    HEAD_BYTES_MAX
        + identities.sum::<usize>()
        + accounts::bytes_max(&batch.accounts, values)
        + tallies.sum::<usize>()
        + texts
        + batch.wide.texts_bytes()
        + columns * column
}

fn wide_columns(plan: &Plan) -> usize {
    plan.wide.as_ref().map_or(0, |wide| wide.columns.len())
}

/// How many columns of each sort there are: a record fits only a plan that has as many.
fn shape(plan: &Plan) -> [usize; 4] {
    [plan.slots.measures.len(), plan.views.len(), plan.objectives.len(), wide_columns(plan)]
}

/// Append the record of a batch that is resolved and settled.
pub(crate) fn encode(batch: &Batch, head: &Head<'_>, plan: &Plan, out: &mut Vec<u8>) {
    debug_assert!(head.key.len() <= KEY_BYTES_MAX && head.response.len() <= RESPONSE_BYTES_MAX);
    let mut writer = Writer(std::mem::take(out));
    shape(plan).iter().for_each(|columns| writer.varint(*columns as u64));
    writer.varint(batch.ends_ns.len() as u64);
    write_head(head, &mut writer);
    accounts::write(&batch.accounts, &mut writer);
    for groups in &batch.groups[plan.views.len()..] {
        write_tallies(&groups.tallies, &mut writer);
    }
    for start in (0..batch.ends_ns.len()).step_by(BLOCK) {
        write_block(batch, plan, start, &mut writer);
    }
    if plan.wide.is_some() {
        write_texts(batch, &mut writer);
    }
    *out = writer.0;
}

fn write_head(head: &Head<'_>, out: &mut Writer) {
    out.i64(head.now_ns);
    out.option(head.newest_ns);
    out.option(head.watermark_ns);
    out.i64(head.sealed);
    out.i64(head.horizon_ns);
    out.bytes(head.key);
    out.bytes(head.response);
    head.defined.write(out);
}

fn write_tallies(tallies: &[Tally], out: &mut Writer) {
    out.varint(tallies.len() as u64);
    for block in tallies.chunks(BLOCK) {
        let mut column = |value: &dyn Fn(&Tally) -> u64| {
            let mut values = [0; BLOCK];
            values.iter_mut().zip(block).for_each(|(place, tally)| *place = value(tally));
            write_u64(&values[..block.len()], out);
        };
        column(&|tally| u64::from(tally.group));
        column(&|tally| tally.second.cast_unsigned());
        column(&|tally| tally.counts.good);
        column(&|tally| tally.counts.bad);
    }
}

fn write_block(batch: &Batch, plan: &Plan, start: usize, out: &mut Writer) {
    let end = batch.ends_ns.len().min(start + BLOCK);
    write_i64(&batch.ends_ns[start..end], out);
    let stride = plan.slots.measures.len();
    let rows = &batch.measures[start * stride..end * stride];
    for slot in 0..stride {
        if follows(rows, plan, slot) {
            column::write_following(out);
        } else {
            let is_there = |value: f64| value.to_bits() != ABSENT;
            let column = rows.iter().skip(slot).step_by(stride).copied();
            Gathered::of(column, is_there).write(is_there, write_f64, out);
        }
    }
    for groups in &batch.groups[..plan.views.len()] {
        write_series(&groups.series[start..end], out);
    }
    let stride = wide_columns(plan);
    let rows = &batch.wide.hashes[start * stride..end * stride];
    for column in 0..stride {
        let is_there = |hash| hash != NO_VALUE;
        let column = rows.iter().skip(column).step_by(stride).copied();
        Gathered::of(column, is_there).write(is_there, write_u64, out);
    }
}

/// Whether a measure of all of these rows is what follows from their others, bit for bit.
fn follows(rows: &[f64], plan: &Plan, slot: usize) -> bool {
    let Some(follow) = Following::of(plan).filter(|follow| follow.slot == slot) else {
        return false;
    };
    let mut rows = rows.chunks_exact(plan.slots.measures.len());
    rows.all(|row| follow.value(row).to_bits() == row[slot].to_bits())
}

/// The measure that follows from others.
struct Following {
    slot: usize,
    from: [usize; 3],
}

impl Following {
    fn of(plan: &Plan) -> Option<Self> {
        let slots = plan.derived;
        let from = [slots.duration?, slots.ttft?, slots.output_tokens?];
        slots.tpot.map(|slot| Self { slot, from })
    }

    #[inline]
    fn value(&self, row: &[f64]) -> f64 {
        let [duration, ttft, tokens] = self.from.map(|slot| row[slot]);
        tpot(duration, ttft, tokens).unwrap_or(f64::NAN)
    }
}

fn write_series(series: &[u32], out: &mut Writer) {
    let mut ids = [0; BLOCK];
    // One more than the id: that of none is small too.
    let next = |series: u32| u64::from(series.wrapping_add(1));
    ids.iter_mut().zip(series).for_each(|(id, series)| *id = next(*series));
    write_u64(&ids[..series.len()], out);
}

fn write_texts(batch: &Batch, out: &mut Writer) {
    let texts = batch.wide.texts();
    out.varint(texts.len() as u64);
    for (hash, text) in texts {
        out.u64(hash);
        out.bytes(text);
    }
}

/// Read a record into the columns that ingest would have filled; an error leaves them in no order.
///
/// Its ids are to be applied only after [`Head::defined`].
pub(crate) fn decode<'b>(bytes: &'b [u8], plan: &Plan, batch: &mut Batch) -> Read<Head<'b>> {
    batch.clear();
    let mut reader = Reader(bytes);
    for columns in shape(plan) {
        if reader.varint()? != columns as u64 {
            return Err(Damaged("a batch of another configuration"));
        }
    }
    let count = reader.varint()?;
    let head = read_head(&mut reader, plan)?;
    accounts::read(&mut reader, &mut batch.accounts)?;
    for groups in &mut batch.groups[plan.views.len()..] {
        read_tallies(&mut reader, &mut groups.tallies)?;
    }
    let count = usize::try_from(count).map_err(|_| Damaged("too many events"))?;
    while batch.ends_ns.len() < count {
        let length = BLOCK.min(count - batch.ends_ns.len());
        read_block(&mut reader, plan, length, batch)?;
    }
    if plan.wide.is_some() {
        read_texts(&mut reader, batch)?;
    }
    reader.end().map(|()| head)
}

fn read_head<'b>(reader: &mut Reader<'b>, plan: &Plan) -> Read<Head<'b>> {
    Ok(Head {
        now_ns: reader.i64()?,
        newest_ns: reader.option()?,
        watermark_ns: reader.option()?,
        sealed: reader.i64()?,
        horizon_ns: reader.i64()?,
        key: reader.bytes()?,
        response: reader.bytes()?,
        defined: Defined::read(reader, plan)?,
    })
}

fn read_tallies(reader: &mut Reader<'_>, tallies: &mut Vec<Tally>) -> Read<()> {
    let count = usize::try_from(reader.varint()?).map_err(|_| Damaged("too many tallies"))?;
    while tallies.len() < count {
        let length = BLOCK.min(count - tallies.len());
        let mut columns = [[0; BLOCK]; TALLY_COLUMNS];
        for column in &mut columns {
            read_u64(reader, &mut column[..length])?;
        }
        let [groups, seconds, good, bad] = columns;
        for at in 0..length {
            tallies.push(Tally {
                group: series(groups[at])?,
                second: seconds[at].cast_signed(),
                counts: Counts { good: good[at], bad: bad[at] },
            });
        }
    }
    Ok(())
}

fn series(id: u64) -> Read<u32> {
    u32::try_from(id).map_err(|_| Damaged("a series id is longer than 32 bits"))
}

fn read_block(reader: &mut Reader<'_>, plan: &Plan, length: usize, batch: &mut Batch) -> Read<()> {
    let start = batch.ends_ns.len();
    batch.ends_ns.resize(start + length, 0);
    read_i64(reader, &mut batch.ends_ns[start..])?;
    read_measures(reader, plan, length, &mut batch.measures)?;
    for groups in &mut batch.groups[..plan.views.len()] {
        let mut ids = [0; BLOCK];
        let ids = &mut ids[..length];
        read_u64(reader, ids)?;
        for id in ids {
            groups.series.push(series(*id)?.wrapping_sub(1));
        }
    }
    let (stride, hashes) = (wide_columns(plan), &mut batch.wide.hashes);
    let rows = hashes.len();
    hashes.resize(rows + length * stride, NO_VALUE);
    for column in 0..stride {
        let place = |at| rows + at * stride + column;
        let found = column::read(reader, length, read_u64, |at, hash| hashes[place(at)] = hash)?;
        if found == Found::Follows {
            return Err(Damaged("hashes follow from nothing"));
        }
    }
    Ok(())
}

fn read_measures(
    reader: &mut Reader<'_>,
    plan: &Plan,
    length: usize,
    measures: &mut Vec<f64>,
) -> Read<()> {
    let stride = plan.slots.measures.len();
    let start = measures.len();
    measures.resize(start + length * stride, f64::NAN);
    let rows = &mut measures[start..];
    let mut following = None;
    for slot in 0..stride {
        let place = |at| at * stride + slot;
        let found = column::read(reader, length, read_f64, |at, value| rows[place(at)] = value)?;
        if found == Found::Follows {
            let follow = Following::of(plan).filter(|follow| follow.slot == slot);
            following = Some(follow.ok_or(Damaged("a measure follows from nothing"))?);
        }
    }
    if let Some(follow) = following {
        for row in rows.chunks_exact_mut(stride) {
            row[follow.slot] = follow.value(row);
        }
    }
    Ok(())
}

fn read_texts(reader: &mut Reader<'_>, batch: &mut Batch) -> Read<()> {
    for _ in 0..reader.count(size_of::<u64>() + 1)? {
        let hash = reader.u64()?;
        batch.wide.learn(hash, reader.bytes()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::super::definition::{Definitions, Identity};
    use super::super::rig::{self, NOW_NS, fill, shown};
    use super::*;
    use crate::signal::Dimension;

    static PLANS: LazyLock<[Plan; 2]> = LazyLock::new(|| [false, true].map(rig::plan));

    /// Values of every id that the batches here use.
    fn values() -> Values {
        let values = Values::new(100, 256, 1);
        for n in 0..20 {
            let _ = values.intern(Dimension::Service, format!("service {n}").as_bytes());
        }
        values
    }

    fn definitions() -> Definitions {
        let mut definitions = Definitions::default();
        definitions.value(7, Dimension::Service, "gateway");
        definitions.value(8, Dimension::Model, "größer");
        definitions.identity(Identity { grouping: 0, series: 3, serial: 900, tuple: &[7, 8, 0] });
        definitions.identity(Identity { grouping: 3, series: 0, serial: 0, tuple: &[] });
        definitions
    }

    fn head<'a>(definitions: &'a Definitions) -> Head<'a> {
        Head {
            now_ns: NOW_NS + 5,
            newest_ns: Some(NOW_NS),
            watermark_ns: None,
            sealed: i64::MIN,
            horizon_ns: NOW_NS - (90 << 48),
            key: b"a key of some bytes",
            response: b"",
            defined: definitions.defined(),
        }
    }

    fn encoded(batch: &Batch, plan: &Plan) -> Vec<u8> {
        let (definitions, mut bytes) = (definitions(), Vec::new());
        encode(batch, &head(&definitions), plan, &mut bytes);
        bytes
    }

    fn golden_path() -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        folder.join(format!("record-{}.bin", crate::journal::LAYOUT))
    }

    proptest! {
        /// A batch of any columns comes back bit for bit with its verdicts, in no more bytes than
        /// were asked for.
        #[test]
        fn batches_come_back(events in 0_usize..700, seed: u64, with_companions: bool) {
            let plan = &PLANS[usize::from(with_companions)];
            let mut batch = Batch::new(plan);
            fill(&mut batch, plan, events, seed);
            let bytes = encoded(&batch, plan);
            prop_assert!(bytes.len() <= bytes_max(&batch, plan, &values()), "{} B", bytes.len());
            let mut back = Batch::new(plan);
            fill(&mut back, plan, 3, !seed);
            let definitions = definitions();
            prop_assert_eq!(Ok(head(&definitions)), decode(&bytes, plan, &mut back));
            prop_assert_eq!(shown(&batch, plan), shown(&back, plan));
        }

        /// A record that was cut short or changed reads as an error or as another batch, never as a
        /// panic, and never takes more memory than a block of rows for each byte.
        #[test]
        fn damage_is_safe(seed: u64, cuts: bool, at: usize, byte: u8) {
            let plan = &PLANS[1];
            let mut batch = Batch::new(plan);
            fill(&mut batch, plan, 300, seed);
            let mut bytes = encoded(&batch, plan);
            let at = at % bytes.len();
            bytes[at] = byte;
            if cuts {
                bytes.truncate(at);
                prop_assert!(decode(&bytes, plan, &mut batch).is_err());
            } else {
                let _ = decode(&bytes, plan, &mut batch);
            }
            prop_assert!(batch.ends_ns.len() <= bytes.len() * BLOCK);
        }

        /// Any bytes at all are safe to read.
        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>) {
            let plan = &PLANS[1];
            let mut batch = Batch::new(plan);
            let _ = decode(&bytes, plan, &mut batch);
            // And behind a head that fits the plan.
            fill(&mut batch, plan, 0, 1);
            let mut long = encoded(&batch, plan);
            long.truncate(long.len() / 2);
            long.extend_from_slice(&bytes);
            let _ = decode(&long, plan, &mut batch);
        }
    }

    /// A record of a plan with other columns is refused, whichever of them differ.
    #[test]
    fn another_plans_record_is_refused() {
        let [plain, wide] = &*PLANS;
        let mut batch = Batch::new(wide);
        fill(&mut batch, wide, 5, 1);
        let bytes = encoded(&batch, wide);
        let expected = Err(Damaged("a batch of another configuration"));
        assert_eq!(expected, decode(&bytes, plain, &mut batch));
    }

    /// What follows from other measures takes a byte a block, also where some events lack it.
    #[test]
    fn what_follows_costs_nothing() {
        let plan = &PLANS[0];
        let mut batch = Batch::new(plan);
        let (mut draw, follow) = (rig::Draw(1), Following::of(plan).expect("has all measures"));
        for event in 0..BLOCK {
            batch.ends_ns.push(NOW_NS);
            let mut row = vec![f64::NAN; plan.slots.measures.len()];
            let [duration, ttft, tokens] = follow.from;
            row[duration] = 2.0 + draw.share();
            row[ttft] = draw.share();
            row[tokens] = (event % 7) as f64;
            row[follow.slot] = follow.value(&row);
            batch.measures.extend(row);
            batch.groups[..2].iter_mut().for_each(|groups| groups.series.push(0));
        }
        let with = encoded(&batch, plan).len();
        let stride = plan.slots.measures.len();
        assert!(batch.measures.chunks_exact(stride).any(|row| row[follow.slot].is_nan()));
        let rows = batch.measures.chunks_exact_mut(stride);
        rows.for_each(|row| row[follow.slot] = f64::NAN);
        assert_eq!(encoded(&batch, plan).len(), with);
    }

    /// The golden record reads back as what it was made of: journals of this layout stay readable,
    /// whichever forms a later version prefers. Another layout has another number, and another file.
    #[test]
    fn the_golden_record_holds() {
        let plan = &PLANS[1];
        let mut batch = Batch::new(plan);
        fill(&mut batch, plan, 300, 5);
        let golden = std::fs::read(golden_path()).expect("a golden file");
        let mut back = Batch::new(plan);
        let definitions = definitions();
        assert_eq!(Ok(head(&definitions)), decode(&golden, plan, &mut back));
        assert_eq!(shown(&batch, plan), shown(&back, plan));
    }

    /// Writes the golden record of a new layout.
    #[test]
    #[ignore = "writes into the tree"]
    fn write_the_golden_record() {
        let plan = &PLANS[1];
        let mut batch = Batch::new(plan);
        fill(&mut batch, plan, 300, 5);
        if !golden_path().exists() {
            std::fs::write(golden_path(), encoded(&batch, plan)).expect("writable");
        }
    }
}
