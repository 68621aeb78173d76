//! Senders that lose answers and send again, and what each of them may expect to be counted.

use spanmill_core::error::Error;
use spanmill_core::{Engine, Lsn, Receipt, Sender};

use super::columns::{self, Number};
use super::otlp::{Event, request};
use super::random::Random;

const SECOND_NS: i64 = 1_000_000_000;

/// Batches of one client that wait for an answer. Each has another power of two of spans, so
/// that a sum says which of them were counted.
const SLOTS: u32 = 4;

/// A span that is slower than this is bad.
pub const SLOW_S: f64 = 1.0;

const TENANTS: [&str; 3] = ["acme", "umbrella", "initech"];
const MODELS: [&str; 5] = ["small", "large", "vision", "embed", "code"];

/// How a client's batches are known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// By their bytes: every span has an id.
    ByContent,
    /// By a batch id.
    ById,
    /// By their numbers: they come as columns.
    ByNumber,
    /// They are not: each copy counts.
    Not,
}

/// What events became.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub received: u64,
    pub counted: u64,
    pub late: u64,
    pub rejected: u64,
    pub good: u64,
    pub bad: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self, times: u64) {
        self.received += other.received * times;
        self.counted += other.counted * times;
        self.late += other.late * times;
        self.rejected += other.rejected * times;
        self.good += other.good * times;
        self.bad += other.bad * times;
    }
}

/// A batch that waits to be acknowledged, or was.
#[derive(Debug, Clone)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub id: Option<String>,
    /// Of one copy.
    pub counts: Counts,
    pub first_sent_ns: Option<i64>,
    /// What was answered, whenever it was.
    pub response: Option<Vec<u8>>,
    /// Copies that the engine counted: their records, and when they came.
    pub counted: Vec<(Lsn, i64)>,
    /// How many of them were promised to stay: it said that they are durable.
    pub safe: u64,
    pub slot: u32,
}

/// A sender.
#[derive(Debug)]
pub struct Client {
    pub name: String,
    pub known: Known,
    pub open: Vec<Batch>,
    /// Acknowledged, or given up on with what is held of it.
    pub done: Vec<Batch>,
    made: u64,
    producer: u64,
}

/// How event times are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From the clock, seconds.
    pub oldest_s: i64,
    pub newest_s: i64,
}

impl Client {
    pub fn new(number: u64, known: Known) -> Self {
        let (open, done) = (Vec::new(), Vec::new());
        Self { name: format!("client-{number}"), known, open, done, made: 0, producer: number + 1 }
    }

    /// Send a batch.
    ///
    /// # Errors
    ///
    /// The engine's.
    pub fn send(&self, batch: &Batch, engine: &Engine) -> Result<Receipt, Error> {
        if self.known != Known::ByNumber {
            return engine.begin_traces(&batch.bytes, self.sender(batch));
        }
        let receipt = engine.begin_columns(&batch.bytes)?;
        Ok(Receipt { response: columns::verdict(&receipt.response), ..receipt })
    }

    /// What it says of a batch beside its bytes.
    fn sender<'a>(&'a self, batch: &'a Batch) -> Sender<'a> {
        Sender { tenant: &self.name, batch_id: batch.id.as_deref() }
    }

    /// Whether it may begin another batch.
    pub fn has_room(&self) -> bool {
        let slots = if self.known == Known::Not { 1 } else { SLOTS as usize };
        self.open.len() < slots
    }

