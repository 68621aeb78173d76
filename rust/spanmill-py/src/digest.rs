//! `spanmill.Digest`: a core digest behind a lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyCapsule, PyDict, PyList, PyTuple};
use spanmill_core::digest::foreign::{DataSketches, Layout, TDunning, Trino, duckdb};
use spanmill_core::digest::{self as core, Answers, DigestError, LiveDigest, Transform};

use crate::column::{Capsules, DigestColumn, export, export_schema};
use crate::errors::digest_error;
use crate::floats::{Floats, count_array, float_array};

/// Fewer values are added without letting go of the interpreter: coming back may
/// cost a busy thread's whole turn.
const DETACH_FROM: usize = 4096;

/// Default of `max_bytes`, which signatures spell out for `help()`.
const MAX_BYTES: usize = 1600;

/// What reads a digest back, and with what.
type Pickle<'py> = (Bound<'py, PyAny>, (Bound<'py, PyBytes>, usize));

/// A distribution in at most `max_bytes` bytes: quantiles with a stated error, exact while small.
#[pyclass(frozen, module = "spanmill")]
pub(crate) struct Digest {
    live: Mutex<LiveDigest>,
}

fn axis(wide: bool) -> Transform {
    if wide { Transform::Wide } else { Transform::Standard }
}

/// Raise what the core refused.
fn checked<T>(py: Python<'_>, answer: Result<T, DigestError>) -> PyResult<T> {
    answer.map_err(|error| digest_error(py, &error))
}

impl Digest {
    fn new(py: Python<'_>, live: Result<LiveDigest, DigestError>) -> PyResult<Self> {
        checked(py, live).map(|live| Self { live: Mutex::new(live) })
    }

    /// One that came from bytes keeps at least their room.
    fn read(py: Python<'_>, digest: Result<core::Digest, DigestError>) -> PyResult<Self> {
        Self::new(py, digest.and_then(|digest| LiveDigest::of(digest, MAX_BYTES)))
    }

    fn live(&self, py: Python<'_>) -> MutexGuard<'_, LiveDigest> {
        self.live.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self, py: Python<'_>) -> Arc<Answers> {
        self.live(py).answers()
    }

    fn write<'py>(&self, py: Python<'py>, layout: &dyn Layout) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = checked(py, layout.write(self.answers(py).digest()))?;
        Ok(PyBytes::new(py, &bytes))
    }
}

#[pymethods]
impl Digest {
    #[new]
    #[pyo3(signature = (max_bytes=1600, *, wide=false))]
    fn py_new(py: Python<'_>, max_bytes: usize, wide: bool) -> PyResult<Self> {
        Self::new(py, LiveDigest::new(axis(wide), max_bytes))
    }

