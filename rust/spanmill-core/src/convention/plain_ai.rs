use super::{Attribute, Convention, milliseconds, number, text};
use crate::signal::{Dimension, Measure};

/// The plain `ai.*` names that in-house gateways send; latencies are integer milliseconds.
///
/// `ai.latency.total_ms` is the gateway's own end-to-end time and wins over the span's length.
pub(super) struct PlainAi;

impl Convention for PlainAi {
    fn name(&self) -> &'static str {
        "plain-ai"
    }

    fn attributes(&self) -> &'static [Attribute] {
        const {
            &[
                text("ai.request.model", Dimension::Model),
                milliseconds("ai.latency.first_token_ms", Measure::Ttft),
                milliseconds("ai.latency.total_ms", Measure::Duration),
                milliseconds("ai.latency.queue_ms", Measure::QueueTime),
                number("ai.input_tokens", Measure::InputTokens),
                number("ai.output_tokens", Measure::OutputTokens),
            ]
        }
    }
}
