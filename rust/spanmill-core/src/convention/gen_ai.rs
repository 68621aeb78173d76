use super::{Attribute, Convention, number, text};
use crate::signal::{Dimension, Measure};

/// OTel GenAI in its three generations: up to 1.36, 1.37 to 1.41, and the separate repository.
///
/// First-token times are doubles in seconds wherever they appear; newer names
/// stand before older ones. `gen_ai.client.operation.time_to_first_chunk` is a
/// metric's name that Vercel 7 and pydantic-ai send as a span attribute.
///
/// Source: semantic-conventions v1.36 and v1.41 `gen-ai`, semantic-conventions-genai.
pub(super) struct GenAi;

impl Convention for GenAi {
    fn name(&self) -> &'static str {
        "otel-genai"
    }

    fn attributes(&self) -> &'static [Attribute] {
        const {
            &[
                text("gen_ai.operation.name", Dimension::Operation),
                text("gen_ai.provider.name", Dimension::Provider),
                text("gen_ai.system", Dimension::Provider),
                text("gen_ai.request.model", Dimension::Model),
                text("gen_ai.response.model", Dimension::ModelServed),
                text("gen_ai.prompt.name", Dimension::Prompt),
                text("gen_ai.prompt.version", Dimension::PromptVersion),
                text("gen_ai.request.stream", Dimension::Streaming),
                number("gen_ai.response.time_to_first_chunk", Measure::Ttft),
                number("gen_ai.client.operation.time_to_first_chunk", Measure::Ttft),
                number("gen_ai.server.time_to_first_token", Measure::Ttft),
                number("gen_ai.server.time_per_output_token", Measure::Tpot),
                number("gen_ai.usage.input_tokens", Measure::InputTokens),
                number("gen_ai.usage.prompt_tokens", Measure::InputTokens),
                number("gen_ai.usage.output_tokens", Measure::OutputTokens),
                number("gen_ai.usage.completion_tokens", Measure::OutputTokens),
                number("gen_ai.usage.cache_read.input_tokens", Measure::CachedTokens),
                number("gen_ai.usage.cache_read_input_tokens", Measure::CachedTokens),
                number("gen_ai.usage.reasoning.output_tokens", Measure::ReasoningTokens),
                number("gen_ai.usage.reasoning_tokens", Measure::ReasoningTokens),
                // A sender that names only the model that answered still has a model.
                text("gen_ai.response.model", Dimension::Model),
                // OpenLLMetry's names for the end user.
                text("gen_ai.user", Dimension::User),
                text("llm.user", Dimension::User),
            ]
        }
    }
}
