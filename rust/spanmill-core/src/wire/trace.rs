//! `ExportTraceServiceRequest` by field number: resources, scopes, spans, attributes.
//!
//! Source: opentelemetry-proto 1.x, `trace/v1/trace.proto` and
//! `common/v1/common.proto` (field numbers are the contract).

use super::Fault;
use super::layout::Layout;
use super::reader::{BYTES, END, FIXED64, Reader, VARINT, tag};

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

/// What an attribute's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No value was set.
    None,
    String,
    Bool,
    Int,
    Double,
    /// Opaque bytes.
    Bytes,
    /// An array or a key-value list: never looked into.
    Other,
}

/// An attribute's value, borrowed.
///
/// Flat, not an enum with payloads: its parts stay in registers, where the enum
/// went through memory and stalled a store an attribute (13 % of decoding).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Value<'a> {
    pub kind: Kind,
    bits: u64,
    /// Contents of a string or of bytes, else empty.
    pub bytes: &'a [u8],
}

impl<'a> Value<'a> {
    const NONE: Self = Self::scalar(Kind::None, 0);
    const OTHER: Self = Self::scalar(Kind::Other, 0);

    const fn scalar(kind: Kind, bits: u64) -> Self {
        Self { kind, bits, bytes: &[] }
    }

    const fn text(kind: Kind, bytes: &'a [u8]) -> Self {
        Self { kind, bits: 0, bytes }
    }

    /// A bool's value.
    pub(crate) fn flag(&self) -> bool {
        self.bits != 0
    }

    /// An int's value.
    #[inline]
    pub(crate) fn int(&self) -> i64 {
        self.bits.cast_signed()
    }

    /// A double's value.
    #[inline]
    pub(crate) fn double(&self) -> f64 {
        f64::from_bits(self.bits)
    }
}

/// Every `ResourceSpans` of a request.
pub(crate) fn resource_spans(
    request: &[u8],
) -> impl Iterator<Item = Result<ResourceSpans<'_>, Fault>> {
    messages(request, tag(1, BYTES), 0).map(|m| m.map(|message| ResourceSpans { message }))
}

impl<'a> ResourceSpans<'a> {
    /// The bytes of this message, to say where a fault lies.
    pub(crate) fn message(&self) -> &'a [u8] {
        self.message
    }

    /// Every `Resource` message: more than one merge, in order.
    pub(crate) fn resources(&self) -> impl Iterator<Item = Result<&'a [u8], Fault>> {
        messages(self.message, tag(1, BYTES), 1)
    }

    pub(crate) fn scope_spans(&self) -> impl Iterator<Item = Result<ScopeSpans<'a>, Fault>> {
        messages(self.message, tag(2, BYTES), 1).map(|m| m.map(|message| ScopeSpans { message }))
    }
}

impl<'a> ScopeSpans<'a> {
    /// The scope and the spans, for writers that put the scope first, as all known ones do.
    ///
    /// A scope after the first span surfaces as the fault [`LATE_SCOPE`]: looking
    /// for one beforehand would touch every span twice, a fifth of all decoding.
    pub(crate) fn open(&self) -> Result<(Scope<'a>, Spans<'a>), Fault> {
        let mut scope = Scope::default();
        let mut reader = Reader::new(self.message, 2);
        loop {
            let rest = reader;
            match reader.tag()? {
                AT_SCOPE => scope.read(reader.bytes()?)?,
                AT_SPAN | END => {
                    return Ok((scope, Spans { reader: rest, scope_may_follow: false }));
                }
                other => reader.skip(other)?,
            }
        }
    }

    /// The scope, wherever its parts stand, and the spans.
    pub(crate) fn open_in_any_order(&self) -> Result<(Scope<'a>, Spans<'a>), Fault> {
        let mut scope = Scope::default();
        for part in messages(self.message, AT_SCOPE, 2) {
            scope.read(part?)?;
        }
        Ok((scope, Spans { reader: Reader::new(self.message, 2), scope_may_follow: true }))
    }
}

