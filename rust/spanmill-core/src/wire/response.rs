//! `ExportTraceServiceResponse` and `SpanBatchAck`, written by hand: a few fields.

/// Encode a response: empty on full success, as the specification asks.
///
/// Partial success is final: a client must not retry. So `rejected` counts only
/// spans that no retry could save, and `message` says why.
#[must_use]
pub fn partial_success(rejected: u64, message: &str) -> Vec<u8> {
    if rejected == 0 {
        return Vec::new();
    }
    let mut body = vec![1 << 3];
    push_varint(&mut body, rejected);
    body.push(2 << 3 | 2);
    push_varint(&mut body, message.len() as u64);
    body.extend_from_slice(message.as_bytes());
    let mut response = vec![1 << 3 | 2];
    push_varint(&mut response, body.len() as u64);
    response.append(&mut body);
    response
}

/// Encode a `SpanBatchAck`; `rejected` is what [`partial_success`] gave for the batch.
///
/// It can stand as it is: the first fields of both answers are laid out alike.
pub(crate) fn span_batch_ack(rejected: &[u8], seq: u64, duplicate: bool) -> Vec<u8> {
    let mut ack = rejected.to_vec();
    if seq != 0 {
        ack.push(2 << 3);
        push_varint(&mut ack, seq);
    }
    if duplicate {
        ack.extend_from_slice(&[3 << 3, 1]);
    }
    ack
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden bytes of a partial success, and nothing at all on success.
    #[test]
    fn golden_bytes() {
        assert!(partial_success(0, "ignored").is_empty());
        assert_eq!(b"\x0a\x07\x08\xac\x02\x12\x02no".to_vec(), partial_success(300, "no"));
    }

    /// Golden bytes of an ack: what was rejected comes first, and what is zero is left out.
    #[test]
    fn golden_acks() {
        assert_eq!(b"\x10\xac\x02".to_vec(), span_batch_ack(b"", 300, false));
        let rejected = partial_success(1, "no");
        let wanted = b"\x0a\x06\x08\x01\x12\x02no\x10\x05\x18\x01".to_vec();
        assert_eq!(wanted, span_batch_ack(&rejected, 5, true));
    }
}
