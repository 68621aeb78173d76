//! Records by themselves, for `examples/bench_journal.rs`.

use crate::batch::{Batch, Context, resolve};
use crate::clock::SECOND_NS;
use crate::config::Config;
use crate::disk::RealDisk;
use crate::error::{Error, Result};
use crate::value::Values;
use crate::view::Plan;

use super::definition::Definitions;
use super::{Head, decode, encode};

/// One thread's batch, its record, and the batch that is read back.
pub struct RecordTrial {
    plan: Plan,
    values: Values,
    batch: Batch,
    back: Batch,
    record: Vec<u8>,
}

impl RecordTrial {
    /// For the views and objectives of a configuration.
    ///
    /// # Errors
    ///
    /// Those of the configuration.
    pub fn new(config: &Config) -> Result<Self> {
        let values = Values::new(config.limits.dimension_values, config.limits.dimension_bytes, 1);
        let plan = Plan::new(config, &values, &RealDisk)?;
        let (batch, back) = (Batch::new(&plan), Batch::new(&plan));
        Ok(Self { plan, values, batch, back, record: Vec::new() })
    }

    /// Decode an `ExportTraceServiceRequest`; its events.
    ///
    /// # Errors
    ///
    /// [`Error::Wire`].
    pub fn take(&mut self, request: &[u8]) -> Result<usize> {
        let context = Context { plan: &self.plan, values: &self.values, latest_ns: i64::MAX };
        self.batch.decode(request, context)?;
        resolve(&mut self.batch.groups, &self.plan);
        Ok(self.batch.ends_ns.len())
    }

    /// Write the batch's record; its bytes.
    pub fn encode(&mut self) -> usize {
        let newest_ns = self.batch.newest_ns.unwrap_or(0);
        let definitions = Definitions::default();
        let head = Head {
            now_ns: newest_ns,
            newest_ns: Some(newest_ns),
            watermark_ns: Some(newest_ns - 60 * SECOND_NS),
            sealed: newest_ns / SECOND_NS / 10,
            horizon_ns: newest_ns,
            key: &[0; 17],
            response: &[],
            defined: definitions.defined(),
        };
        self.record.clear();
        encode(&self.batch, &head, &self.plan, &mut self.record);
        self.record.len()
    }

    /// Read the record back; its events.
    ///
    /// # Errors
    ///
    /// [`Error::Request`], if ever what was written did not read.
    pub fn decode(&mut self) -> Result<usize> {
        let _ = decode(&self.record, &self.plan, &mut self.back)
            .map_err(|damage| Error::Request(damage.0.to_owned()))?;
        Ok(self.back.ends_ns.len())
    }
}