    /// Begin another batch; its place among the open ones.
    pub fn begin(&mut self, now_ns: i64, times: Times, random: &mut Random) -> usize {
        let taken = |slot: &u32| self.open.iter().any(|batch| batch.slot == *slot);
        let free: Vec<u32> = (0..SLOTS).filter(|slot| !taken(slot)).collect();
        let slot = *random.pick(&free);
        self.made += 1;
        let has_ids = match self.known {
            Known::ByContent => true,
            Known::ById => random.once_in(2),
            Known::ByNumber | Known::Not => false,
        };
        let mut counts = Counts::default();
        let events: Vec<Event> = (0..1_u64 << slot)
            .map(|at| self.event((at, has_ids), now_ns, times, random, &mut counts))
            .collect();
        let tenant = *random.pick(&TENANTS);
        let bytes = match self.known {
            Known::ByNumber => columns::batch(
                Number { producer: self.producer, seq: self.made },
                (&self.name, tenant),
                (&MODELS, &TENANTS),
                &events,
            ),
            _ => request(&self.name, tenant, &events),
        };
        self.open.push(Batch {
            bytes,
            id: (self.known == Known::ById).then(|| format!("{}/{}", self.name, self.made)),
            counts,
            first_sent_ns: None,
            response: None,
            counted: Vec::new(),
            safe: 0,
            slot,
        });
        self.open.len() - 1
    }

    /// Only one event in a batch is odd: a batch that is mostly from the future makes our own
    /// clock the suspect.
    fn event(
        &self,
        (at, has_ids): (u64, bool),
        now_ns: i64,
        times: Times,
        random: &mut Random,
        counts: &mut Counts,
    ) -> Event {
        let ttft_s = random.below(2_000) as f64 / 1_000.0;
        let mut event = Event {
            end_ns: now_ns
                + random.between(times.oldest_s, times.newest_s) * SECOND_NS
                + random.below(1_000_000) as i64 * 1_000,
            lasted_ns: (ttft_s * 1.5e6) as i64 * 1_000,
            model: random.pick::<&str>(&MODELS),
            ttft_s,
            output_tokens: 1 + random.below(500),
            is_error: random.once_in(20),
            ids: has_ids.then(|| (random.next() | 1, random.next() | 1)),
        };
        counts.received += 1;
        match if at == 3 { random.below(12) } else { 12 } {
            0 => {
                event.end_ns = now_ns + 7_200 * SECOND_NS;
                counts.rejected += 1;
            }
            // Columns have no way to say so.
            1 if self.known != Known::ByNumber => {
                event.lasted_ns = -SECOND_NS;
                counts.rejected += 1;
            }
            2 => {
                event.end_ns = now_ns - 100 * 86_400 * SECOND_NS;
                counts.late += 1;
            }
            _ => {
                counts.counted += 1;
                let is_good = event.ttft_s < SLOW_S;
                counts.good += u64::from(is_good);
                counts.bad += u64::from(!is_good);
            }
        }
        event
    }

    /// An acknowledgement arrived.
    pub fn acknowledge(&mut self, bytes_of: &[u8]) {
        if let Some(at) = self.open.iter().position(|batch| batch.bytes == bytes_of) {
            let batch = self.open.remove(at);
            self.done.push(batch);
        }
    }

    /// What the engine must hold of it now.
    pub fn expected(&self) -> Counts {
        let mut all = Counts::default();
        self.done
            .iter()
            .chain(&self.open)
            .for_each(|batch| all.add(&batch.counts, batch.counted.len() as u64));
        all
    }

    /// After a crash: what is there is everything up to the record `last`, and nothing else.
    ///
    /// # Errors
    ///
    /// Where that would be less than was promised, or is not what was `received`.
    pub fn settle(&mut self, last: Lsn, received: u64) -> Result<(), String> {
        let name = &self.name;
        for batch in self.done.iter_mut().chain(&mut self.open) {
            let before = batch.counted.clone();
            batch.counted.retain(|(lsn, _)| *lsn <= last);
            if (batch.counted.len() as u64) < batch.safe {
                return Err(format!(
                    "{name}: acknowledged, and lost: {} events of the records {before:?}; the log \
                     ends with {last}",
                    batch.counts.received
                ));
            }
        }
        let expected = self.expected().received;
        if expected != received {
            return Err(format!("{name}: {received} events are counted instead of {expected}"));
        }
        Ok(())
    }

    /// Everything it ever sent.
    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.done.iter().chain(&self.open)
    }
}
