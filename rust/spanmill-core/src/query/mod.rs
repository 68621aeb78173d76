//! Questions: percentiles over a window or in steps, pictures, comparisons, and what exists.
//!
//! Each kind of question is a file. They share how one is understood ([`ask`],
//! [`when`]), how its parts are gathered ([`gather`]) and how an answer is written
//! ([`answer`]): straight to bytes, so that a large one costs no tree of values.

mod answer;
mod ask;
mod companion;
mod compare;
mod edges;
mod gather;
mod heatmap;
mod interval;
mod limits;
mod list;
mod percentiles;
mod range;
mod when;

pub(crate) use companion::{distinct, top};
pub(crate) use compare::compare;
pub(crate) use heatmap::heatmap;
pub(crate) use list::{measures, series, signals, slos, stats};
pub(crate) use percentiles::query;
pub(crate) use range::query_range;
