//! One class in `spanmill.errors` for each variant of the core's errors.

use pyo3::PyErrArguments;
use pyo3::prelude::*;
use pyo3::types::PyType;
use spanmill_core::digest::DigestError;
use spanmill_core::error::Error;

/// Name of the class in `spanmill.errors`.
fn class_name(error: &Error) -> &'static str {
    match error {
        Error::Wire { .. } | Error::SpanBatch(_) | Error::TooLarge { .. } => "WireError",
        Error::Dictionary { .. } => "DictionaryUnknown",
        Error::Config(_) => "ConfigError",
        Error::Folder { .. } => "StartError",
        Error::Unknown { .. } => "UnknownName",
        Error::FolderInUse(_) => "FolderInUse",
        Error::Damaged { .. }
        | Error::JournalDamaged { .. }
        | Error::Record { .. }
        | Error::Layout { .. } => "DataDamaged",
        Error::Journal { .. } => "JournalFailed",
        Error::Full { .. } => "DiskFull",
        Error::Preparing { .. } => "Overloaded",
        Error::BatchConflict(_) | Error::Forgotten => "BatchConflict",
        Error::ClockSuspect { .. } => "ClockSuspect",
        Error::Closed => "Closed",
        _ => "BadRequest",
    }
}

/// The Python exception for a core error.
pub(crate) fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let (class, text) = (class_name(error), error.to_string());
    match error.retry_after_s() {
        Some(after_s) => raised(py, class, (text, after_s)),
        None => raised(py, class, (text,)),
    }
}

/// The Python exception for a digest's error.
pub(crate) fn digest_error(py: Python<'_>, error: &DigestError) -> PyErr {
    raised(py, "DigestError", (error.to_string(),))
}

/// An exception of `spanmill.errors`; a failed import of ours shows itself instead.
fn raised<A: PyErrArguments + Send + Sync + 'static>(
    py: Python<'_>,
    class: &str,
    arguments: A,
) -> PyErr {
    let found = py
        .import("spanmill.errors")
        .and_then(|module| module.getattr(class))
        .and_then(|class| Ok(class.cast_into::<PyType>()?));
    match found {
        Ok(class) => PyErr::from_type(class, arguments),
        Err(failed) => failed,
    }
}
