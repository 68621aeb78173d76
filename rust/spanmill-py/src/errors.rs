//! One class in `spanmill.errors` for each variant of the core's error.

use pyo3::prelude::*;
use pyo3::types::PyType;
use spanmill_core::error::Error;

/// Name of the class in `spanmill.errors`.
fn class_name(error: &Error) -> &'static str {
    match error {
        Error::Wire { .. } | Error::TooLarge { .. } => "WireError",
        Error::Config(_) => "ConfigError",
        Error::Folder { .. } => "StartError",
        Error::Unknown { .. } => "UnknownName",
        Error::FolderInUse(_) => "FolderInUse",
        Error::ClockSuspect { .. } => "ClockSuspect",
        Error::Closed => "Closed",
        _ => "BadRequest",
    }
}

/// The Python exception for a core error; a failed import of ours shows itself instead.
pub(crate) fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let raised = py
        .import("spanmill.errors")
        .and_then(|module| module.getattr(class_name(error)))
        .and_then(|class| Ok(class.cast_into::<PyType>()?));
    match raised {
        Ok(class) => match error.retry_after_s() {
            Some(after_s) => PyErr::from_type(class, (error.to_string(), after_s)),
            None => PyErr::from_type(class, error.to_string()),
        },
        Err(failed) => failed,
    }
}
