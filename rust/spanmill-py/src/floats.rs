//! float64 values in and out: any array-like, NumPy's without a copy.

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyByteArray, PyFloat};

/// The float64 values of what Python handed over.
pub(crate) enum Floats {
    /// A number, which most calls bring.
    One([f64; 1]),
    /// Memory that its owner keeps in place until this is dropped.
    Many(PyBuffer<f64>),
}

impl Floats {
    /// Borrow contiguous float64 from anything with the buffer protocol; let NumPy convert the
    /// rest, as far as nothing but precision is lost: text and complex numbers are a `TypeError`.
    pub(crate) fn of(values: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(one) = values.cast::<PyFloat>() {
            return Ok(Self::One([one.value()]));
        }
        let borrowed = PyBuffer::get(values).ok();
        // The format as well: PyO3 takes float64 of the other byte order for its own.
        if let Some(buffer) = borrowed.filter(|it| it.is_c_contiguous() && it.format() == c"d") {
            return Ok(Self::Many(buffer));
        }
        static ASARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = values.py();
        let array = ASARRAY.import(py, "numpy", "asarray")?.call1((values,))?;
        let how = [("casting", "same_kind"), ("order", "C")].into_py_dict(py)?;
        let converted = array.call_method("astype", ("float64",), Some(&how))?;
        // NumPy gives no shape with a scalar's buffer, and PyO3 wants one.
        match converted.getattr("ndim")?.extract()? {
            0 => Ok(Self::One([converted.call_method0("item")?.extract()?])),
            _ => PyBuffer::get(&converted).map(Self::Many),
        }
    }

    /// Whether it was one number rather than a sequence.
    pub(crate) fn is_scalar(&self) -> bool {
        matches!(self, Self::One(_))
    }

    /// The values, in the order of a C array.
    pub(crate) fn values(&self) -> &[f64] {
        match self {
            Self::One(one) => one,
            Self::Many(buffer) if buffer.item_count() == 0 => &[],
            // SAFETY: the buffer is float64 and C-contiguous (`of` checked), aligned and as long
            // as it says (PyO3 checks the item's size and alignment), and held while `self` is.
            // A thread that writes to the array meanwhile gives torn data, as with NumPy itself,
            // whose functions release the interpreter in the same way.
            #[expect(unsafe_code, reason = "read while detached, which PyO3's cells are not")]
            Self::Many(buffer) => unsafe {
                std::slice::from_raw_parts(buffer.buf_ptr().cast(), buffer.item_count())
            },
        }
    }
}

static FROMBUFFER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A float64 array that owns its memory. Without naming the type, which NumPy would look up.
pub(crate) fn float_array<'py>(py: Python<'py>, values: &[f64]) -> PyResult<Bound<'py, PyAny>> {
    let words: Vec<[u8; 8]> = values.iter().map(|value| value.to_ne_bytes()).collect();
    FROMBUFFER.import(py, "numpy", "frombuffer")?.call1((memory(py, &words),))
}

/// A uint64 array that owns its memory.
pub(crate) fn count_array<'py>(py: Python<'py>, counts: &[u64]) -> PyResult<Bound<'py, PyAny>> {
    let words: Vec<[u8; 8]> = counts.iter().map(|count| count.to_ne_bytes()).collect();
    FROMBUFFER.import(py, "numpy", "frombuffer")?.call1((memory(py, &words), "uint64"))
}

fn memory<'py>(py: Python<'py>, words: &[[u8; 8]]) -> Bound<'py, PyByteArray> {
    PyByteArray::new(py, words.as_flattened())
}
