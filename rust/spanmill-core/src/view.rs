//! Views and objectives, compiled once into what a batch needs: slots, filters, groupings.

use std::collections::BTreeSet;

use parking_lot::{Mutex, RwLock};
use xxhash_rust::xxh3::Xxh3;

use crate::budget::{HORIZON_S, Objective};
use crate::codec::{Read, Reader, Writer};
use crate::companion::Companions;
use crate::config::{
    Condition, Config, ObjectiveConfig, ViewConfig, dimension, measure, shown_dimension,
};
use crate::convention::{Slots, Vocabulary};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::overflow::{Collapsed, Events, Overflow};
use crate::secret::Secret;
use crate::series::{Bounds, Identities, Past, Promised};
use crate::signal::{Dimension, Measure};
use crate::sli;
use crate::value::{ValueId, Values};
use crate::wide::{Column, WidePlan};
use crate::window::{Use, WindowStore};

/// Which events, and how they are told apart: the half that views and objectives share.
pub(crate) struct Grouping {
    /// Slot and accepted values of each condition; all must hold.
    conditions: Vec<(usize, Vec<ValueId>)>,
    pub dimensions: Vec<Dimension>,
    /// Slot of each dimension.
    pub slots: Vec<usize>,
    pub identities: RwLock<Identities>,
}

impl Grouping {
    fn new(
        conditions: &[Condition],
        dimensions: Vec<Dimension>,
        bounds: Bounds,
        slots: &Slots,
        values: &Values,
    ) -> Result<Self> {
        let compiled = conditions.iter().map(|(name, accepted)| {
            let dimension = shown_dimension(name)?;
            let ids = accepted.iter().map(|text| named_value(values, dimension, text));
            Ok((slot_of(slots, dimension), ids.collect::<Result<_>>()?))
        });
        let conditions = compiled.collect::<Result<_>>()?;
        let places = dimensions.iter().map(|d| slot_of(slots, *d)).collect();
        let identities = RwLock::new(Identities::new(dimensions.len(), bounds));
        Ok(Self { conditions, dimensions, slots: places, identities })
    }

    /// Values that the configuration names here.
    pub(crate) fn named_values(&self) -> impl Iterator<Item = ValueId> {
        self.conditions.iter().flat_map(|(_, accepted)| accepted).copied()
    }

    /// Write the identities down, a part at a time: nobody waits for all of them.
    pub(crate) fn save_identities(&self, out: &mut Writer) {
        let mut next = Some(0);
        while let Some(first) = next {
            next = self.identities.read().save_some(first, out);
        }
    }

    /// Put identities back that [`Grouping::save_identities`] wrote; their values are below `ids`.
    pub(crate) fn load_identities(&self, reader: &mut Reader<'_>, ids: ValueId) -> Read<()> {
        let loaded = self.identities.read().load(reader, ids)?;
        *self.identities.write() = loaded;
        Ok(())
    }

    /// Whether an event with these dimension values, by slot, belongs here.
    #[inline]
    pub(crate) fn takes(&self, dimensions: &[ValueId]) -> bool {
        let holds =
            |(slot, accepted): &(usize, Vec<ValueId>)| accepted.contains(&dimensions[*slot]);
        self.conditions.is_empty() || self.conditions.iter().all(holds)
    }
}

/// Accepted values by place among a view's dimensions; all must hold.
type Places = Vec<(usize, Vec<ValueId>)>;

/// One view.
pub(crate) struct View {
    pub name: String,
    /// Which events it takes, as configured.
    pub conditions: Vec<Condition>,
    pub grouping: Grouping,
    pub measures: Vec<Measure>,
    /// Places and accepted values of each objective that may use its series.
    objectives: Vec<Places>,
    pub windows: WindowStore,
    /// Dimensions that [`View::companions`] counts, and those that it ranks.
    pub distinct: Vec<Dimension>,
    pub top: Vec<Dimension>,
    /// There are some where the view has either.
    pub companions: Option<Companions>,
    pub overflow: Mutex<Overflow>,
    /// Series whose windows fell silent and that are not retired yet.
    pub silent: Mutex<Vec<u32>>,
}

