//! One request, decoded into columns. No lock is held and nothing shared changes but interned strings.

use hashbrown::HashTable;

use crate::budget::{Counts, Tally};
use crate::clock::SECOND_NS;
use crate::convention::{Flaw, Meaning, Reading, Signals, Vocabulary};
use crate::error::Result;
use crate::ledger::{Accounts, Rejection};
use crate::series::{IdentityCache, tuple_hash};
use crate::sli::Event;
use crate::value::{ValueCache, ValueId, Values};
use crate::view::{Grouping, Plan};
use crate::wide::Wide;
use crate::window::{ByShard, NOT_TAKEN};
use crate::wire::{
    Fault, LATE_SCOPE, Layout, ResourceSpans, Scope, ScopeSpans, Span, Spans, attributes,
    resource_spans, series_attributes, wire_error,
};

/// Series ids from here up stand for identities that this batch saw first.
pub(crate) const UNRESOLVED: u32 = 1 << 31;

/// Identities no one has seen before, waiting for the sequencing point.
///
/// Hashed: a request may bring a hundred thousand of them.
#[derive(Default)]
struct Unknown {
    tuples: Vec<Vec<ValueId>>,
    places: HashTable<u32>,
}

impl Unknown {
    fn clear(&mut self) {
        self.tuples.clear();
        self.places.clear();
    }

    fn place(&mut self, tuple: &[ValueId]) -> u32 {
        let tuples = &self.tuples;
        let hash = tuple_hash(tuple);
        if let Some(place) = self.places.find(hash, |place| tuples[*place as usize] == tuple) {
            return *place;
        }
        let place = tuples.len() as u32;
        let rehash = |place: &u32| tuple_hash(&tuples[*place as usize]);
        let _ = self.places.insert_unique(hash, place, rehash);
        self.tuples.push(tuple.to_vec());
        place
    }
}

/// Columns of one grouping: a view's or an objective's.
#[derive(Default)]
pub(crate) struct Groups {
    cache: IdentityCache,
    unknown: Unknown,
    /// Series that this batch's identities were the first of, with their serials.
    pub new: Vec<(u32, u64)>,
    /// Series of each event; only filled for views.
    pub series: Vec<u32>,
    /// Good and bad by group and second; only filled for objectives.
    pub tallies: Vec<Tally>,
    /// Place of each group's newest tally, where the group is known.
    latest: Vec<u32>,
    /// Places of all tallies.
    places: HashTable<u32>,
}

/// A decoded request and the scratch it took. Reused: its caches are what makes decoding cheap.
pub(crate) struct Batch {
    cache: ValueCache,
    /// Round of ids that the caches are of.
    pub epoch: u64,
    /// Unix nanoseconds.
    pub ends_ns: Vec<i64>,
    /// By slot, row-major, NaN where absent.
    pub measures: Vec<f64>,
    /// Account of each event.
    pub places: Vec<u32>,
    pub accounts: Accounts,
    /// Values that companions count.
    pub wide: Wide,
    /// One a grouping of the plan, views first.
    pub groups: Vec<Groups>,
    pub by_shard: ByShard,
    /// Newest event that is not future-dated, Unix nanoseconds.
    pub newest_ns: Option<i64>,
    /// Oldest event, Unix nanoseconds; `i64::MAX` before any.
    pub oldest_ns: i64,
    /// Every span has its ids, so no other request can be the same bytes.
    pub has_all_ids: bool,
    /// Of a batch that came as columns: each event's entry of its sender's dictionary.
    pub entries: Vec<u32>,
    /// Of such a batch: which events failed.
    pub failed: Vec<bool>,
    /// Where spans had their attributes last.
    layout: Layout<Meaning>,
    tuple: Vec<ValueId>,
}

/// How the spans of a scope are opened: in writers' order, or in any.
type OpenScope<'r> = fn(&ScopeSpans<'r>) -> std::result::Result<(Scope<'r>, Spans<'r>), Fault>;

/// What decoding needs to know beside the bytes.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub plan: &'a Plan,
    pub values: &'a Values,
    /// Events that end later than this are future-dated, Unix nanoseconds.
    pub latest_ns: i64,
}

