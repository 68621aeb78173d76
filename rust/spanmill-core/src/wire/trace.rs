//! `ExportTraceServiceRequest` by field number: resources, scopes, spans, attributes.
//!
//! Source: opentelemetry-proto 1.x, `trace/v1/trace.proto` and
//! `common/v1/common.proto` (field numbers are the contract).

use super::Fault;
use super::reader::{BYTES, FIXED64, Reader, VARINT, tag};

/// Status code `ERROR` of a span.
const STATUS_ERROR: i32 = 2;

/// One `ResourceSpans`.
pub(crate) struct ResourceSpans<'a> {
    message: &'a [u8],
}

/// One `ScopeSpans`.
pub(crate) struct ScopeSpans<'a> {
    message: &'a [u8],
}

/// Instrumentation scope of some spans.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope<'a> {
    /// Name of the instrumentation library, as sent.
    pub name: &'a [u8],
}

/// One span's own fields; attributes go to the callback of [`Span::read`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub parent_span_id: &'a [u8],
    pub name: &'a [u8],
    pub kind: i32,
    /// Unix nanoseconds.
    pub start_ns: u64,
    /// Unix nanoseconds.
    pub end_ns: u64,
    pub status: i32,
}

/// An attribute's value, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    /// No value was set.
    None,
    String(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// Opaque bytes.
    Bytes(&'a [u8]),
    /// An array or a key-value list: never looked into.
    Other,
}

/// Every `ResourceSpans` of a request.
pub(crate) fn resource_spans(
    request: &[u8],
) -> impl Iterator<Item = Result<ResourceSpans<'_>, Fault>> {
    messages(request, tag(1, BYTES)).map(|m| m.map(|message| ResourceSpans { message }))
}

impl<'a> ResourceSpans<'a> {
    /// The bytes of this message, to say where a fault lies.
    pub(crate) fn message(&self) -> &'a [u8] {
        self.message
    }

    /// Every `Resource` message: more than one merge, in order.
    pub(crate) fn resources(&self) -> impl Iterator<Item = Result<&'a [u8], Fault>> {
        messages(self.message, tag(1, BYTES))
    }

    pub(crate) fn scope_spans(&self) -> impl Iterator<Item = Result<ScopeSpans<'a>, Fault>> {
        messages(self.message, tag(2, BYTES)).map(|m| m.map(|message| ScopeSpans { message }))
    }
}

impl<'a> ScopeSpans<'a> {
    /// The scope, wherever it stands among the spans.
    pub(crate) fn scope(&self) -> Result<Scope<'a>, Fault> {
        let mut scope = Scope::default();
        let mut reader = Reader::new(self.message);
        // Writers put the scope first; a reader must take it anywhere, and parts merge.
        while let Some(at) = reader.tag()? {
            if at == tag(1, BYTES) {
                scope.read(reader.bytes()?)?;
            } else {
                reader.skip(at)?;
            }
        }
        Ok(scope)
    }

    pub(crate) fn spans(&self) -> impl Iterator<Item = Result<&'a [u8], Fault>> {
        messages(self.message, tag(2, BYTES))
    }
}

impl<'a> Scope<'a> {
    fn read(&mut self, message: &'a [u8]) -> Result<(), Fault> {
        let mut reader = Reader::new(message);
        while let Some(at) = reader.tag()? {
            match at {
                AT_SCOPE_NAME => self.name = reader.bytes()?,
                other => reader.skip(other)?,
            }
        }
        Ok(())
    }
}

const AT_SCOPE_NAME: u32 = tag(1, BYTES);
const AT_TRACE_ID: u32 = tag(1, BYTES);
const AT_SPAN_ID: u32 = tag(2, BYTES);
const AT_PARENT: u32 = tag(4, BYTES);
const AT_NAME: u32 = tag(5, BYTES);
const AT_KIND: u32 = tag(6, VARINT);
const AT_START: u32 = tag(7, FIXED64);
const AT_END: u32 = tag(8, FIXED64);
const AT_ATTRIBUTE: u32 = tag(9, BYTES);
const AT_STATUS: u32 = tag(15, BYTES);
const AT_STATUS_CODE: u32 = tag(3, VARINT);