/// One objective with the grouping of its events.
pub(crate) struct GroupedObjective {
    pub grouping: Grouping,
    pub objective: Objective,
}

/// Everything compiled from the configuration.
pub(crate) struct Plan {
    pub slots: Slots,
    pub vocabulary: Vocabulary,
    pub views: Vec<View>,
    pub objectives: Vec<GroupedObjective>,
    /// There is one where some view has companions.
    pub wide: Option<WidePlan>,
    /// Slots that every batch needs.
    pub source: usize,
    pub tenant: usize,
    /// Slots of what is derived, looked up once instead of for every span.
    pub derived: DerivedSlots,
}

/// Slots of the measures that derive from others, and of those they derive from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DerivedSlots {
    pub duration: Option<usize>,
    pub ttft: Option<usize>,
    pub tpot: Option<usize>,
    pub output_tokens: Option<usize>,
}

fn slot_of(slots: &Slots, dimension: Dimension) -> usize {
    slots.dimension(dimension).expect("every configured dimension was given a slot")
}

fn place_of(slots: &Slots, measure: Measure) -> usize {
    slots.measure(measure).expect("every configured measure was given a slot")
}

fn dimensions(names: &[String]) -> Result<Vec<Dimension>> {
    names.iter().map(|name| shown_dimension(name)).collect()
}

/// Id of a value that a condition names. One that no event can have would silently match none.
fn named_value(values: &Values, dimension: Dimension, text: &str) -> Result<ValueId> {
    if values.fits(text.as_bytes()) {
        return Ok(values.intern_named(dimension, text));
    }
    Err(Error::Config(format!(
        "where: a value of {} has {} B, over limits.dimension_bytes; shorten it, or raise the limit",
        dimension.info().name,
        text.len()
    )))
}

/// Values of a dimension that some objective looks at: the last to give way at a limit.
///
/// Of a dimension in a `where` only the values named there: what floods beside them
/// is nobody's promise, and the first to go.
fn promised(config: &Config, wanted: Dimension, values: &Values) -> Result<Promised> {
    let mut named = Vec::new();
    for objective in &config.objectives {
        if dimensions(&objective.group_by)?.contains(&wanted) {
            return Ok(Promised::All);
        }
        for (name, accepted) in &objective.conditions {
            if shown_dimension(name)? == wanted {
                for text in accepted {
                    named.push(named_value(values, wanted, text)?);
                }
            }
        }
    }
    Ok(Promised::Values(named))
}

/// Every dimension that some companion counts or ranks, each once.
fn columns(config: &Config) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = Vec::new();
    let mut add = |dimension: Dimension, keeps_text: bool| match columns
        .iter_mut()
        .find(|column| column.dimension == dimension)
    {
        Some(known) => known.keeps_text |= keeps_text,
        None => columns.push(Column { dimension, keeps_text }),
    };
    for view in &config.views {
        for name in &view.distinct {
            add(dimension(name)?, false);
        }
        for dimension in dimensions(&view.top)? {
            add(dimension, true);
        }
    }
    Ok(columns)
}

/// Slots for every signal that some view or objective names, and for what those derive from.
fn needed(config: &Config) -> Result<Slots> {
    let mut wanted = BTreeSet::from([Dimension::Service, Dimension::Tenant]);
    let mut numbers = BTreeSet::new();
    for view in &config.views {
        wanted.extend(dimensions(&view.dimensions)?);
        for name in &view.measures {
            let _ = numbers.insert(measure(name)?);
        }
    }
    for objective in &config.objectives {
        wanted.extend(dimensions(&objective.group_by)?);
        numbers.extend(sli::measures(&objective.sli)?);
    }
    let views = config.views.iter().flat_map(|view| &view.conditions);
    let objectives = config.objectives.iter().flat_map(|objective| &objective.conditions);
    for (name, _) in views.chain(objectives) {
        let _ = wanted.insert(dimension(name)?);
    }
    if numbers.contains(&Measure::Tpot) {
        numbers.extend([Measure::Duration, Measure::Ttft, Measure::OutputTokens]);
    }
    Ok(Slots {
        measures: numbers.into_iter().collect(),
        dimensions: wanted.into_iter().collect(),
        wide: columns(config)?.iter().map(|column| column.dimension).collect(),
    })
}

