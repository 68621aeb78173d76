//! What is where in the files that were asked for last, so that it is not read each time.

use std::collections::HashMap;
use std::sync::Arc;

use super::segment::{Extent, Index};

/// Bytes of all that is remembered.
const BYTES_MAX: usize = 32 << 20;

/// The indexes used last.
#[derive(Default)]
pub(super) struct Cache {
    /// With the time of the last use, counted in uses.
    known: HashMap<Extent, (Arc<Index>, u64)>,
    bytes: usize,
    uses: u64,
}

impl Cache {
    pub(super) fn find(&mut self, extent: Extent) -> Option<Arc<Index>> {
        self.uses += 1;
        let (index, used) = self.known.get_mut(&extent)?;
        *used = self.uses;
        Some(Arc::clone(index))
    }

    pub(super) fn add(&mut self, extent: Extent, index: Arc<Index>) {
        self.bytes += index.bytes;
        if let Some((replaced, _)) = self.known.insert(extent, (index, self.uses)) {
            self.bytes -= replaced.bytes;
        }
        while self.bytes > BYTES_MAX
            && let Some(oldest) = self.known.iter().min_by_key(|(_, (_, used))| *used)
        {
            let extent = *oldest.0;
            self.forget(extent);
        }
    }

    pub(super) fn forget(&mut self, extent: Extent) {
        if let Some((gone, _)) = self.known.remove(&extent) {
            self.bytes -= gone.bytes;
        }
    }
}
