//! A question understood: its names, resolved against one view.

use serde::de::DeserializeOwned;

use crate::config::{dimension, measure};
use crate::error::{Error, Result};
use crate::signal::{Dimension, Measure, known};
use crate::state::State;
use crate::value::ValueId;
use crate::view::View;

/// Accepted values by dimension, as asked.
pub(super) type Conditions = Vec<(String, Vec<String>)>;

/// Read a request's JSON; our own side writes it, so a fault in it is told as it is.
pub(super) fn parse<T: DeserializeOwned>(request: &str) -> Result<T> {
    serde_json::from_str(request).map_err(|error| Error::Request(error.to_string()))
}

/// Which events a question is about, as it was asked.
pub(super) struct Subject<'a> {
    pub measure: &'a str,
    pub by: &'a [String],
    pub conditions: &'a [(String, Vec<String>)],
    pub view: Option<&'a str>,
}

/// Which events a question is about, against one view.
pub(super) struct Asked<'a> {
    pub view: &'a View,
    pub measure: Measure,
    /// Place of the measure among the view's.
    pub place: usize,
    /// Places among the view's dimensions.
    pub by: Vec<usize>,
    /// Place and accepted values; no values where none was ever seen.
    pub conditions: Vec<(usize, Vec<ValueId>)>,
}

impl Asked<'_> {
    /// Name of the dimension at a place of [`Asked::by`].
    pub(super) fn name(&self, at: usize) -> &'static str {
        self.view.grouping.dimensions[at].info().name
    }
}

/// Resolve every name, or say which exist.
pub(super) fn understand<'a>(state: &'a State, subject: &Subject<'_>) -> Result<Asked<'a>> {
    let wanted = measure(subject.measure)?;
    let by: Vec<Dimension> =
        subject.by.iter().map(|name| dimension(name)).collect::<Result<_>>()?;
    let filtered: Vec<Dimension> =
        subject.conditions.iter().map(|(name, _)| dimension(name)).collect::<Result<_>>()?;
    let dimensions: Vec<Dimension> = by.iter().chain(&filtered).copied().collect();
    let view = choose_view(state, subject.view, wanted, &dimensions)?;
    let place = |d: &Dimension| view.grouping.dimensions.iter().position(|mine| mine == d);
    let conditions = subject.conditions.iter().zip(&filtered).map(|((_, accepted), d)| {
        let ids = accepted.iter().filter_map(|text| state.values.find(*d, text)).collect();
        place(d).map(|place| (place, ids))
    });
    Ok(Asked {
        view,
        measure: wanted,
        place: view.measures.iter().position(|m| *m == wanted).unwrap_or_default(),
        by: by.iter().filter_map(place).collect(),
        conditions: conditions.flatten().collect(),
    })
}

/// The first view, or the named one, with the measure and every dimension asked for.
fn choose_view<'a>(
    state: &'a State,
    name: Option<&str>,
    measure: Measure,
    dimensions: &[Dimension],
) -> Result<&'a View> {
    let views = &state.plan.views;
    if let Some(name) = name
        && !views.iter().any(|view| view.name == name)
    {
        let known = known(views.iter().map(|view| &*view.name));
        return Err(Error::Unknown { what: "view", name: name.to_owned(), known });
    }
    let has = |view: &&View| {
        view.measures.contains(&measure)
            && dimensions.iter().all(|d| view.grouping.dimensions.contains(d))
    };
    let candidates = || views.iter().filter(|view| name.is_none_or(|name| name == view.name));
    candidates().find(has).ok_or_else(|| {
        let offers: Vec<String> = candidates().map(offer).collect();
        let wanted = known(dimensions.iter().map(|d| d.info().name));
        Error::Request(format!(
            "no view has measure {} by ({wanted}); there are: {}",
            measure.info().name,
            offers.join("; ")
        ))
    })
}

fn offer(view: &View) -> String {
    let measures = known(view.measures.iter().map(|m| m.info().name));
    let dimensions = known(view.grouping.dimensions.iter().map(|d| d.info().name));
    format!("{} with {measures} by {dimensions}", view.name)
}

/// Ranks to read, each once, and how an answer names them.
pub(super) struct Ranks {
    pub values: Vec<f64>,
    pub labels: Vec<String>,
}

impl Ranks {
    /// Check what was asked; a rank that is repeated would be a key twice in JSON.
    pub(super) fn new(asked: &[f64]) -> Result<Self> {
        let mut values: Vec<f64> = Vec::with_capacity(asked.len());
        for &q in asked {
            if !(0.0..=1.0).contains(&q) {
                return Err(Error::Request(format!("q = {q} is not a rank between 0 and 1")));
            }
            if !values.contains(&q) {
                values.push(q);
            }
        }
        let labels = values.iter().map(f64::to_string).collect();
        Ok(Self { values, labels })
    }
}
