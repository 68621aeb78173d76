//! The same events as a `SpanBatch`: numbered, and with the whole dictionary each time.

use super::otlp::{Event, attribute, field, text, varint};

/// Far enough back for an event that no counter holds any more.
const BASE_BEFORE_NS: i64 = 101 * 86_400 * 1_000_000_000;

/// What a batch is known again by, beside its epoch.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    pub producer: u64,
    pub seq: u64,
}

/// Encode events of one service; `models` and `tenants` are all that it ever sends of.
pub fn batch(
    number: Number,
    (service, tenant): (&str, &str),
    (models, tenants): (&[&str], &[&str]),
    events: &[Event],
) -> Vec<u8> {
    let base_ns = events.first().map_or(0, |event| event.end_ns) - BASE_BEFORE_NS;
    let base_ns = (base_ns / 1_000 * 1_000).unsigned_abs();
    let producer = [number.producer.to_le_bytes(), (!number.producer).to_le_bytes()].concat();
    let dictionary: Vec<Vec<u8>> =
        tenants.iter().flat_map(|t| models.iter().map(|m| series(service, t, m))).collect();
    let place = |event: &Event| {
        let tenant = tenants.iter().position(|known| *known == tenant).expect("a known tenant");
        let model = models.iter().position(|known| *known == event.model).expect("a known model");
        (tenant * models.len() + model) as u32
    };
    let start_us =
        |event: &Event| ((event.end_ns - event.lasted_ns).unsigned_abs() - base_ns) / 1_000;
    let series_idx: Vec<u8> = events.iter().flat_map(|it| place(it).to_le_bytes()).collect();
    let starts: Vec<u8> = events.iter().flat_map(|it| start_us(it).to_le_bytes()).collect();
    let durations: Vec<u8> =
        events.iter().flat_map(|it| ((it.lasted_ns / 1_000) as u32).to_le_bytes()).collect();
    let status: Vec<u8> = events.iter().map(|it| if it.is_error { 2 } else { 0 }).collect();
    let ttft: Vec<u8> =
        events.iter().flat_map(|it| ((it.ttft_s * 1e6).round() as u32).to_le_bytes()).collect();
    let tokens: Vec<u8> =
        events.iter().flat_map(|it| (it.output_tokens as u32).to_le_bytes()).collect();

    let (epoch, n) = (1_u64, events.len() as u32);
    let covered = [
        &producer[..],
        &epoch.to_le_bytes(),
        &number.seq.to_le_bytes(),
        &base_ns.to_le_bytes(),
        &n.to_le_bytes(),
        &0_u32.to_le_bytes(),
        &dictionary.concat(),
        &series_idx,
        &starts,
        &durations,
        &status,
        &ttft,
        &tokens,
    ]
    .concat();

    let mut out = Vec::new();
    field(1, &producer, &mut out);
    for (tag, value) in [(2, epoch), (3, number.seq), (4, 1), (6, u64::from(n))] {
        out.push(tag << 3);
        varint(value, &mut out);
    }
    out.push(5 << 3 | 1);
    out.extend_from_slice(&base_ns.to_le_bytes());
    dictionary.iter().for_each(|entry| field(8, entry, &mut out));
    for (tag, bytes) in [(9, &series_idx), (10, &starts), (11, &durations), (12, &status)] {
        field(tag, bytes, &mut out);
    }
    for (measure, values) in [(2, &ttft), (9, &tokens)] {
        let mut column = vec![1 << 3, measure];
        field(3, values, &mut column);
        field(13, &column, &mut out);
    }
    out.push(14 << 3 | 5);
    out.extend_from_slice(&crc32c::crc32c(&covered).to_le_bytes());
    out
}

fn series(service: &str, tenant: &str, model: &str) -> Vec<u8> {
    let mut entry = Vec::new();
    attribute("service.name", &text(service), 1, &mut entry);
    attribute("spanmill.tenant", &text(tenant), 1, &mut entry);
    attribute("gen_ai.request.model", &text(model), 2, &mut entry);
    entry
}

/// What an acknowledgement says of events that could not be counted: the rest of it tells a
/// copy from the first.
pub fn verdict(ack: &[u8]) -> Vec<u8> {
    match ack {
        [0x0a, length, ..] => ack[..2 + usize::from(*length)].to_vec(),
        _ => Vec::new(),
    }
}