/// A scope stands after its spans: valid, but it needs [`ScopeSpans::open_in_any_order`].
pub(crate) const LATE_SCOPE: Fault = Fault(&"a scope stands after its spans");

/// Every span of a scope.
pub(crate) struct Spans<'a> {
    reader: Reader<'a>,
    scope_may_follow: bool,
}

impl<'a> Iterator for Spans<'a> {
    type Item = Result<&'a [u8], Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            return Some(match self.reader.tag() {
                Ok(END) => return None,
                Ok(AT_SPAN) => self.reader.bytes(),
                Ok(AT_SCOPE) if !self.scope_may_follow => Err(LATE_SCOPE),
                Ok(other) => match self.reader.skip(other) {
                    Ok(()) => continue,
                    Err(fault) => Err(fault),
                },
                Err(fault) => Err(fault),
            });
        }
    }
}

impl<'a> Scope<'a> {
    fn read(&mut self, message: &'a [u8]) -> Result<(), Fault> {
        let mut reader = Reader::new(message, 3);
        loop {
            match reader.tag()? {
                END => break,
                AT_SCOPE_NAME => self.name = reader.bytes()?,
                other => reader.skip(other)?,
            }
        }
        Ok(())
    }
}

const AT_SCOPE: u32 = tag(1, BYTES);
const AT_SPAN: u32 = tag(2, BYTES);
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
    ///
    /// `look_up` says what a key means; `layout` saves asking where the span
    /// before had the same key in the same place.
    #[inline]
    pub(crate) fn read<T: Copy>(
        message: &'a [u8],
        layout: &mut Layout<T>,
        mut look_up: impl FnMut(&'a [u8]) -> T,
        mut attribute: impl FnMut(T, Value<'a>),
    ) -> Result<Self, Fault> {
        let mut span = Self::default();
        let mut reader = Reader::new(message, 3);
        let mut place = 0;
        loop {
            while reader.is_at(AT_ATTRIBUTE) {
                match layout.expected(place, &mut reader) {
                    Some((meaning, value)) => attribute(meaning, value),
                    None => {
                        reader.advance(1);
                        key_value(reader.bytes()?, 4, &mut |key, value| {
                            let meaning = look_up(key);
                            layout.learn(place, key, meaning);
                            attribute(meaning, value);
                        })?;
                    }
                }
                place += 1;
            }
            match reader.tag()? {
                END => break,
                // A tag in more bytes than it needs.
                AT_ATTRIBUTE => key_value(reader.bytes()?, 4, &mut |key, value| {
                    attribute(look_up(key), value);
                })?,
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
        let mut reader = Reader::new(message, 4);
        loop {
            match reader.tag()? {
                END => break,
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
    attribute: impl FnMut(&'a [u8], Value<'a>),
) -> Result<(), Fault> {
    pairs(message, tag(1, BYTES), 2, attribute)
}

/// Attributes that are fields `wanted` of a message at `depth`.
pub(super) fn pairs<'a>(
    message: &'a [u8],
    wanted: u32,
    depth: u32,
    mut attribute: impl FnMut(&'a [u8], Value<'a>),
) -> Result<(), Fault> {
    for pair in messages(message, wanted, depth) {
        key_value(pair?, depth + 1, &mut attribute)?;
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
/// Only profiles use it, but it is a member of the oneof and so replaces the others.
const AT_STRING_INDEX: u32 = tag(8, VARINT);

/// Hand one attribute on. The two layouts never meet in one variable: merged,
/// key and value would go through memory for every attribute.
#[inline(always)]
fn key_value<'a>(
    message: &'a [u8],
    depth: u32,
    attribute: &mut impl FnMut(&'a [u8], Value<'a>),
) -> Result<(), Fault> {
    match usual_layout(message) {
        Some((key, value)) => {
            attribute(key, value);
            Ok(())
        }
        None => unusual(message, depth, attribute),
    }
}

#[inline(never)]
fn unusual<'a>(
    message: &'a [u8],
    depth: u32,
    attribute: &mut impl FnMut(&'a [u8], Value<'a>),
) -> Result<(), Fault> {
    let (key, value) = any_layout(message, depth)?;
    attribute(key, value);
    Ok(())
}

/// The layout every known writer emits: the key, then a value of one field,
/// lengths of one byte. Half the instructions of [`any_layout`].
#[inline(always)]
fn usual_layout(message: &[u8]) -> Option<(&[u8], Value<'_>)> {
    let [0x0a, key_length @ ..0x80, rest @ ..] = message else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*key_length))?;
    let [0x12, length @ ..0x80, value @ ..] = rest else { return None };
    if value.len() != usize::from(*length) {
        return None;
    }
    Some((key, usual_value(value)?))
}

/// An `AnyValue` of one field with a length of one byte.
#[inline(always)]
pub(super) fn usual_value(message: &[u8]) -> Option<Value<'_>> {
    Some(match message {
        [0x0a, length, text @ ..] if usize::from(*length) == text.len() => {
            Value::text(Kind::String, text)
        }
        [0x18, digits @ ..] => Value::scalar(Kind::Int, short_varint(digits)?),
        [0x10, flag @ (0 | 1)] => Value::scalar(Kind::Bool, u64::from(*flag)),
        [0x21, bits @ ..] => Value::scalar(Kind::Double, u64::from_le_bytes(bits.try_into().ok()?)),
        _ => return None,
    })
}

/// A varint of up to three bytes that fills `digits`.
#[inline(always)]
fn short_varint(digits: &[u8]) -> Option<u64> {
    match *digits {
        [a @ ..0x80] => Some(u64::from(a)),
        [a @ 0x80..=0xff, b @ ..0x80] => Some(u64::from(a & 0x7f) | u64::from(b) << 7),
        [a @ 0x80..=0xff, b @ 0x80..=0xff, c @ ..0x80] => {
            Some(u64::from(a & 0x7f) | u64::from(b & 0x7f) << 7 | u64::from(c) << 14)
        }
        _ => None,
    }
}

fn any_layout(message: &[u8], depth: u32) -> Result<(&[u8], Value<'_>), Fault> {
    let mut reader = Reader::new(message, depth);
    let mut key: &[u8] = &[];
    let mut value = Value::NONE;
    loop {
        match reader.tag()? {
            END => return Ok((key, value)),
            AT_KEY => key = reader.bytes()?,
            AT_VALUE => read_value(reader.bytes()?, depth + 1, &mut value)?,
            other => reader.skip(other)?,
        }
    }
}

/// The last member of the oneof wins, over all parts of the message.
fn read_value<'a>(message: &'a [u8], depth: u32, value: &mut Value<'a>) -> Result<(), Fault> {
    let mut reader = Reader::new(message, depth);
    loop {
        *value = match reader.tag()? {
            END => return Ok(()),
            AT_STRING => Value::text(Kind::String, reader.bytes()?),
            AT_INT => Value::scalar(Kind::Int, reader.varint()?),
            AT_DOUBLE => Value::scalar(Kind::Double, reader.fixed64()?),
            AT_BOOL => Value::scalar(Kind::Bool, reader.varint()?),
            AT_ARRAY | AT_LIST => reader.bytes().map(|_| Value::OTHER)?,
            AT_STRING_INDEX => reader.varint().map(|_| Value::OTHER)?,
            AT_BYTES => Value::text(Kind::Bytes, reader.bytes()?),
            other => {
                reader.skip(other)?;
                continue;
            }
        };
    }
}

/// Contents of every field `wanted` of a message; other fields are skipped.
fn messages(message: &[u8], wanted: u32, depth: u32) -> impl Iterator<Item = Result<&[u8], Fault>> {
    let mut reader = Reader::new(message, depth);
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
    loop {
        match reader.tag()? {
            END => return Ok(None),
            at if at == wanted => return reader.bytes().map(Some),
            other => reader.skip(other)?,
        }
    }
}
