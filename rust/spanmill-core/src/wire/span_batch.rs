//! `spanmill.v1.SpanBatch` by field number: a head, entries of a dictionary, columns.
//!
//! Source: `proto/spanmill/v1/ingest.proto`.

use super::Fault;
use super::reader::{BYTES, END, FIXED32, FIXED64, Reader, VARINT, tag};
use super::trace::{Value, pairs};
use crate::error::Error;

/// Columns of a batch at most: more than there are measures.
const COLUMNS_MAX: usize = 64;

const TOO_MANY_COLUMNS: Fault = Fault(&"more columns than there are measures");

/// One batch, borrowed. Nothing of it is checked yet but that it is protobuf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SpanBatch<'a> {
    pub producer_id: &'a [u8],
    pub epoch: u64,
    pub seq: u64,
    pub schema_version: u32,
    /// Unix nanoseconds.
    pub base_time_ns: u64,
    /// Events.
    pub n: u32,
    pub dict_base: u32,
    /// Each a `Series`.
    pub new_series: Vec<&'a [u8]>,
    pub series_idx: &'a [u8],
    pub start_delta_us: &'a [u8],
    pub duration_us: &'a [u8],
    pub status: &'a [u8],
    pub columns: Vec<Column<'a>>,
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub crc32c: u32,
}

/// One measure of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Column<'a> {
    pub measure: u32,
    pub present: &'a [u8],
    pub fixed: &'a [u8],
    pub doubles: &'a [u8],
}

const AT_PRODUCER_ID: u32 = tag(1, BYTES);
const AT_EPOCH: u32 = tag(2, VARINT);
const AT_SEQ: u32 = tag(3, VARINT);
const AT_SCHEMA_VERSION: u32 = tag(4, VARINT);
const AT_BASE_TIME: u32 = tag(5, FIXED64);
const AT_N: u32 = tag(6, VARINT);
const AT_DICT_BASE: u32 = tag(7, VARINT);
const AT_NEW_SERIES: u32 = tag(8, BYTES);
const AT_SERIES_IDX: u32 = tag(9, BYTES);
const AT_START_DELTA: u32 = tag(10, BYTES);
const AT_DURATION: u32 = tag(11, BYTES);
const AT_STATUS: u32 = tag(12, BYTES);
const AT_COLUMN: u32 = tag(13, BYTES);
const AT_CRC32C: u32 = tag(14, FIXED32);
const AT_TRACE_ID: u32 = tag(15, BYTES);
const AT_SPAN_ID: u32 = tag(16, BYTES);

const AT_MEASURE: u32 = tag(1, VARINT);
const AT_PRESENT: u32 = tag(2, BYTES);
const AT_FIXED: u32 = tag(3, BYTES);
const AT_DOUBLES: u32 = tag(4, BYTES);

const AT_RESOURCE: u32 = tag(1, BYTES);
const AT_ATTRIBUTES: u32 = tag(2, BYTES);

impl<'a> SpanBatch<'a> {
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, Fault> {
        let mut batch = Self::default();
        let mut reader = Reader::new(message, 0);
        loop {
            match reader.tag()? {
                END => return Ok(batch),
                AT_PRODUCER_ID => batch.producer_id = reader.bytes()?,
                AT_EPOCH => batch.epoch = reader.varint()?,
                AT_SEQ => batch.seq = reader.varint()?,
                // A uint32 is the low 32 bits of its varint.
                AT_SCHEMA_VERSION => batch.schema_version = reader.varint()? as u32,
                AT_BASE_TIME => batch.base_time_ns = reader.fixed64()?,
                AT_N => batch.n = reader.varint()? as u32,
                AT_DICT_BASE => batch.dict_base = reader.varint()? as u32,
                AT_NEW_SERIES => batch.new_series.push(reader.bytes()?),
                AT_SERIES_IDX => batch.series_idx = reader.bytes()?,
                AT_START_DELTA => batch.start_delta_us = reader.bytes()?,
                AT_DURATION => batch.duration_us = reader.bytes()?,
                AT_STATUS => batch.status = reader.bytes()?,
                AT_COLUMN if batch.columns.len() == COLUMNS_MAX => return Err(TOO_MANY_COLUMNS),
                AT_COLUMN => batch.columns.push(Column::read(reader.bytes()?)?),
                AT_CRC32C => batch.crc32c = reader.fixed32()?,
                AT_TRACE_ID => batch.trace_id = reader.bytes()?,
                AT_SPAN_ID => batch.span_id = reader.bytes()?,
                other => reader.skip(other)?,
            }
        }
    }

    /// What `crc32c` must be.
    pub(crate) fn checksum(&self) -> u32 {
        let head = [
            self.epoch.to_le_bytes(),
            self.seq.to_le_bytes(),
            self.base_time_ns.to_le_bytes(),
            (u64::from(self.n) | u64::from(self.dict_base) << 32).to_le_bytes(),
        ];
        let arrays = [self.series_idx, self.start_delta_us, self.duration_us, self.status];
        let columns = self.columns.iter().flat_map(|it| [it.present, it.fixed, it.doubles]);
        [self.producer_id, head.as_flattened()]
            .into_iter()
            .chain(self.new_series.iter().copied())
            .chain(arrays)
            .chain(columns)
            .chain([self.trace_id, self.span_id])
            .fold(0, crc32c::crc32c_append)
    }
}

impl<'a> Column<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Fault> {
        let mut column = Self::default();
        let mut reader = Reader::new(message, 1);
        loop {
            match reader.tag()? {
                END => return Ok(column),
                AT_MEASURE => column.measure = reader.varint()? as u32,
                AT_PRESENT => column.present = reader.bytes()?,
                AT_FIXED => column.fixed = reader.bytes()?,
                AT_DOUBLES => column.doubles = reader.bytes()?,
                other => reader.skip(other)?,
            }
        }
    }
}

/// A batch with its checksum; one that it has is replaced.
///
/// # Errors
///
/// [`Error::SpanBatch`] where it is no protobuf.
pub fn with_checksum(batch: &[u8]) -> std::result::Result<Vec<u8>, Error> {
    let read = SpanBatch::read(batch).map_err(|fault| Error::SpanBatch((*fault.0).to_owned()))?;
    // The last of a field wins, so it can stand at the end of what was encoded without it.
    let mut sealed = Vec::with_capacity(batch.len() + 1 + size_of::<u32>());
    sealed.extend_from_slice(batch);
    sealed.push(AT_CRC32C as u8);
    sealed.extend_from_slice(&read.checksum().to_le_bytes());
    Ok(sealed)
}

/// Attributes of a `Series`: those of its resource first, as `on_resource` says.
pub(crate) fn series_attributes<'a>(
    series: &'a [u8],
    mut attribute: impl FnMut(bool, &'a [u8], Value<'a>),
) -> Result<(), Fault> {
    pairs(series, AT_RESOURCE, 1, |key, value| attribute(true, key, value))?;
    pairs(series, AT_ATTRIBUTES, 1, |key, value| attribute(false, key, value))
}