impl Batch {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            cache: ValueCache::default(),
            epoch: 0,
            ends_ns: Vec::new(),
            measures: Vec::new(),
            places: Vec::new(),
            accounts: Accounts::default(),
            wide: Wide::default(),
            groups: plan.groupings().map(|_| Groups::default()).collect(),
            by_shard: ByShard::default(),
            newest_ns: None,
            oldest_ns: i64::MAX,
            has_all_ids: true,
            entries: Vec::new(),
            failed: Vec::new(),
            layout: Layout::default(),
            tuple: Vec::new(),
        }
    }

    /// Enter a round of ids: what was cached in another may mean something else by now.
    pub(crate) fn enter(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.cache.clear();
            self.groups.iter_mut().for_each(|groups| groups.cache.clear());
        }
    }

    /// Empty the columns; the caches stay.
    pub(crate) fn clear(&mut self) {
        self.ends_ns.clear();
        self.measures.clear();
        self.places.clear();
        self.accounts.clear();
        self.wide.clear();
        self.newest_ns = None;
        self.oldest_ns = i64::MAX;
        self.has_all_ids = true;
        self.entries.clear();
        self.failed.clear();
        for groups in &mut self.groups {
            groups.unknown.clear();
            groups.new.clear();
            groups.series.clear();
            groups.tallies.clear();
            groups.latest.clear();
            groups.places.clear();
        }
    }

    /// Read a whole request; on an error nothing of it is left.
    pub(crate) fn decode(&mut self, request: &[u8], context: Context<'_>) -> Result<()> {
        match self.walk(request, context, ScopeSpans::open) {
            Err((LATE_SCOPE, _)) => self.walk(request, context, ScopeSpans::open_in_any_order),
            outcome => outcome,
        }
        .map_err(|(fault, message)| wire_error(request, message, fault))
    }

    /// One pass; a fault comes with the message it lies in.
    fn walk<'r>(
        &mut self,
        request: &'r [u8],
        context: Context<'_>,
        open: OpenScope<'r>,
    ) -> std::result::Result<(), (Fault, &'r [u8])> {
        self.clear();
        let within = |message: &'r [u8]| move |fault| (fault, message);
        for resource in resource_spans(request) {
            let resource = resource.map_err(within(request))?;
            let in_resource = within(resource.message());
            let template = self.template(&resource, context).map_err(in_resource)?;
            for scope_spans in resource.scope_spans() {
                let (scope, spans) = scope_spans.and_then(|s| open(&s)).map_err(in_resource)?;
                let conventions = Vocabulary::conventions(&scope);
                for message in spans {
                    let message = message.map_err(in_resource)?;
                    self.decode_span(message, &template, context, conventions)
                        .map_err(within(message))?;
                }
            }
        }
        Ok(())
    }

    /// Signals of a series, and what companions count of it: those of each of its events.
    pub(crate) fn read_series(
        &mut self,
        series: &[u8],
        context: Context<'_>,
    ) -> std::result::Result<Signals, Fault> {
        let mut signals = Signals::default();
        if let Some(plan) = &context.plan.wide {
            self.wide.open_resource(plan);
        }
        let mut reading = Reading {
            signals: &mut signals,
            cache: &mut self.cache,
            values: context.values,
            wide: &mut self.wide,
            wide_plan: context.plan.wide.as_ref(),
            conventions: Vocabulary::conventions(&Scope::default()),
            on_resource: true,
        };
        let vocabulary = &context.plan.vocabulary;
        series_attributes(series, |on_resource, key, value| {
            reading.on_resource = on_resource;
            vocabulary.observe(vocabulary.look_up(key), value, &mut reading);
        })?;
        Ok(signals)
    }

    /// Signals that a resource gives to each of its spans.
    fn template(
        &mut self,
        resource: &ResourceSpans<'_>,
        context: Context<'_>,
    ) -> std::result::Result<Signals, Fault> {
        let mut template = Signals::default();
        if let Some(plan) = &context.plan.wide {
            self.wide.open_resource(plan);
        }
        let mut reading = Reading {
            signals: &mut template,
            cache: &mut self.cache,
            values: context.values,
            wide: &mut self.wide,
            wide_plan: context.plan.wide.as_ref(),
            conventions: u32::MAX,
            on_resource: true,
        };
        for message in resource.resources() {
            attributes(message?, |key, value| {
                let vocabulary = &context.plan.vocabulary;
                vocabulary.observe(vocabulary.look_up(key), value, &mut reading);
            })?;
        }
        if context.plan.wide.is_some() {
            self.wide.close_resource();
        }
        Ok(template)
    }

    #[inline]
    fn decode_span(
        &mut self,
        message: &[u8],
        template: &Signals,
        context: Context<'_>,
        conventions: u32,
    ) -> std::result::Result<(), Fault> {
        let mut signals = template.clone();
        if context.plan.wide.is_some() {
            self.wide.open_span();
        }
        let vocabulary = &context.plan.vocabulary;
        let mut reading = Reading {
            signals: &mut signals,
            cache: &mut self.cache,
            values: context.values,
            wide: &mut self.wide,
            wide_plan: context.plan.wide.as_ref(),
            conventions,
            on_resource: false,
        };
        let span = Span::read(
            message,
            &mut self.layout,
            |key| vocabulary.look_up(key),
            |meaning, value| vocabulary.observe(meaning, value, &mut reading),
        )?;
        self.take(&span, &mut signals, context);
        Ok(())
    }

    /// Account for one span and, unless it is refused, add it to the columns.
    fn take(&mut self, span: &Span<'_>, signals: &mut Signals, context: Context<'_>) {
        let plan = context.plan;
        let source = signals.dimensions[plan.source];
        let place = self.accounts.place(source, signals.dimensions[plan.tenant]);
        self.accounts.at(place).received += 1;
        self.has_all_ids &= !span.trace_id.is_empty() && !span.span_id.is_empty();
        let ends_ns = match check(span, signals, plan, context.latest_ns) {
            Ok(ends_ns) => ends_ns,
            Err(reason) => {
                self.accounts.at(place).rejected[reason as usize] += 1;
                return;
            }
        };
        self.newest_ns = self.newest_ns.max(Some(ends_ns));
        self.oldest_ns = self.oldest_ns.min(ends_ns);
        if plan.wide.is_some() {
            self.wide.keep_span();
        }
        self.ends_ns.push(ends_ns);
        self.places.push(place);
        let measures = &signals.measures[..plan.slots.measures.len()];
        self.measures.extend_from_slice(measures);
        let dimensions = &signals.dimensions[..plan.slots.dimensions.len()];
        let (views, objectives) = self.groups.split_at_mut(plan.views.len());
        for (groups, view) in views.iter_mut().zip(&plan.views) {
            let series = groups.place(&view.grouping, dimensions, &mut self.tuple);
            groups.series.push(series.unwrap_or(NOT_TAKEN));
        }
        let event = Event { measures, error: signals.error || span.is_error() };
        for (groups, grouped) in objectives.iter_mut().zip(&plan.objectives) {
            if !grouped.grouping.takes(dimensions) {
                continue;
            }
            if let Some(good) = grouped.objective.sli.judge(&event)
                && let Some(group) = groups.place(&grouped.grouping, dimensions, &mut self.tuple)
            {
                groups.tally(group, ends_ns.div_euclid(SECOND_NS), good);
            }
        }
    }
}

