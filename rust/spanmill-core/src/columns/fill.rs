//! A batch's columns to ours.

use super::dictionary::Dictionary;
use super::sent::{MeasureColumn, Sent, Values};
use crate::batch::{Batch, Context, event_time, refusal, seconds, tpot};
use crate::budget::Counts;
use crate::clock::SECOND_NS;
use crate::convention::Flaw;
use crate::error::{Error, Result};
use crate::ledger::Rejection;
use crate::sli::Verdict;
use crate::view::Plan;
use crate::window::NOT_TAKEN;

const MICROSECOND_NS: u64 = 1_000;

/// Status of an event that failed, as in OTLP.
const STATUS_ERROR: u8 = 2;

/// Values in here are sound; of the others, zero is too.
const USUAL: std::ops::Range<f64> = 1e-18..1e18;

/// Events that cannot be counted, by their place in the batch.
#[derive(Default)]
struct Refused {
    /// For their times, or what they have in common: decided before any measure is looked at.
    outright: Vec<(u32, Rejection)>,
    flawed: Vec<(u32, Flaw)>,
}

impl Refused {
    fn flaw(&mut self, event: usize, value: f64) {
        self.flawed.extend(Flaw::of(value).map(|flaw| (event as u32, flaw)));
    }

    /// One reason an event, in the order of events.
    fn reasons(mut self) -> Vec<(u32, Rejection)> {
        self.flawed.sort_unstable();
        let flawed = self.flawed.into_iter().map(|(event, flaw)| (event, refusal(flaw)));
        self.outright.extend(flawed);
        // Stable: what was decided first stays first.
        self.outright.sort_by_key(|(event, _)| *event);
        self.outright.dedup_by_key(|(event, _)| *event);
        self.outright
    }
}

/// Fill the batch's columns; on an error they are in no order.
pub(super) fn fill(
    batch: &mut Batch,
    sent: &Sent<'_>,
    dictionary: &mut Dictionary,
    context: Context<'_>,
) -> Result<()> {
    let plan = context.plan;
    let mut refused = Refused::default();
    fill_entries(batch, sent, dictionary, context)?;
    let slot = (plan.derived.duration, plan.slots.measures.len());
    fill_times(batch, sent, slot, context.latest_ns, &mut refused);
    fill_measures(batch, sent, dictionary, plan, &mut refused);
    fill_status(batch, sent, dictionary);
    let reasons = refused.reasons();
    if !reasons.is_empty() {
        drop_refused(batch, &reasons, plan.slots.measures.len());
    }
    batch.newest_ns = batch.ends_ns.iter().copied().max();
    batch.oldest_ns = batch.ends_ns.iter().copied().min().unwrap_or(i64::MAX);
    fill_series(batch, dictionary, plan);
    tally(batch, dictionary, plan);
    if let Some(wide) = &plan.wide {
        for entry in &batch.entries {
            batch.wide.hashes.extend_from_slice(dictionary.wide(*entry, wide.columns.len()));
        }
    }
    Ok(())
}

/// Entry and account of each event.
fn fill_entries(
    batch: &mut Batch,
    sent: &Sent<'_>,
    dictionary: &mut Dictionary,
    context: Context<'_>,
) -> Result<()> {
    dictionary.begin_batch(context);
    batch.entries.reserve(sent.events);
    batch.places.reserve(sent.events);
    let known = dictionary.len();
    for entry in sent.series {
        let entry = u32::from_le_bytes(*entry);
        if entry as usize >= known {
            return Err(Error::SpanBatch(format!(
                "series_idx {entry}, the dictionary has {known} entries"
            )));
        }
        let place = dictionary.account(entry, batch, context)?;
        batch.accounts.at(place).received += 1;
        batch.entries.push(entry);
        batch.places.push(place);
    }
    Ok(())
}

/// Event time of each event, and its duration by the sender's clock where one is needed.
fn fill_times(
    batch: &mut Batch,
    sent: &Sent<'_>,
    slot: (Option<usize>, usize),
    latest_ns: i64,
    refused: &mut Refused,
) {
    let (duration, stride) = slot;
    batch.measures.resize(sent.events * stride, f64::NAN);
    batch.ends_ns.reserve(sent.events);
    for event in 0..sent.events {
        let start_us = sent.starts_us.at(event).saturating_mul(MICROSECOND_NS);
        let lasted_ns = sent.durations_us.at(event).saturating_mul(MICROSECOND_NS);
        let start_ns = sent.base_ns.saturating_add(start_us);
        let end_ns = start_ns.saturating_add(lasted_ns);
        let ends_ns = event_time(start_ns, end_ns, latest_ns).unwrap_or_else(|reason| {
            refused.outright.push((event as u32, reason));
            0
        });
        batch.ends_ns.push(ends_ns);
        if let Some(slot) = duration {
            batch.measures[event * stride + slot] = seconds(lasted_ns);
        }
    }
}

