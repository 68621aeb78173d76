//! Requests as bytes: enough of OTLP for spans of a request to a model.

/// One event as it is sent.
#[derive(Debug, Clone)]
pub struct Event {
    pub end_ns: i64,
    /// Longer than it lasted is what makes a span that no retry can save.
    pub lasted_ns: i64,
    pub model: &'static str,
    pub ttft_s: f64,
    pub output_tokens: u64,
    pub is_error: bool,
    /// Trace and span.
    pub ids: Option<(u64, u64)>,
}

impl Event {
    fn encode(&self) -> Vec<u8> {
        let mut span = Vec::with_capacity(160);
        if let Some((trace, id)) = self.ids {
            let trace = [trace.to_le_bytes(), (!trace).to_le_bytes()].concat();
            field(1, &trace, &mut span);
            field(2, &id.to_le_bytes(), &mut span);
        }
        for (tag, time_ns) in [(7, self.end_ns - self.lasted_ns), (8, self.end_ns)] {
            span.push(tag << 3 | 1);
            span.extend_from_slice(&time_ns.to_le_bytes());
        }
        attribute("gen_ai.request.model", &text(self.model), 9, &mut span);
        let first = double(self.ttft_s);
        attribute("gen_ai.response.time_to_first_chunk", &first, 9, &mut span);
        attribute("gen_ai.usage.output_tokens", &int(self.output_tokens), 9, &mut span);
        if self.is_error {
            field(15, &[3 << 3, 2], &mut span);
        }
        span
    }
}

/// An `ExportTraceServiceRequest` of one service.
pub fn request(service: &str, tenant: &str, events: &[Event]) -> Vec<u8> {
    let mut resource = Vec::new();
    attribute("service.name", &text(service), 1, &mut resource);
    attribute("spanmill.tenant", &text(tenant), 1, &mut resource);
    let mut scope_spans = Vec::new();
    events.iter().for_each(|event| field(2, &event.encode(), &mut scope_spans));
    let mut resource_spans = Vec::new();
    field(1, &resource, &mut resource_spans);
    field(2, &scope_spans, &mut resource_spans);
    let mut request = Vec::new();
    field(1, &resource_spans, &mut request);
    request
}

pub fn text(value: &str) -> Vec<u8> {
    let mut any = Vec::new();
    field(1, value.as_bytes(), &mut any);
    any
}

fn double(value: f64) -> Vec<u8> {
    let mut any = vec![4 << 3 | 1];
    any.extend_from_slice(&value.to_le_bytes());
    any
}

fn int(value: u64) -> Vec<u8> {
    let mut any = vec![3 << 3];
    varint(value, &mut any);
    any
}

pub fn attribute(key: &str, any: &[u8], number: u64, out: &mut Vec<u8>) {
    let mut pair = Vec::new();
    field(1, key.as_bytes(), &mut pair);
    field(2, any, &mut pair);
    field(number, &pair, out);
}

pub fn field(number: u64, contents: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(contents.len() as u64, out);
    out.extend_from_slice(contents);
}

pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
