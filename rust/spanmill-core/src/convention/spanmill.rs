use super::{Attribute, Convention, number, text};
use crate::signal::{Dimension, Measure};

/// Our own published attributes, for what no convention has a name for. Seconds and US dollars.
pub(super) struct Spanmill;

impl Convention for Spanmill {
    fn name(&self) -> &'static str {
        "spanmill"
    }

    fn attributes(&self) -> &'static [Attribute] {
        const {
            &[
                text("spanmill.tenant", Dimension::Tenant),
                text("spanmill.region", Dimension::Region),
                text("spanmill.plan_tier", Dimension::PlanTier),
                text("spanmill.journey", Dimension::Journey),
                text("spanmill.intent", Dimension::Intent),
                text("spanmill.segment", Dimension::Segment),
                text("spanmill.prompt_version", Dimension::PromptVersion),
                text("spanmill.cold_start", Dimension::ColdStart),
                number("spanmill.queue_time", Measure::QueueTime),
                number("spanmill.prefill_time", Measure::PrefillTime),
                number("spanmill.decode_time", Measure::DecodeTime),
                number("spanmill.cold_start_time", Measure::ColdStartTime),
                number("spanmill.cost", Measure::Cost),
            ]
        }
    }
}
