//! `ExportTraceServiceResponse`, written by hand: two fields.

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
}
