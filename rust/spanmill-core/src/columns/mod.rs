//! Batches that come as columns: `spanmill.v1.SpanBatch`.
//!
//! What events have in common stands in a dictionary of its sender, which is kept here
//! with what it resolves to. So an event costs an index, not a look-up of its attributes. From
//! there on a batch is like any other.

mod dictionary;
mod fill;
mod sent;

pub(crate) use dictionary::Dictionaries;

use crate::batch::{Batch, Context};
use crate::dedupe::Key;
use crate::error::{Error, Result};
use crate::wire::{Fault, SpanBatch};

use sent::Sent;

/// The only layout of batches so far.
const SCHEMA_VERSION: u32 = 1;

/// Events of a batch: bounds what one request makes of scratch.
const EVENTS_MAX: u32 = 1 << 17;

/// Read a whole `SpanBatch`; on an error nothing of it is left but entries of the dictionary.
pub(crate) fn decode(
    batch: &mut Batch,
    request: &[u8],
    dictionaries: &Dictionaries,
    context: Context<'_>,
) -> Result<Key> {
    batch.clear();
    let message = SpanBatch::read(request).map_err(malformed)?;
    let (producer, sent) = Sent::check(&message, &context.plan.slots)?;
    let shared = dictionaries.of(producer);
    let mut dictionary = shared.lock();
    let bytes =
        dictionary.extend(message.epoch, message.dict_base as usize, &message.new_series)?;
    if !message.new_series.is_empty() {
        dictionaries.note(producer, bytes);
    }
    let filled = fill::fill(batch, &sent, &mut dictionary, context);
    dictionary.end_batch();
    filled.map(|()| Key::Numbered { producer, epoch: message.epoch, seq: message.seq })
}

fn malformed(fault: Fault) -> Error {
    Error::SpanBatch((*fault.0).to_owned())
}