/// Measures that were sent, those that all events of an entry have, and what follows from them.
///
/// A column wins over an attribute, and either over what follows.
fn fill_measures(
    batch: &mut Batch,
    sent: &Sent<'_>,
    dictionary: &Dictionary,
    plan: &Plan,
    refused: &mut Refused,
) {
    // A plan of objectives alone may have no measures: then there are no rows either.
    let stride = plan.slots.measures.len().max(1);
    if dictionary.has_common() {
        let rows = batch.measures.chunks_exact_mut(stride);
        for (event, (row, entry)) in rows.zip(&batch.entries).enumerate() {
            let (reason, measures) = dictionary.common(*entry);
            refused.outright.extend(reason.map(|reason| (event as u32, reason)));
            measures.iter().for_each(|(slot, value)| row[usize::from(*slot)] = *value);
        }
    }
    for column in &sent.columns {
        fill_column(column, &mut batch.measures, stride, refused);
    }
    let slots = plan.derived;
    if let (Some(slot), Some(duration), Some(ttft), Some(tokens)) =
        (slots.tpot, slots.duration, slots.ttft, slots.output_tokens)
    {
        for (event, row) in batch.measures.chunks_exact_mut(stride).enumerate() {
            if row[slot].is_nan()
                && let Some(value) = tpot(row[duration], row[ttft], row[tokens])
            {
                row[slot] = value;
                if !USUAL.contains(&value) {
                    refused.flaw(event, value);
                }
            }
        }
    }
}

fn fill_column(
    column: &MeasureColumn<'_>,
    measures: &mut [f64],
    stride: usize,
    refused: &mut Refused,
) {
    let slot = column.slot;
    match column.values {
        Values::Fixed(values, divisor) => {
            let value = |bytes: &[u8; 4]| f64::from(u32::from_le_bytes(*bytes)) / divisor;
            match column.present {
                None => {
                    let rows = measures.chunks_exact_mut(stride).zip(values);
                    rows.for_each(|(row, bytes)| row[slot] = value(bytes));
                }
                Some(bits) => {
                    let events = set_bits(bits).zip(values);
                    events.for_each(|(at, bytes)| measures[at * stride + slot] = value(bytes));
                }
            }
        }
        Values::Doubles(values) => {
            let mut put = |event: usize, bytes: &[u8; 8]| {
                let value = f64::from_le_bytes(*bytes);
                measures[event * stride + slot] = value;
                if !USUAL.contains(&value) {
                    refused.flaw(event, value);
                }
            };
            match column.present {
                None => values.iter().enumerate().for_each(|(event, bytes)| put(event, bytes)),
                Some(bits) => {
                    set_bits(bits).zip(values).for_each(|(event, bytes)| put(event, bytes))
                }
            }
        }
    }
}

/// Places of the bits that are set, the lowest of each byte first.
fn set_bits(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.iter().enumerate().flat_map(|(at, byte)| {
        let mut rest = *byte;
        std::iter::from_fn(move || {
            let bit = rest.trailing_zeros();
            rest &= rest.wrapping_sub(1);
            (bit < u8::BITS).then_some(at * 8 + bit as usize)
        })
    })
}

/// Which events failed.
fn fill_status(batch: &mut Batch, sent: &Sent<'_>, dictionary: &Dictionary) {
    match sent.status {
        Some(status) => batch.failed.extend(status.iter().map(|code| *code == STATUS_ERROR)),
        None => batch.failed.resize(sent.events, false),
    }
    if dictionary.has_failed() {
        for (failed, entry) in batch.failed.iter_mut().zip(&batch.entries) {
            *failed |= dictionary.failed(*entry);
        }
    }
}

/// Book the events that cannot be counted, and take them out of the columns.
fn drop_refused(batch: &mut Batch, reasons: &[(u32, Rejection)], stride: usize) {
    let mut kept = vec![true; batch.entries.len()];
    for (event, reason) in reasons {
        let place = batch.places[*event as usize];
        batch.accounts.at(place).rejected[*reason as usize] += 1;
        kept[*event as usize] = false;
    }
    retain(&mut batch.ends_ns, &kept, 1);
    retain(&mut batch.measures, &kept, stride);
    retain(&mut batch.entries, &kept, 1);
    retain(&mut batch.places, &kept, 1);
    retain(&mut batch.failed, &kept, 1);
}

