//! `SpanBatch` messages for tests, written by hand.

use spanmill_core::wire::with_checksum;

use super::{attribute, field, text, varint};

/// Attributes by key.
pub type Pairs = Vec<(String, String)>;

/// One batch; every part can be made wrong.
#[derive(Clone)]
pub struct Columns {
    pub producer: Vec<u8>,
    pub epoch: u64,
    pub seq: u64,
    pub schema_version: u64,
    /// Unix nanoseconds.
    pub base_ns: u64,
    pub n: u64,
    pub dict_base: u64,
    /// Resource and span attributes of each new entry.
    pub new_series: Vec<(Pairs, Pairs)>,
    pub series: Vec<u32>,
    pub starts_us: Vec<u32>,
    pub durations_us: Vec<u32>,
    pub status: Vec<u8>,
    pub measures: Vec<Measure>,
    pub trace_id: Vec<u8>,
    pub span_id: Vec<u8>,
}

/// One column: its number, a bit an event, values.
#[derive(Clone)]
pub struct Measure {
    pub number: u64,
    pub present: Vec<u8>,
    pub fixed: Vec<u32>,
    pub doubles: Vec<f64>,
}

/// A bit a value, the lowest of each byte first.
pub fn bits(present: &[bool]) -> Vec<u8> {
    let byte = |eight: &[bool]| {
        eight.iter().enumerate().fold(0, |byte, (at, set)| byte | u8::from(*set) << at)
    };
    present.chunks(8).map(byte).collect()
}

fn u32s(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

impl Measure {
    /// Of all events, in fixed point.
    pub fn fixed(number: u64, values: &[u32]) -> Self {
        Self { number, present: Vec::new(), fixed: values.to_vec(), doubles: Vec::new() }
    }

    /// Of some events, in fixed point.
    pub fn of_some(number: u64, values: &[Option<u32>]) -> Self {
        let present: Vec<bool> = values.iter().map(Option::is_some).collect();
        let fixed = values.iter().copied().flatten().collect();
        Self { number, present: bits(&present), fixed, doubles: Vec::new() }
    }

    /// Of all events, in the measure's unit.
    pub fn doubles(number: u64, values: &[f64]) -> Self {
        Self { number, present: Vec::new(), fixed: Vec::new(), doubles: values.to_vec() }
    }

    fn encode(&self) -> Vec<u8> {
        let mut column = vec![1 << 3];
        varint(self.number, &mut column);
        field(2, &self.present, &mut column);
        field(3, &u32s(&self.fixed), &mut column);
        let doubles: Vec<u8> = self.doubles.iter().flat_map(|value| value.to_le_bytes()).collect();
        field(4, &doubles, &mut column);
        column
    }
}

impl Columns {
    /// Nothing but a sender, the first of its batches.
    pub fn new(producer: u8, base_ns: i64) -> Self {
        Self {
            producer: vec![producer; 16],
            epoch: 1,
            seq: 1,
            schema_version: 1,
            base_ns: base_ns.cast_unsigned(),
            n: 0,
            dict_base: 0,
            new_series: Vec::new(),
            series: Vec::new(),
            starts_us: Vec::new(),
            durations_us: Vec::new(),
            status: Vec::new(),
            measures: Vec::new(),
            trace_id: Vec::new(),
            span_id: Vec::new(),
        }
    }

    /// Add an entry to the dictionary.
    pub fn define(&mut self, resource: &[(&str, &str)], attributes: &[(&str, &str)]) {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        self.new_series.push((owned(resource), owned(attributes)));
    }

    /// Add an event.
    pub fn push(&mut self, series: u32, start_us: u32, duration_us: u32) {
        self.n += 1;
        self.series.push(series);
        self.starts_us.push(start_us);
        self.durations_us.push(duration_us);
    }

    /// The message, without its checksum.
    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        field(1, &self.producer, &mut out);
        let numbers = [(2, self.epoch), (3, self.seq), (4, self.schema_version)];
        for (number, value) in numbers {
            varint(number << 3, &mut out);
            varint(value, &mut out);
        }
        out.push(5 << 3 | 1);
        out.extend_from_slice(&self.base_ns.to_le_bytes());
        for (number, value) in [(6, self.n), (7, self.dict_base)] {
            varint(number << 3, &mut out);
            varint(value, &mut out);
        }
        for (resource, attributes) in &self.new_series {
            let mut series = Vec::new();
            resource.iter().for_each(|(key, value)| attribute(key, &text(value), 1, &mut series));
            attributes.iter().for_each(|(key, value)| attribute(key, &text(value), 2, &mut series));
            field(8, &series, &mut out);
        }
        field(9, &u32s(&self.series), &mut out);
        field(10, &u32s(&self.starts_us), &mut out);
        field(11, &u32s(&self.durations_us), &mut out);
        field(12, &self.status, &mut out);
        self.measures.iter().for_each(|measure| field(13, &measure.encode(), &mut out));
        field(15, &self.trace_id, &mut out);
        field(16, &self.span_id, &mut out);
        out
    }

    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        with_checksum(&self.body()).expect("a message")
    }
}
