//! Arrow's C data interface: digests as a column of `DuckDB` states.

use arrow_array::ffi::to_ffi;
use arrow_array::{Array, StructArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use spanmill_core::digest::foreign::duckdb;

/// A schema and an array, as `__arrow_c_array__` hands them over.
pub(crate) type Capsules<'py> = (Bound<'py, PyCapsule>, Bound<'py, PyCapsule>);

/// Export an array without a copy; the consumer's release gives the memory back.
pub(crate) fn export<'py>(py: Python<'py>, column: &StructArray) -> PyResult<Capsules<'py>> {
    let (array, schema) =
        to_ffi(&column.to_data()).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let schema = PyCapsule::new_with_value(py, schema, c"arrow_schema")?;
    let array = PyCapsule::new_with_value(py, array, c"arrow_array")?;
    Ok((schema, array))
}

/// Export the type of a state.
pub(crate) fn export_schema(py: Python<'_>) -> PyResult<Bound<'_, PyCapsule>> {
    export(py, &duckdb::column([])).map(|(schema, _)| schema)
}

/// Digests as an Arrow column; hand it to `pyarrow.array`, Polars or DuckDB.
#[pyclass(frozen, module = "spanmill._core")]
pub(crate) struct DigestColumn(pub(crate) StructArray);

#[pymethods]
impl DigestColumn {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        export_schema(py)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Capsules<'py>> {
        // The protocol lets a producer ignore the wish; consumers cast.
        drop(requested_schema);
        export(py, &self.0)
    }
}