impl Plan {
    /// Compile a configuration. `disk` has the key of texts that are kept as hashes only.
    pub(crate) fn new(config: &Config, values: &Values, disk: &dyn Disk) -> Result<Self> {
        let slots = needed(config)?;
        let views = config
            .views
            .iter()
            .map(|view| View::new(view, config, &slots, values))
            .collect::<Result<_>>()?;
        let columns = columns(config)?;
        let wide = match columns.is_empty() {
            true => None,
            false => Some(WidePlan {
                columns,
                secret: Secret::of_folder(disk, &config.data_dir)?,
                text_bytes_max: config.limits.dimension_bytes,
            }),
        };
        let objectives = config
            .objectives
            .iter()
            .map(|objective| GroupedObjective::new(objective, config.limits.groups, &slots, values))
            .collect::<Result<_>>()?;
        Ok(Self {
            vocabulary: Vocabulary::new(&slots),
            views,
            objectives,
            wide,
            source: slot_of(&slots, Dimension::Service),
            tenant: slot_of(&slots, Dimension::Tenant),
            derived: DerivedSlots {
                duration: slots.measure(Measure::Duration),
                ttft: slots.measure(Measure::Ttft),
                tpot: slots.measure(Measure::Tpot),
                output_tokens: slots.measure(Measure::OutputTokens),
            },
            slots,
        })
    }

    /// Groupings of the views, then those of the objectives.
    pub(crate) fn groupings(&self) -> impl Iterator<Item = &Grouping> {
        let views = self.views.iter().map(|view| &view.grouping);
        views.chain(self.objectives.iter().map(|objective| &objective.grouping))
    }
}

impl View {
    fn new(config: &ViewConfig, whole: &Config, slots: &Slots, values: &Values) -> Result<Self> {
        if config.measures.is_empty() {
            return Err(Error::Config(format!("view {:?} has no measures", config.name)));
        }
        let measures: Vec<Measure> =
            config.measures.iter().map(|name| measure(name)).collect::<Result<_>>()?;
        let places = measures.iter().map(|m| place_of(slots, *m)).collect();
        let cut = dimensions(&config.dimensions)?;
        let tenant = cut.iter().position(|dimension| *dimension == Dimension::Tenant);
        let past = Past::Collapse {
            promised: cut
                .iter()
                .map(|dimension| promised(whole, *dimension, values))
                .collect::<Result<_>>()?,
            tenant: tenant.map(|position| (position, whole.limits.tenant_series)),
        };
        let bounds = Bounds { limit: whole.limits.series, past };
        let distinct: Vec<Dimension> =
            config.distinct.iter().map(|name| dimension(name)).collect::<Result<_>>()?;
        let top = dimensions(&config.top)?;
        let mut objectives = Vec::new();
        for objective in &whole.objectives {
            objectives.extend(used_by(objective, &cut, &measures, values)?);
        }
        Ok(Self {
            name: config.name.clone(),
            conditions: config.conditions.clone(),
            grouping: Grouping::new(&config.conditions, cut, bounds, slots, values)?,
            measures,
            objectives,
            windows: WindowStore::new(places, slots.measures.len()),
            companions: companions(&distinct, &top, slots, whole.limits.companion_bytes),
            distinct,
            top,
            overflow: Mutex::new(Overflow::new(whole.limits.sources)),
            silent: Mutex::default(),
        })
    }

    /// What the windows of an identity are kept for.
    ///
    /// An objective uses a series if the view has all that the objective measures (any
    /// measure will do for one that counts errors) and the series' values satisfy its
    /// whole `where`.
    pub(crate) fn used(&self, tuple: &[ValueId]) -> Use {
        let holds = |(place, ids): &(usize, Vec<ValueId>)| ids.contains(&tuple[*place]);
        let uses = |conditions: &Places| conditions.iter().all(holds);
        if self.objectives.iter().any(uses) { Use::Objective } else { Use::Recent }
    }

