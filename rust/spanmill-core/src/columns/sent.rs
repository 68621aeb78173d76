//! What was sent, checked: one look at each column's length, and none at its values.

use super::{EVENTS_MAX, SCHEMA_VERSION};
use crate::convention::Slots;
use crate::error::{Error, Result};
use crate::signal::{MEASURES, Measure, Unit};
use crate::wire::{Column, SpanBatch};

/// Measures by their number in `ingest.proto`. Numbers are for ever: append, never change.
const NUMBERED: [Measure; 12] = [
    Measure::Duration,
    Measure::Ttft,
    Measure::Tpot,
    Measure::QueueTime,
    Measure::PrefillTime,
    Measure::DecodeTime,
    Measure::ColdStartTime,
    Measure::InputTokens,
    Measure::OutputTokens,
    Measure::CachedTokens,
    Measure::ReasoningTokens,
    Measure::Cost,
];

/// One integer an event.
#[derive(Clone, Copy)]
pub(super) enum Integers<'a> {
    U32(&'a [[u8; 4]]),
    U64(&'a [[u8; 8]]),
}

impl Integers<'_> {
    /// That of one event.
    #[inline]
    pub(super) fn at(&self, event: usize) -> u64 {
        match self {
            Self::U32(values) => u64::from(u32::from_le_bytes(values[event])),
            Self::U64(values) => u64::from_le_bytes(values[event]),
        }
    }
}

/// Values of one measure, of those events that have it.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    /// Divided by this they are in the measure's unit.
    Fixed(&'a [[u8; 4]], f64),
    Doubles(&'a [[u8; 8]]),
}

/// A measure that some view or objective needs.
pub(super) struct MeasureColumn<'a> {
    pub slot: usize,
    /// A bit an event; `None` where all have it.
    pub present: Option<&'a [u8]>,
    pub values: Values<'a>,
}

/// A batch whose columns fit together.
pub(super) struct Sent<'a> {
    pub events: usize,
    /// Unix nanoseconds.
    pub base_ns: u64,
    pub series: &'a [[u8; 4]],
    pub starts_us: Integers<'a>,
    pub durations_us: Integers<'a>,
    /// `None` where no event failed.
    pub status: Option<&'a [u8]>,
    pub columns: Vec<MeasureColumn<'a>>,
}

fn refuse<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::SpanBatch(what.into()))
}

/// A column that must have so many bytes.
fn of_length<'a>(name: &str, column: &'a [u8], wanted: usize) -> Result<&'a [u8]> {
    if column.len() == wanted {
        return Ok(column);
    }
    refuse(format!("{name} has {} B, its events need {wanted} B", column.len()))
}

/// A column of `width` bytes an event that may be left out.
fn optional<'a>(
    name: &str,
    column: &'a [u8],
    events: usize,
    width: usize,
) -> Result<Option<&'a [u8]>> {
    if column.is_empty() {
        return Ok(None);
    }
    of_length(name, column, events * width).map(Some)
}

fn integers<'a>(name: &str, column: &'a [u8], events: usize) -> Result<Integers<'a>> {
    if column.len() == events * size_of::<u64>() {
        return Ok(Integers::U64(column.as_chunks().0));
    }
    of_length(name, column, events * size_of::<u32>())
        .map(|column| Integers::U32(column.as_chunks().0))
}

/// The sender's id as a number.
fn producer(id: &[u8]) -> Result<u128> {
    match <[u8; 16]>::try_from(id).map(u128::from_le_bytes) {
        Ok(0) => refuse("producer_id is all zero; draw one at random"),
        Ok(producer) => Ok(producer),
        Err(_) => refuse(format!("producer_id has {} B, 16 B are needed", id.len())),
    }
}

impl<'a> Sent<'a> {
    /// The sender and its columns, where the batch is one that we read.
    pub(super) fn check(message: &SpanBatch<'a>, slots: &Slots) -> Result<(u128, Self)> {
        if message.schema_version != SCHEMA_VERSION {
            return refuse(format!(
                "schema_version {}, this daemon reads {SCHEMA_VERSION}",
                message.schema_version
            ));
        }
        if message.n > EVENTS_MAX {
            return refuse(format!(
                "{} events, at most {EVENTS_MAX} are taken; send smaller batches",
                message.n
            ));
        }
        let checksum = message.checksum();
        if checksum != message.crc32c {
            return refuse(format!(
                "crc32c {:08x}, its columns have {checksum:08x}",
                message.crc32c
            ));
        }
        let producer = producer(message.producer_id)?;
        let events = message.n as usize;
        let series = of_length("series_idx", message.series_idx, events * size_of::<u32>())?;
        let _ = optional("trace_id", message.trace_id, events, 16)?;
        let _ = optional("span_id", message.span_id, events, 8)?;
        let sent = Self {
            events,
            base_ns: message.base_time_ns,
            series: series.as_chunks().0,
            starts_us: integers("start_delta_us", message.start_delta_us, events)?,
            durations_us: integers("duration_us", message.duration_us, events)?,
            status: optional("status", message.status, events, 1)?,
            columns: columns(&message.columns, events, slots)?,
        };
        Ok((producer, sent))
    }
}

/// Columns that are needed. One of a measure that this version does not know is passed over.
fn columns<'a>(
    sent: &[Column<'a>],
    events: usize,
    slots: &Slots,
) -> Result<Vec<MeasureColumn<'a>>> {
    let mut seen = [false; MEASURES.len()];
    let mut columns = Vec::with_capacity(sent.len());
    for column in sent {
        let number = (column.measure as usize).wrapping_sub(1);
        let Some(&measure) = NUMBERED.get(number) else { continue };
        if std::mem::replace(&mut seen[measure as usize], true) {
            return refuse(format!("two columns of {}", measure.info().name));
        }
        let (present, values) = values(column, measure, events)?;
        if let Some(slot) = slots.measure(measure) {
            columns.push(MeasureColumn { slot, present, values });
        }
    }
    Ok(columns)
}

/// Which events have a measure, and what.
fn values<'a>(
    column: &Column<'a>,
    measure: Measure,
    events: usize,
) -> Result<(Option<&'a [u8]>, Values<'a>)> {
    let info = measure.info();
    let present = match column.present {
        [] => None,
        bits => Some(of_length(info.name, bits, events.div_ceil(8))?),
    };
    let of_events =
        present.map_or(events, |bits| bits.iter().map(|byte| byte.count_ones() as usize).sum());
    let past = present.and_then(<[u8]>::last).map_or(0, |last| match events % 8 {
        0 => 0,
        used => last >> used,
    });
    if past != 0 {
        return refuse(format!("{} is present past the last event", info.name));
    }
    let values = match (column.fixed, column.doubles) {
        (fixed, []) => {
            let divisor = if info.unit == Unit::Tokens { 1.0 } else { 1e6 };
            let fixed = of_length(info.name, fixed, of_events * size_of::<u32>())?;
            Values::Fixed(fixed.as_chunks().0, divisor)
        }
        ([], doubles) => {
            let doubles = of_length(info.name, doubles, of_events * size_of::<f64>())?;
            Values::Doubles(doubles.as_chunks().0)
        }
        _ => return refuse(format!("{} is sent as fixed and as doubles", info.name)),
    };
    Ok((present, values))
}