/// Replace identities a batch saw first by their series. Runs at the sequencing point.
pub(crate) fn resolve(groups: &mut [Groups], plan: &Plan) {
    for (groups, grouping) in groups.iter_mut().zip(plan.groupings()) {
        groups.resolve(grouping);
    }
}

impl Groups {
    /// Identities that wait for [`resolve`].
    pub(crate) fn unresolved(&self) -> &[Vec<ValueId>] {
        &self.unknown.tuples
    }

    /// Series of an event, a stand-in where its identity is new, `None` where it is not taken.
    #[inline]
    pub(crate) fn place(
        &mut self,
        grouping: &Grouping,
        dimensions: &[ValueId],
        tuple: &mut Vec<ValueId>,
    ) -> Option<u32> {
        if !grouping.takes(dimensions) {
            return None;
        }
        let tuple = match *grouping.slots {
            [slot] => std::slice::from_ref(&dimensions[slot]),
            ref slots => {
                tuple.clear();
                tuple.extend(slots.iter().map(|slot| dimensions[*slot]));
                tuple.as_slice()
            }
        };
        Some(self.cache.find(tuple).unwrap_or_else(|| self.meet(grouping, tuple)))
    }

    /// A tuple that this batch's cache does not know: another batch may have, else it waits.
    #[cold]
    fn meet(&mut self, grouping: &Grouping, tuple: &[ValueId]) -> u32 {
        // Should the identity be let go meanwhile, the batch is decoded again.
        let known = grouping.identities.read().find(tuple);
        match known {
            Some(series) => {
                self.cache.learn(tuple, series);
                series
            }
            None => UNRESOLVED + self.unknown.place(tuple),
        }
    }

    #[inline]
    fn tally(&mut self, group: u32, second: i64, good: bool) {
        let counts = Counts { good: u64::from(good), bad: u64::from(!good) };
        self.tally_many(group, second, counts);
    }

    /// Count events of one group and second.
    #[inline]
    pub(crate) fn tally_many(&mut self, group: u32, second: i64, counts: Counts) {
        // Event times of a batch mostly rise, so a group's newest tally is the one.
        let latest = self.latest.get(group as usize).copied().unwrap_or(u32::MAX);
        match self.tallies.get_mut(latest as usize) {
            Some(tally) if tally.second == second => tally.counts.add(counts),
            _ => self.tally_elsewhere(Tally { group, second, counts }),
        }
    }