    /// Add values, each as often as its weight says; return how many were refused.
    #[pyo3(signature = (values, weights=None))]
    fn add(
        &self,
        py: Python<'_>,
        values: &Bound<'_, PyAny>,
        weights: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let (values, weights) = (Floats::of(values)?, weights.map(Floats::of).transpose()?);
        let (values, weights) = (values.values(), weights.as_ref().map(Floats::values));
        let add = |mut live: MutexGuard<'_, LiveDigest>| match weights {
            None => live.add(values),
            Some(weights) => live.add_weighted(values, weights),
        };
        let refused = if values.len() < DETACH_FROM {
            add(self.live(py))
        } else {
            py.detach(|| add(self.live.lock().unwrap_or_else(PoisonError::into_inner)))
        };
        checked(py, refused)
    }

    /// Add what other digests hold, and return this one.
    #[pyo3(signature = (*others))]
    fn merge<'py>(
        slf: Bound<'py, Self>,
        others: &Bound<'_, PyTuple>,
    ) -> PyResult<Bound<'py, Self>> {
        let (py, this) = (slf.py(), slf.get());
        // Taken first, one by one: a digest may be merged into itself.
        let parts = others
            .iter()
            .map(|other| Ok(other.cast::<Self>()?.get().answers(py)))
            .collect::<PyResult<Vec<_>>>()?;
        let merge = || this.live.lock().unwrap_or_else(PoisonError::into_inner).merge_all(&parts);
        let merged = py.detach(merge);
        checked(py, merged)?;
        Ok(slf)
    }

    /// Estimate the value below which a share `q` of the values lies; None while empty.
    fn quantile(&self, py: Python<'_>, q: f64) -> PyResult<Option<f64>> {
        let quantile = checked(py, self.answers(py).quantile(q))?;
        Ok(quantile.map(|quantile| quantile.value))
    }

    /// Estimate several quantiles as a float64 array; NaN while empty.
    fn quantiles<'py>(
        &self,
        py: Python<'py>,
        qs: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let qs = Floats::of(qs)?;
        let found = checked(py, self.answers(py).quantiles(qs.values()))?;
        let values = found.map(|found| found.iter().map(|quantile| quantile.value).collect());
        float_array(py, &values.unwrap_or_else(|| vec![f64::NAN; qs.values().len()]))
    }

    /// Estimate a quantile without ever naming a value from inside a gap; None while empty.
    fn quantile_discrete(&self, py: Python<'_>, q: f64) -> PyResult<Option<f64>> {
        checked(py, self.answers(py).quantile_discrete(q))
    }

    /// Estimate the share of values at or below `x`, a number or an array.
    fn cdf<'py>(&self, py: Python<'py>, x: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let xs = Floats::of(x)?;
        let shares = self.answers(py).cdf(xs.values());
        if xs.is_scalar() {
            let share = shares.and_then(|shares| shares.first().copied());
            return Ok(share.into_pyobject(py)?);
        }
        float_array(py, &shares.unwrap_or_else(|| vec![f64::NAN; xs.values().len()]))
    }

    /// Estimate how far the rank of `quantile(q)` is from `q`; None while empty.
    fn rank_error(&self, py: Python<'_>, q: f64) -> PyResult<Option<f64>> {
        let quantile = checked(py, self.answers(py).quantile(q))?;
        Ok(quantile.map(|quantile| quantile.rank_error))
    }

    /// Give ascending means, float64, and their weights, uint64.
    fn centroids<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let answers = self.answers(py);
        let both = answers.digest().centroids().map(|it| (it.mean, it.weight));
        let (means, weights): (Vec<f64>, Vec<u64>) = both.unzip();
        Ok((float_array(py, &means)?, count_array(py, &weights)?))
    }

    #[getter]
    fn count(&self, py: Python<'_>) -> u64 {
        self.live(py).count()
    }

    #[getter]
    fn refused(&self, py: Python<'_>) -> u64 {
        self.live(py).refused()
    }

    #[getter]
    fn sum(&self, py: Python<'_>) -> f64 {
        core::Digest::sum(self.answers(py).digest())
    }

    #[getter]
    fn sum_is_exact(&self, py: Python<'_>) -> bool {
        self.answers(py).digest().sum_is_exact()
    }

    #[getter]
    fn min(&self, py: Python<'_>) -> Option<f64> {
        self.answers(py).digest().min()
    }

    #[getter]
    fn max(&self, py: Python<'_>) -> Option<f64> {
        self.answers(py).digest().max()
    }

    #[getter]
    fn exact(&self, py: Python<'_>) -> bool {
        self.answers(py).digest().is_exact()
    }

    #[getter]
    fn wide(&self, py: Python<'_>) -> bool {
        self.live(py).transform() == Transform::Wide
    }

    #[getter]
    fn max_bytes(&self, py: Python<'_>) -> usize {
        self.live(py).max_bytes()
    }

    #[getter]
    fn nbytes(&self, py: Python<'_>) -> usize {
        self.answers(py).digest().to_bytes().len()
    }

    #[getter]
    fn resident_bytes(&self, py: Python<'_>) -> usize {
        self.live(py).heap_bytes()
    }

    /// Serialise: versioned, with a checksum; the same bits on every machine.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.answers(py).digest().to_bytes())
    }

    /// Read what `to_bytes` wrote.
    #[staticmethod]
    #[pyo3(signature = (data, max_bytes=1600))]
    fn from_bytes(py: Python<'_>, data: &[u8], max_bytes: usize) -> PyResult<Self> {
        let digest = core::Digest::from_bytes(data);
        Self::new(py, digest.and_then(|digest| LiveDigest::of(digest, max_bytes)))
    }

    /// Copy; the copy and this one grow apart.
    fn copy(&self, py: Python<'_>) -> Self {
        Self { live: Mutex::new(self.live(py).clone()) }
    }

    /// Give DuckDB's state of `approx_quantile`.
    fn to_duckdb<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = duckdb::State::from(self.answers(py).digest());
        let centroids = PyList::empty(py);
        for (mean, weight) in state.means.iter().zip(&state.weights) {
            let centroid = PyDict::new(py);
            centroid.set_item("mean", mean)?;
            centroid.set_item("weight", weight)?;
            centroids.append(centroid)?;
        }
        let row = PyDict::new(py);
        row.set_item("count", state.count)?;
        row.set_item("min", state.min)?;
        row.set_item("max", state.max)?;
        row.set_item("centroids", centroids)?;
        Ok(row)
    }

    /// Read DuckDB's state of `approx_quantile`.
    #[staticmethod]
    #[pyo3(signature = (state, *, wide=false))]
    fn from_duckdb(py: Python<'_>, state: &Bound<'_, PyAny>, wide: bool) -> PyResult<Self> {
        let mut read = duckdb::State {
            count: state.get_item("count")?.extract()?,
            min: state.get_item("min")?.extract()?,
            max: state.get_item("max")?.extract()?,
            means: Vec::new(),
            weights: Vec::new(),
        };
        for centroid in state.get_item("centroids")?.try_iter()? {
            let centroid = centroid?;
            read.means.push(centroid.get_item("mean")?.extract()?);
            read.weights.push(centroid.get_item("weight")?.extract()?);
        }
        Self::read(py, read.digest(axis(wide)))
    }

    /// Give the bytes of Trino's `tdigest`.
    fn to_trino<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.write(py, &Trino)
    }

    /// Read the bytes of Trino's `tdigest`.
    #[staticmethod]
    #[pyo3(signature = (data, *, wide=false))]
    fn from_trino(py: Python<'_>, data: &[u8], wide: bool) -> PyResult<Self> {
        Self::read(py, Trino.read(axis(wide), data))
    }

    /// Give the bytes of Apache DataSketches' t-digest of doubles.
    fn to_datasketches<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.write(py, &DataSketches)
    }

    /// Read the bytes of Apache DataSketches' t-digest, of doubles or of floats.
    #[staticmethod]
    #[pyo3(signature = (data, *, wide=false))]
    fn from_datasketches(py: Python<'_>, data: &[u8], wide: bool) -> PyResult<Self> {
        Self::read(py, DataSketches.read(axis(wide), data))
    }

    /// Give the reference implementation's bytes, verbose.
    fn to_tdunning<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.write(py, &TDunning)
    }

    /// Read the reference implementation's bytes, verbose or small.
    #[staticmethod]
    #[pyo3(signature = (data, *, wide=false))]
    fn from_tdunning(py: Python<'_>, data: &[u8], wide: bool) -> PyResult<Self> {
        Self::read(py, TDunning.read(axis(wide), data))
    }

    /// Lay digests out as one Arrow column of DuckDB states, nulls where None stands.
    #[staticmethod]
    fn column(digests: &Bound<'_, PyAny>) -> PyResult<DigestColumn> {
        let py = digests.py();
        let answers = digests
            .try_iter()?
            .map(|digest| {
                let digest: Option<Bound<'_, Self>> = digest?.extract()?;
                Ok(digest.map(|digest| digest.get().answers(py)))
            })
            .collect::<PyResult<Vec<_>>>()?;
        let stored = answers.iter().map(|it| it.as_deref().map(Answers::digest));
        Ok(DigestColumn(duckdb::column(stored)))
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
        export(py, &duckdb::column([Some(self.answers(py).digest())]))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> bool {
        let other = other.cast::<Self>().map(|other| other.get().answers(py));
        other.is_ok_and(|other| self.answers(py).digest() == other.digest())
    }

    fn __copy__(&self, py: Python<'_>) -> Self {
        self.copy(py)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Pickle<'py>> {
        let read = py.get_type::<Self>().getattr("from_bytes")?;
        Ok((read, (self.to_bytes(py), self.max_bytes(py))))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let answers = self.answers(py);
        let digest = answers.digest();
        match (digest.min(), digest.max()) {
            (Some(min), Some(max)) => {
                format!("<spanmill.Digest of {} values from {min} to {max}>", digest.count())
            }
            _ => "<spanmill.Digest, empty>".to_owned(),
        }
    }
}