/// Keep the rows, `stride` wide, that are to be kept.
fn retain<T: Copy>(rows: &mut Vec<T>, kept: &[bool], stride: usize) {
    let mut to = 0;
    for (from, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
        rows.copy_within(from * stride..(from + 1) * stride, to);
        to += stride;
    }
    rows.truncate(to);
}

/// Series of each event in each view.
fn fill_series(batch: &mut Batch, dictionary: &mut Dictionary, plan: &Plan) {
    let Batch { entries, groups, .. } = batch;
    for (at, (groups, view)) in groups.iter_mut().zip(&plan.views).enumerate() {
        let mut series = std::mem::take(&mut groups.series);
        let of = |entry: &u32| dictionary.series(*entry, (at, &view.grouping), groups);
        series.extend(entries.iter().map(of));
        groups.series = series;
    }
}

/// Events of a batch by what they have in common, and second: a cell each.
///
/// All objectives count in the same cells, so that an event costs each of them a comparison and an
/// addition; groups are looked for once a cell.
struct Cells {
    /// Of each event.
    places: Vec<u32>,
    /// Entry and second of each cell.
    known: Vec<(u32, i64)>,
}

/// A batch whose events lie further apart has more cells than this many an event: it is unusual.
const CELLS_MAX: usize = 4;

impl Cells {
    fn of(batch: &Batch, dictionary: &Dictionary) -> Option<Self> {
        let first = batch.oldest_ns.div_euclid(SECOND_NS);
        let last = batch.newest_ns?.div_euclid(SECOND_NS);
        let seconds = usize::try_from(last - first).ok()?.checked_add(1)?;
        let cells = seconds.checked_mul(dictionary.met().len())?;
        if cells > CELLS_MAX * batch.entries.len().max(64) {
            return None;
        }
        let start_ns = first * SECOND_NS;
        let place = |(entry, ends_ns): (&u32, &i64)| {
            let second = ((ends_ns - start_ns) as u64 / SECOND_NS as u64) as usize;
            (dictionary.turn(*entry) * seconds + second) as u32
        };
        let places = batch.entries.iter().zip(&batch.ends_ns).map(place).collect();
        let entries = dictionary.met().iter();
        let known = entries.flat_map(|it| (first..=last).map(|second| (*it, second))).collect();
        Some(Self { places, known })
    }
}

/// Good and bad of each objective.
fn tally(batch: &mut Batch, dictionary: &mut Dictionary, plan: &Plan) {
    if plan.objectives.is_empty() {
        return;
    }
    let cells = Cells::of(batch, dictionary);
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(batch.entries.len());
    let mut counts: Vec<[u32; 4]> = Vec::new();
    let first = plan.views.len();
    let objectives = batch.groups[first..].iter_mut().zip(&plan.objectives);
    for (at, (groups, grouped)) in (first..).zip(objectives) {
        verdicts.clear();
        grouped.objective.sli.judge_all(&batch.measures, &batch.failed, &mut verdicts);
        let mut add = |entry: u32, second: i64, counts: Counts| {
            if counts.total() > 0 {
                let group = dictionary.series(entry, (at, &grouped.grouping), groups);
                if group != NOT_TAKEN {
                    groups.tally_many(group, second, counts);
                }
            }
        };
        let Some(cells) = &cells else {
            for (verdict, (entry, ends_ns)) in
                verdicts.iter().zip(batch.entries.iter().zip(&batch.ends_ns))
            {
                let (good, bad) = (*verdict == Verdict::Good, *verdict == Verdict::Bad);
                let counts = Counts { good: good.into(), bad: bad.into() };
                add(*entry, ends_ns.div_euclid(SECOND_NS), counts);
            }
            continue;
        };
        counts.clear();
        counts.resize(cells.known.len(), [0; 4]);
        for (verdict, place) in verdicts.iter().zip(&cells.places) {
            counts[*place as usize][*verdict as usize] += 1;
        }
        for ((entry, second), counts) in cells.known.iter().zip(&counts) {
            let of = |verdict: Verdict| u64::from(counts[verdict as usize]);
            let counts = Counts { good: of(Verdict::Good), bad: of(Verdict::Bad) };
            add(*entry, *second, counts);
        }
    }
}
