//! `spanmill._core`: conversions, `detach`, errors. No arithmetic lives here.

mod column;
mod digest;
mod errors;
mod floats;
mod stream;

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use spanmill_core::clock::SystemClock;
use spanmill_core::config::Config;
use spanmill_core::disk::RealDisk;
use spanmill_core::error::Error;
use spanmill_core::{Sender, wire};

use crate::column::DigestColumn;
use crate::digest::Digest;
use crate::errors::to_python;
use crate::stream::RollupStream;

/// Everything behind the receiver. Safe to share between threads.
#[pyclass(frozen, module = "spanmill._core")]
struct Engine {
    core: spanmill_core::Engine,
}

impl Engine {
    /// Run one call of the core detached and hand its bytes over.
    fn bytes<'py>(
        &self,
        py: Python<'py>,
        call: impl Send + FnOnce(&spanmill_core::Engine) -> Result<Vec<u8>, Error>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let answer = py.detach(|| call(&self.core)).map_err(|error| to_python(py, &error))?;
        Ok(PyBytes::new(py, &answer))
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, config_json: &str) -> PyResult<Self> {
        let config = Config::from_json(config_json).map_err(|error| to_python(py, &error))?;
        let opened = py.detach(|| spanmill_core::Engine::open(&config, Arc::new(SystemClock)));
        opened.map(|core| Self { core }).map_err(|error| to_python(py, &error))
    }

    #[pyo3(signature = (request, tenant = "", batch_id = None))]
    fn ingest_traces<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        tenant: &str,
        batch_id: Option<&str>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        // Detached: folding and waiting for the disk touch no Python object, so other gRPC
        // workers and the API keep running. The caller's reference keeps `request` alive.
        self.bytes(py, |core| core.ingest_traces(request, Sender { tenant, batch_id }))
    }

    fn ingest_columns<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |core| core.ingest_columns(request))
    }

    fn count_refused_request(&self, reason: &str) {
        self.core.count_refused_request(reason);
    }

    fn recovered<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, spanmill_core::Engine::recovered)
    }

    fn unready(&self, py: Python<'_>) -> PyResult<Option<String>> {
        py.detach(|| self.core.unready()).map_err(|error| to_python(py, &error))
    }

    fn tick(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.core.tick()).map_err(|error| to_python(py, &error))
    }

    fn query<'py>(&self, py: Python<'py>, request_json: &str) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |core| core.query(request_json))
    }

    fn query_range<'py>(
        &self,
        py: Python<'py>,
        request_json: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |core| core.query_range(request_json))
    }

    fn heatmap<'py>(&self, py: Python<'py>, request_json: &str) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |core| core.heatmap(request_json))
    }

    fn compare<'py>(&self, py: Python<'py>, request_json: &str) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |core| core.compare(request_json))
    }

    fn distinct<'py>(&self, py: Python<'py>, request_json: &str) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |core| core.distinct(request_json))
    }

    fn top<'py>(&self, py: Python<'py>, request_json: &str) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |core| core.top(request_json))
    }

    fn series<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, spanmill_core::Engine::series)
    }

    fn measures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, spanmill_core::Engine::measures)
    }

    fn ledger<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, spanmill_core::Engine::ledger)
    }

    fn slos<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, spanmill_core::Engine::slos)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, spanmill_core::Engine::stats)
    }

    fn rollup(&self, py: Python<'_>, start_s: i64, end_s: i64) -> PyResult<RollupStream> {
        let batch = py
            .detach(|| self.core.rollup(start_s, end_s))
            .map_err(|error| to_python(py, &error))?;
        Ok(RollupStream::new(batch))
    }

    fn sealed_range(&self, py: Python<'_>) -> Option<(i64, i64)> {
        py.detach(|| self.core.sealed_range())
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.core.close());
    }
}

/// Say how the core was built.
#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    info.set_item("target", std::env::consts::ARCH)?;
    Ok(info)
}

/// List the measures and dimensions the core knows, as JSON.
#[pyfunction]
fn signals(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &spanmill_core::signals())
}

/// Decode one request and list every field the walker reads, as JSON.
#[pyfunction]
fn explain_traces<'py>(py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let explained =
        py.detach(|| wire::explain_traces(request)).map_err(|error| to_python(py, &error))?;
    Ok(PyBytes::new(py, &explained))
}

/// A `SpanBatch` with its checksum added.
#[pyfunction]
fn with_checksum<'py>(py: Python<'py>, batch: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let sealed = wire::with_checksum(batch).map_err(|error| to_python(py, &error))?;
    Ok(PyBytes::new(py, &sealed))
}

/// Say what is in a data folder that no daemon holds, as JSON.
#[pyfunction]
fn examine_folder(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyBytes>> {
    let examined = py.detach(|| spanmill_core::examine_folder(&RealDisk, &path));
    Ok(PyBytes::new(py, &examined.map_err(|error| to_python(py, &error))?))
}

/// Give up what an unreadable record takes with it, and say what that was, as JSON.
#[pyfunction]
fn repair_folder(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyBytes>> {
    let repaired = py.detach(|| spanmill_core::repair_folder(&RealDisk, &path));
    Ok(PyBytes::new(py, &repaired.map_err(|error| to_python(py, &error))?))
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Digest>()?;
    module.add_class::<DigestColumn>()?;
    module.add_class::<Engine>()?;
    module.add_class::<RollupStream>()?;
    module.add_function(wrap_pyfunction!(build_info, module)?)?;
    module.add_function(wrap_pyfunction!(signals, module)?)?;
    module.add_function(wrap_pyfunction!(explain_traces, module)?)?;
    module.add_function(wrap_pyfunction!(with_checksum, module)?)?;
    module.add_function(wrap_pyfunction!(examine_folder, module)?)?;
    module.add_function(wrap_pyfunction!(repair_folder, module)?)
}
