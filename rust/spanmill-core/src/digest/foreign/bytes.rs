//! Numbers at a place in foreign bytes, in either order.

use super::super::DigestError;
use super::refused;

/// Takes numbers from the front of an engine's bytes.
pub(super) struct Bytes<'a> {
    layout: &'static str,
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(super) fn new(layout: &'static str, bytes: &'a [u8]) -> Self {
        Self { layout, rest: bytes }
    }

    /// The next `N` bytes.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], DigestError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| {
            let problem = format!("the bytes end {} short", N - self.rest.len());
            refused(self.layout, problem)
        })?;
        self.rest = rest;
        Ok(*taken)
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether just `count` records of `size` bytes are left: checked before any is stored.
    pub(super) fn holds(&self, count: i64, size: usize) -> Result<usize, DigestError> {
        let left = self.rest.len();
        usize::try_from(count).ok().filter(|n| n.checked_mul(size) == Some(left)).ok_or_else(|| {
            let problem =
                format!("{count} centroids of {size} B do not fill the {left} B that are left");
            refused(self.layout, problem)
        })
    }
}