    fn tally_elsewhere(&mut self, tally: Tally) {
        let tallies = &mut self.tallies;
        let hash = tally_hash(&tally);
        let same = |place: &u32| {
            let known = &tallies[*place as usize];
            (known.second, known.group) == (tally.second, tally.group)
        };
        let place = match self.places.find(hash, same) {
            Some(place) => {
                tallies[*place as usize].counts.add(tally.counts);
                *place
            }
            None => {
                tallies.push(tally);
                let place = tallies.len() as u32 - 1;
                let rehash = |place: &u32| tally_hash(&tallies[*place as usize]);
                let _ = self.places.insert_unique(hash, place, rehash);
                place
            }
        };
        // Stand-ins of new identities lie beyond any table.
        if tally.group < UNRESOLVED {
            let places = self.latest.len().max(tally.group as usize + 1);
            self.latest.resize(places, u32::MAX);
            self.latest[tally.group as usize] = place;
        }
    }

    fn resolve(&mut self, grouping: &Grouping) {
        if self.unknown.tuples.is_empty() {
            return;
        }
        let mut identities = grouping.identities.write();
        let (cache, new) = (&mut self.cache, &mut self.new);
        let resolve = |tuple: &Vec<ValueId>| {
            let serial = identities.next_serial();
            let series = identities.resolve(tuple);
            if identities.next_serial() > serial {
                new.push((series, serial));
            }
            cache.learn(tuple, series);
            series
        };
        let found: Vec<u32> = self.unknown.tuples.iter().map(resolve).collect();
        let resolved = |series: u32| {
            if series == NOT_TAKEN || series < UNRESOLVED {
                series
            } else {
                found[(series - UNRESOLVED) as usize]
            }
        };
        self.series.iter_mut().for_each(|series| *series = resolved(*series));
        self.tallies.iter_mut().for_each(|tally| tally.group = resolved(tally.group));
    }
}

fn tally_hash(tally: &Tally) -> u64 {
    tuple_hash(&[tally.group, tally.second as u32])
}

/// Event time of a span, or why it is refused for good. Fills what derives from other signals.
fn check(
    span: &Span<'_>,
    signals: &mut Signals,
    plan: &Plan,
    latest_ns: i64,
) -> std::result::Result<i64, Rejection> {
    if !id_is_sound(span.trace_id, 16) || !id_is_sound(span.span_id, 8) {
        return Err(Rejection::BadId);
    }
    let ends_ns = event_time(span.start_ns, span.end_ns, latest_ns)?;
    derive(span, signals, plan);
    signals.flaw().map_or(Ok(ends_ns), |flaw| Err(refusal(flaw)))
}

/// When an event counts, Unix nanoseconds, or why its times are refused.
#[inline]
pub(crate) fn event_time(
    start_ns: u64,
    end_ns: u64,
    latest_ns: i64,
) -> std::result::Result<i64, Rejection> {
    if start_ns == 0 || end_ns == 0 {
        return Err(Rejection::NoTime);
    }
    if end_ns < start_ns {
        return Err(Rejection::EndBeforeStart);
    }
    let ends_ns = i64::try_from(end_ns).ok().filter(|end| *end <= latest_ns);
    ends_ns.ok_or(Rejection::Future)
}

/// What an event with such a measure is refused for.
pub(crate) fn refusal(flaw: Flaw) -> Rejection {
    match flaw {
        Flaw::NotFinite => Rejection::NotFinite,
        Flaw::Negative => Rejection::Negative,
        Flaw::OutOfRange => Rejection::OutOfRange,
    }
}

/// A duration by the sender's clock, seconds.
#[inline]
pub(crate) fn seconds(duration_ns: u64) -> f64 {
    duration_ns as f64 / SECOND_NS as f64
}

/// An id that is missing harms nothing; one that is no id comes from a sender that is broken.
#[inline]
fn id_is_sound(id: &[u8], length: usize) -> bool {
    id.is_empty() || (id.len() == length && id.iter().any(|byte| *byte != 0))
}

/// Duration from the span's own clock; time per output token with n - 1 gaps.
fn derive(span: &Span<'_>, signals: &mut Signals, plan: &Plan) {
    let slots = plan.derived;
    let lasted = seconds(span.end_ns - span.start_ns);
    signals.fill(slots.duration, |_| Some(lasted));
    signals.fill(slots.tpot, |signals| {
        let measure = |slot| signals.measure(slot).unwrap_or(f64::NAN);
        tpot(measure(slots.duration), measure(slots.ttft), measure(slots.output_tokens))
    });
}

/// Time per output token as it follows from other measures, NaN where those are absent.
///
/// Journal records leave out what follows: another formula is another layout of theirs.
#[inline]
pub(crate) fn tpot(duration: f64, ttft: f64, output_tokens: f64) -> Option<f64> {
    let decode = duration - ttft;
    // A first token after the end is two clocks in disagreement, not a speed.
    (output_tokens >= 2.0 && decode >= 0.0).then(|| decode / (output_tokens - 1.0))
}
