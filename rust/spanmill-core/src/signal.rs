//! The registry of signals: every measure and dimension a span can yield, with its unit.
//!
//! Conventions fill signals, views and objectives name them. A signal's id is
//! its place in [`MEASURES`] or [`DIMENSIONS`].

/// What a measure is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Tokens.
    Tokens,
    /// US dollars.
    Dollars,
}

impl Unit {
    /// UCUM code, or ISO 4217 for money.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Tokens => "{token}",
            Self::Dollars => "USD",
        }
    }
}

/// Name, unit and meaning of one measure.
#[derive(Debug)]
pub struct MeasureInfo {
    /// The measure itself.
    pub measure: Measure,
    /// Name in config, queries and exports.
    pub name: &'static str,
    /// Unit of every value.
    pub unit: Unit,
    /// One line for a person.
    pub description: &'static str,
}

/// Name and meaning of one dimension.
#[derive(Debug)]
pub struct DimensionInfo {
    /// The dimension itself.
    pub dimension: Dimension,
    /// Name in config, queries and exports.
    pub name: &'static str,
    /// One line for a person.
    pub description: &'static str,
}

macro_rules! signals {
    ($(#[$meta:meta])* $kind:ident, $info:ident, $table:ident, $field:ident:
     $($variant:ident $name:literal $($unit:ident)? : $doc:literal;)+) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $kind { $(#[doc = $doc] $variant,)+ }

        /// Every one of them, in id order.
        pub const $table: &[$info] = &[
            $($info { $field: $kind::$variant, name: $name, $(unit: Unit::$unit,)? description: $doc },)+
        ];

        impl $kind {
            /// Find by name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                $table.iter().find(|info| info.name == name).map(|info| info.$field)
            }

            /// Its registry entry.
            #[must_use]
            pub fn info(self) -> &'static $info {
                &$table[self as usize]
            }
        }
    };
}

signals! {
    /// A number taken from a span.
    Measure, MeasureInfo, MEASURES, measure:
    Duration "duration" Seconds: "End-to-end time of the request.";
    Ttft "ttft" Seconds: "Time to first token, as the sender's clock saw it.";
    Tpot "tpot" Seconds: "Time per output token after the first.";
    QueueTime "queue_time" Seconds: "Time spent waiting before work began.";
    PrefillTime "prefill_time" Seconds: "Time the model spent reading the prompt.";
    DecodeTime "decode_time" Seconds: "Time the model spent writing the answer.";
    ColdStartTime "cold_start_time" Seconds: "Time a request waited for a model to load.";
    InputTokens "input_tokens" Tokens: "Prompt tokens, cached ones included.";
    OutputTokens "output_tokens" Tokens: "Answer tokens, reasoning included.";
    CachedTokens "cached_tokens" Tokens: "Prompt tokens served from a cache.";
    ReasoningTokens "reasoning_tokens" Tokens: "Answer tokens spent on reasoning.";
    Cost "cost" Dollars: "Price of the request as the sender stated it.";
}

signals! {
    /// A label taken from a span or its resource.
    Dimension, DimensionInfo, DIMENSIONS, dimension:
    Service "service": "Service that served the request.";
    Environment "environment": "Deployment environment.";
    Region "region": "Cloud region.";
    Tenant "tenant": "Customer the request belongs to.";
    PlanTier "plan_tier": "Customer's plan.";
    Journey "journey": "Customer journey the request is part of.";
    Intent "intent": "What the customer wanted.";
    Segment "segment": "Customer segment.";
    Operation "operation": "Kind of model operation, such as chat.";
    Provider "provider": "Model provider.";
    Model "model": "Model asked for.";
    ModelServed "model_served": "Model that answered.";
    Prompt "prompt": "Prompt template.";
    PromptVersion "prompt_version": "Version of the prompt template.";
    ErrorType "error_type": "Class of error; absent on success.";
    ColdStart "cold_start": "Whether the request waited for a model to load.";
    Streaming "streaming": "Whether the answer was streamed.";
    User "user": "End user, known by a keyed hash only: for `distinct` of a view, not for series.";
}

/// Names joined for an error message that lists what exists.
#[must_use]
pub fn known<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signal's id is its place in the table, so `info` is a plain index.
    #[test]
    fn ids_are_places() {
        for (place, info) in MEASURES.iter().enumerate() {
            assert_eq!(place, info.measure as usize);
            assert_eq!(Some(info.measure), Measure::named(info.name));
        }
        for (place, info) in DIMENSIONS.iter().enumerate() {
            assert_eq!(place, info.dimension as usize);
            assert_eq!(Some(info.dimension), Dimension::named(info.name));
        }
    }
}
