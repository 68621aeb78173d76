//! What is told of dimensions too wide to be series: how many values there are, and which are most.
//!
//! A view names them (`distinct`, `top`). Beside each series' windows they keep a
//! bucket a minute: exact while there are few values, a sketch of bounded size beyond.

mod distinct;
mod edge;
mod series;
mod store;
mod top;

pub(crate) use distinct::DistinctUnion;
pub(crate) use edge::{COMPANIONS, Edge, Target, Totals, load as load_edge, save as save_edge};
pub(crate) use series::snap;
pub(crate) use store::{Companions, Rows};
pub(crate) use top::{Item, TopUnion};