impl<'a> Span<'a> {
    /// Read one span, handing each attribute on as it comes.
    #[inline]
    pub(crate) fn read(
        message: &'a [u8],
        mut attribute: impl FnMut(&'a [u8], Value<'a>),
    ) -> Result<Self, Fault> {
        let mut span = Self::default();
        let mut reader = Reader::new(message);
        while let Some(at) = reader.tag()? {
            match at {
                AT_ATTRIBUTE => {
                    let (key, value) = key_value(reader.bytes()?)?;
                    attribute(key, value);
                }
                AT_START => span.start_ns = reader.fixed64()?,
                AT_END => span.end_ns = reader.fixed64()?,
                AT_TRACE_ID => span.trace_id = reader.bytes()?,
                AT_SPAN_ID => span.span_id = reader.bytes()?,
                AT_PARENT => span.parent_span_id = reader.bytes()?,
                AT_NAME => span.name = reader.bytes()?,
                // Enums are the low 32 bits of a varint.
                AT_KIND => span.kind = reader.varint()? as i32,
                AT_STATUS => span.read_status(reader.bytes()?)?,
                other => reader.skip(other)?,
            }
        }
        Ok(span)
    }

    fn read_status(&mut self, message: &'a [u8]) -> Result<(), Fault> {
        let mut reader = Reader::new(message);
        while let Some(at) = reader.tag()? {
            match at {
                AT_STATUS_CODE => self.status = reader.varint()? as i32,
                other => reader.skip(other)?,
            }
        }
        Ok(())
    }

    /// Whether the sender marked the span as failed.
    pub(crate) fn is_error(&self) -> bool {
        self.status == STATUS_ERROR
    }
}

/// Attributes of a resource message.
pub(crate) fn attributes<'a>(
    message: &'a [u8],
    mut attribute: impl FnMut(&'a [u8], Value<'a>),
) -> Result<(), Fault> {
    for pair in messages(message, tag(1, BYTES)) {
        let (key, value) = key_value(pair?)?;
        attribute(key, value);
    }
    Ok(())
}

const AT_KEY: u32 = tag(1, BYTES);
const AT_VALUE: u32 = tag(2, BYTES);
const AT_STRING: u32 = tag(1, BYTES);
const AT_BOOL: u32 = tag(2, VARINT);
const AT_INT: u32 = tag(3, VARINT);
const AT_DOUBLE: u32 = tag(4, FIXED64);
const AT_ARRAY: u32 = tag(5, BYTES);
const AT_LIST: u32 = tag(6, BYTES);
const AT_BYTES: u32 = tag(7, BYTES);

#[inline]
fn key_value(message: &[u8]) -> Result<(&[u8], Value<'_>), Fault> {
    let mut reader = Reader::new(message);
    let mut key: &[u8] = &[];
    let mut value = Value::None;
    while let Some(at) = reader.tag()? {
        match at {
            AT_KEY => key = reader.bytes()?,
            AT_VALUE => read_value(reader.bytes()?, &mut value)?,
            other => reader.skip(other)?,
        }
    }
    Ok((key, value))
}

/// The last member of the oneof wins, over all parts of the message.
#[inline]
fn read_value<'a>(message: &'a [u8], value: &mut Value<'a>) -> Result<(), Fault> {
    let mut reader = Reader::new(message);
    while let Some(at) = reader.tag()? {
        *value = match at {
            AT_STRING => Value::String(reader.bytes()?),
            AT_INT => Value::Int(reader.varint()?.cast_signed()),
            AT_DOUBLE => Value::Double(f64::from_bits(reader.fixed64()?)),
            AT_BOOL => Value::Bool(reader.varint()? != 0),
            AT_ARRAY | AT_LIST => {
                let _ = reader.bytes()?;
                Value::Other
            }
            AT_BYTES => Value::Bytes(reader.bytes()?),
            other => {
                reader.skip(other)?;
                continue;
            }
        };
    }
    Ok(())
}

/// Contents of every field `wanted` of a message; other fields are skipped.
fn messages(message: &[u8], wanted: u32) -> impl Iterator<Item = Result<&[u8], Fault>> {
    let mut reader = Reader::new(message);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let found = next_message(&mut reader, wanted).transpose();
        failed = matches!(found, Some(Err(_)));
        found
    })
}

#[inline]
fn next_message<'a>(reader: &mut Reader<'a>, wanted: u32) -> Result<Option<&'a [u8]>, Fault> {
    while let Some(at) = reader.tag()? {
        if at == wanted {
            return reader.bytes().map(Some);
        }
        reader.skip(at)?;
    }
    Ok(None)
}
