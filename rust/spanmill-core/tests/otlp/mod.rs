//! OTLP bytes for tests: as much of the format as the engine reads.

/// One span with two ids, of a model and a tenant.
#[derive(Debug, Clone)]
pub struct Span {
    /// Unix nanoseconds.
    pub start_ns: u64,
    /// Unix nanoseconds.
    pub end_ns: u64,
    /// `gen_ai.request.model`.
    pub model: String,
    /// `spanmill.tenant`.
    pub tenant: String,
    /// Time to first token, seconds; none where absent.
    pub ttft_s: Option<f64>,
    /// Tokens of the answer.
    pub output_tokens: u64,
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(number: u64, contents: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(contents.len() as u64, out);
    out.extend_from_slice(contents);
}

fn attribute(key: &str, value: &[u8]) -> Vec<u8> {
    let mut pair = Vec::new();
    field(1, key.as_bytes(), &mut pair);
    field(2, value, &mut pair);
    pair
}

fn text(key: &str, text: &str) -> Vec<u8> {
    let mut value = Vec::new();
    field(1, text.as_bytes(), &mut value);
    attribute(key, &value)
}

fn double(key: &str, number: f64) -> Vec<u8> {
    let mut value = vec![4 << 3 | 1];
    value.extend_from_slice(&number.to_le_bytes());
    attribute(key, &value)
}

fn integer(key: &str, number: u64) -> Vec<u8> {
    let mut value = vec![3 << 3];
    varint(number, &mut value);
    attribute(key, &value)
}

impl Span {
    fn encode(&self) -> Vec<u8> {
        let mut span = Vec::new();
        field(1, &[7; 16], &mut span);
        field(2, &[9; 8], &mut span);
        for (tag, time) in [(7, self.start_ns), (8, self.end_ns)] {
            span.push(tag << 3 | 1);
            span.extend_from_slice(&time.to_le_bytes());
        }
        field(9, &text("gen_ai.request.model", &self.model), &mut span);
        field(9, &text("spanmill.tenant", &self.tenant), &mut span);
        field(9, &integer("gen_ai.usage.output_tokens", self.output_tokens), &mut span);
        if let Some(ttft_s) = self.ttft_s {
            field(9, &double("gen_ai.response.time_to_first_chunk", ttft_s), &mut span);
        }
        span
    }
}

/// One `ExportTraceServiceRequest` with these spans, from the service `gateway`.
#[must_use]
pub fn request<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Vec<u8> {
    let mut resource = Vec::new();
    field(1, &text("service.name", "gateway"), &mut resource);
    let mut scope_spans = Vec::new();
    spans.into_iter().for_each(|span| field(2, &span.encode(), &mut scope_spans));
    let mut resource_spans = Vec::new();
    field(1, &resource, &mut resource_spans);
    field(2, &scope_spans, &mut resource_spans);
    let mut request = Vec::new();
    field(1, &resource_spans, &mut request);
    request
}
