//! A record batch as an Arrow C stream, handed over without a copy.

use std::sync::Mutex;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchIterator};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// Sealed minutes, exported once.
#[pyclass(frozen, module = "spanmill._core")]
pub(crate) struct RollupStream {
    batch: Mutex<Option<RecordBatch>>,
}

impl RollupStream {
    pub(crate) fn new(batch: RecordBatch) -> Self {
        Self { batch: Mutex::new(Some(batch)) }
    }
}

#[pymethods]
impl RollupStream {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The protocol lets a producer ignore the wish; consumers cast.
        drop(requested_schema);
        let taken = self.batch.lock().ok().and_then(|mut batch| batch.take());
        let batch = taken.ok_or_else(|| PyValueError::new_err("the stream was already read"))?;
        let schema = batch.schema();
        let reader = RecordBatchIterator::new([Ok(batch)], schema);
        let stream = FFI_ArrowArrayStream::new(Box::new(reader));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }
}