    /// An identity's id: the same in every file, process and run.
    pub(crate) fn stable_id(&self, tuple: &[ValueId], values: &Values) -> i64 {
        let mut named: Vec<(Dimension, ValueId)> =
            self.grouping.dimensions.iter().copied().zip(tuple.iter().copied()).collect();
        named.sort_unstable();
        let mut hasher = Xxh3::new();
        hasher.update(self.name.as_bytes());
        for (dimension, id) in named {
            if let Some(text) = values.text(id) {
                hasher.update(&[0]);
                hasher.update(dimension.info().name.as_bytes());
                hasher.update(&[1]);
                hasher.update(text.as_bytes());
            }
        }
        hasher.digest().cast_signed()
    }

    /// Say anew which series have fallen silent, once everything of them was put back.
    pub(crate) fn list_silent(&self) {
        let identities = self.grouping.identities.read();
        self.windows.list_silent(identities.live().map(|(series, _)| series));
    }

    /// Position of the tenant among the dimensions.
    pub(crate) fn tenant(&self) -> Option<usize> {
        self.grouping.dimensions.iter().position(|dimension| *dimension == Dimension::Tenant)
    }

    /// Events whose series gave a value up, by dimension and by tenant, since the start.
    pub(crate) fn overflown(&self) -> Events {
        let identities = self.grouping.identities.read();
        let tenant = self.tenant();
        let live = identities.collapsed().iter().map(|&series| {
            let tuple = identities.tuple(series);
            let events = self.windows.events(series);
            Collapsed { tuple, tenant: tenant.map(|position| tuple[position]), events }
        });
        self.overflow.lock().events(live)
    }
}

/// Which of a view's series an objective uses: places and accepted values, all of which must hold.
///
/// `None` where it uses none: the view lacks what the objective measures, or a
/// dimension of its `where`, so that no series is the objective's alone.
fn used_by(
    objective: &ObjectiveConfig,
    dimensions: &[Dimension],
    measures: &[Measure],
    values: &Values,
) -> Result<Option<Places>> {
    if !sli::measures(&objective.sli)?.iter().all(|needed| measures.contains(needed)) {
        return Ok(None);
    }
    let mut conditions = Vec::new();
    for (name, accepted) in &objective.conditions {
        let wanted = dimension(name)?;
        let Some(place) = dimensions.iter().position(|mine| *mine == wanted) else {
            return Ok(None);
        };
        let ids =
            accepted.iter().map(|text| named_value(values, wanted, text)).collect::<Result<_>>()?;
        conditions.push((place, ids));
    }
    Ok(Some(conditions))
}

fn companions(
    distinct: &[Dimension],
    top: &[Dimension],
    slots: &Slots,
    bytes_max: usize,
) -> Option<Companions> {
    if distinct.is_empty() && top.is_empty() {
        return None;
    }
    let columns = |dimensions: &[Dimension]| {
        let column = |d: &Dimension| slots.wide.iter().position(|wide| wide == d);
        dimensions.iter().filter_map(column).collect()
    };
    Some(Companions::new(columns(distinct), columns(top), slots.wide.len(), bytes_max))
}

impl GroupedObjective {
    fn new(config: &ObjectiveConfig, limit: usize, slots: &Slots, values: &Values) -> Result<Self> {
        if !(config.objective > 0.0 && config.objective < 1.0) {
            return Err(Error::Config(format!(
                "objective {:?}: {} is not between 0 and 1",
                config.name, config.objective
            )));
        }
        if config.period_s == 0 || config.period_s > HORIZON_S.cast_unsigned() {
            return Err(Error::Config(format!(
                "objective {:?}: period of {} s is not within the counters' {HORIZON_S} s",
                config.name, config.period_s
            )));
        }
        let group_by = dimensions(&config.group_by)?;
        let bounds = Bounds { limit, past: Past::ShareOne };
        let sli = sli::build(&config.sli, &|measure| place_of(slots, measure))?;
        Ok(Self {
            grouping: Grouping::new(&config.conditions, group_by, bounds, slots, values)?,
            objective: Objective::new(config.clone(), sli),
        })
    }
}
