use super::{Attribute, Convention, text};
use crate::signal::Dimension;

/// OpenTelemetry's general and resource attributes, old names after new ones.
///
/// Source: semantic-conventions 1.41, `service`, `deployment`, `cloud`, `error`, `user`, `enduser`.
pub(super) struct General;

impl Convention for General {
    fn name(&self) -> &'static str {
        "otel-general"
    }

    fn attributes(&self) -> &'static [Attribute] {
        const {
            &[
                text("service.name", Dimension::Service),
                text("deployment.environment.name", Dimension::Environment),
                text("deployment.environment", Dimension::Environment),
                text("cloud.region", Dimension::Region),
                text("error.type", Dimension::ErrorType),
                text("user.id", Dimension::User),
                text("enduser.id", Dimension::User),
            ]
        }
    }
}
