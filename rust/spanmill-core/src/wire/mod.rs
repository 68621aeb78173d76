//! Borrowed views of OTLP bytes: a hand-written walker by field number.
//!
//! Only the fields the product uses are read; everything else is skipped by its
//! length. Acceptance follows protobuf: known fields in any order, the last
//! scalar wins, embedded messages merge, a field with a foreign wire type is
//! unknown. String contents are not checked for UTF-8 here: what is kept is
//! checked once, where it is interned.

mod explain;
mod layout;
mod reader;
mod response;
mod span_batch;
mod trace;

pub use explain::explain_traces;
pub(crate) use explain::wire_error;
pub(crate) use layout::Layout;
pub use response::partial_success;
pub(crate) use response::span_batch_ack;
pub use span_batch::with_checksum;
pub(crate) use span_batch::{Column, SpanBatch, series_attributes};
pub(crate) use trace::{
    Kind, LATE_SCOPE, ResourceSpans, Scope, ScopeSpans, Span, Spans, Value, attributes,
    resource_spans,
};

/// Why bytes are not OTLP. One word wide, so results stay in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault(pub &'static &'static str);

/// Offset of `part` in `whole`, bytes; `part` borrows from `whole`.
pub(crate) fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}
