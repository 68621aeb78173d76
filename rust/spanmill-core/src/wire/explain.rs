//! Everything the walker reads, as JSON: what a differential test compares.

use serde_json::{Value as Json, json};

use super::layout::Layout;
use super::trace::{
    Kind, LATE_SCOPE, ResourceSpans, ScopeSpans, Span, Value, attributes, resource_spans,
};
use super::{Fault, offset};
use crate::error::{Error, Result};

/// Decode one request and list every field the walker reads.
///
/// Byte strings are hex, 64-bit numbers decimal strings, doubles the hex of
/// their big-endian bits, so that no reader can round them.
///
/// # Errors
///
/// [`Error::Wire`] where [`crate::Engine::ingest_traces`] would give it.
pub fn explain_traces(request: &[u8]) -> Result<Vec<u8>> {
    let mut resources = Vec::new();
    for part in resource_spans(request) {
        let explained = part.and_then(|spans| explain_resource(&spans));
        resources.push(explained.map_err(|fault| wire_error(request, request, fault))?);
    }
    Ok(json!({ "resource_spans": resources }).to_string().into_bytes())
}

/// The public error for a fault inside `message`, a part of `request`.
pub(crate) fn wire_error(request: &[u8], message: &[u8], fault: Fault) -> Error {
    Error::Wire { offset: offset(request, message), reason: fault.0 }
}

fn explain_resource(spans: &ResourceSpans<'_>) -> std::result::Result<Json, Fault> {
    let mut pairs = Vec::new();
    for resource in spans.resources() {
        attributes(resource?, |key, value| pairs.push(pair(key, value)))?;
    }
    let scopes = spans
        .scope_spans()
        .map(|part| explain_scope(&part?))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(json!({ "attributes": pairs, "scope_spans": scopes }))
}

fn explain_scope(scope_spans: &ScopeSpans<'_>) -> std::result::Result<Json, Fault> {
    let late = scope_spans.open()?.1.find(std::result::Result::is_err) == Some(Err(LATE_SCOPE));
    let (scope, spans) =
        if late { scope_spans.open_in_any_order()? } else { scope_spans.open()? };
    let name = hex(scope.name);
    let mut layout = Layout::default();
    let spans = spans
        .map(|span| explain_span(span?, &mut layout))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(json!({ "scope_name_hex": name, "spans": spans }))
}

fn explain_span<'a>(
    message: &'a [u8],
    layout: &mut Layout<&'a [u8]>,
) -> std::result::Result<Json, Fault> {
    let mut pairs = Vec::new();
    let span = Span::read(message, layout, |key| key, |key, value| pairs.push(pair(key, value)))?;
    Ok(json!({
        "trace_id": hex(span.trace_id), "span_id": hex(span.span_id),
        "parent_span_id": hex(span.parent_span_id), "name": hex(span.name), "kind": span.kind,
        "start": span.start_ns.to_string(), "end": span.end_ns.to_string(),
        "status": span.status, "attributes": pairs,
    }))
}

fn pair(key: &[u8], value: Value<'_>) -> Json {
    let (kind, shown) = match value.kind {
        Kind::None => ("none", Json::Null),
        Kind::String => ("string", hex(value.bytes).into()),
        Kind::Bool => ("bool", value.flag().into()),
        Kind::Int => ("int", value.int().to_string().into()),
        Kind::Double => ("double", format!("{:016x}", value.double().to_bits()).into()),
        Kind::Bytes => ("bytes", hex(value.bytes).into()),
        Kind::Other => ("other", Json::Null),
    };
    json!([hex(key), kind, shown])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
