//! Companion files: the minutes that were open at a cut, and what was sealed since the last one.
//!
//! A bucket after another: view, series, what it is, its number, then each column. Open
//! minutes are in each file, and only the newest file's count; sealed ones are in one.

use super::distinct::Distinct;
use super::series::{Bucket, Held, Place};
use super::store::Companions;
use super::top::Top;
use crate::codec::{Damaged, Read, Reader, Writer};
use crate::error::Result;
use crate::file::{BlockReader, BlockWriter, Kind};

/// Files of the folder `companions`.
pub(crate) const COMPANIONS: Kind = Kind { number: 6, name: "companions", layout: 1 };

const OPEN: u8 = 0;
const MINUTE: u8 = 1;
const FIVE: u8 = 2;

/// A bucket and whose it is.
#[derive(Clone)]
pub(super) struct Entry {
    pub series: u32,
    pub held: Held,
}

/// A view's companions as they stood at a cut.
#[derive(Default)]
pub(crate) struct Edge {
    pub(super) open: Vec<Entry>,
    pub(super) sealed: Vec<Entry>,
    pub totals: Totals,
}

/// What companions count beside their buckets, and where these lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
    pub late: u64,
    pub skipped: u64,
    pub shed: u64,
    pub kept_from_s: i64,
    /// Cuts whose files hold something that is still held, in order; that of the totals
    /// themselves is the last. Another view may need others of the same files.
    pub needs: Vec<u64>,
}

impl Default for Totals {
    fn default() -> Self {
        Self { late: 0, skipped: 0, shed: 0, kept_from_s: i64::MIN, needs: Vec::new() }
    }
}

impl Totals {
    /// Append them.
    pub(crate) fn save(&self, out: &mut Writer) {
        out.varint(self.late);
        out.varint(self.skipped);
        out.varint(self.shed);
        out.i64(self.kept_from_s);
        out.varint(self.needs.len() as u64);
        self.needs.iter().for_each(|cut| out.varint(*cut));
    }

    /// Read what [`save`](Self::save) wrote.
    pub(crate) fn load(reader: &mut Reader<'_>) -> Read<Self> {
        Ok(Self {
            late: reader.varint()?,
            skipped: reader.varint()?,
            shed: reader.varint()?,
            kept_from_s: reader.i64()?,
            needs: (0..reader.count(1)?).map(|_| reader.varint()).collect::<Read<_>>()?,
        })
    }
}

/// Where the buckets of a view go.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub companions: &'a Companions,
    /// Series known: ids are below this.
    pub series: u32,
}

/// Append one view's companions. No lock is held.
pub(crate) fn save(writer: &mut BlockWriter<'_>, view: u32, edge: &Edge) -> Result<()> {
    let mut pending = Writer::default();
    for entry in edge.open.iter().chain(&edge.sealed) {
        pending.varint(u64::from(view));
        let mut content = Writer::default();
        write_entry(entry, &mut content);
        pending.bytes(&content.0);
        writer.spill(&mut pending)?;
    }
    if pending.0.is_empty() { Ok(()) } else { writer.block(&pending.0) }
}

fn write_entry(entry: &Entry, out: &mut Writer) {
    out.varint(u64::from(entry.series));
    out.u8(match entry.held.place {
        Place::Open => OPEN,
        Place::Minute => MINUTE,
        Place::Five => FIVE,
    });
    out.zigzag(entry.held.number);
    entry.held.bucket.distinct.iter().for_each(|column| column.save(out));
    entry.held.bucket.top.iter().for_each(|column| column.save(out));
}

/// Read the file of the cut `cut`; `target` says where a view's buckets go, if anywhere.
///
/// Companions take buckets of those cuts alone that their totals name: they are put back first.
pub(crate) fn load<'a>(
    reader: &mut BlockReader,
    cut: u64,
    target: impl Fn(u32) -> Option<Target<'a>>,
) -> Result<()> {
    let mut block = Vec::new();
    while reader.next(&mut block)? {
        let mut entries = Reader(&block);
        while !entries.0.is_empty() {
            take(&mut entries, cut, &target).map_err(|damage| reader.explain(damage))?;
        }
    }
    Ok(())
}

fn take<'a>(
    entries: &mut Reader<'_>,
    cut: u64,
    target: impl Fn(u32) -> Option<Target<'a>>,
) -> Read<()> {
    let view = u32::try_from(entries.varint()?).map_err(|_| Damaged("has no such view"))?;
    let mut content = Reader(entries.bytes()?);
    let Some(target) = target(view) else { return Ok(()) };
    let entry = read_entry(&mut content, target)?;
    content.end()?;
    if !target.companions.put_back(cut, entry) {
        return Err(Damaged("has a bucket twice"));
    }
    Ok(())
}

fn read_entry(reader: &mut Reader<'_>, target: Target<'_>) -> Read<Entry> {
    let series = u32::try_from(reader.varint()?).ok().filter(|series| *series < target.series);
    let series = series.ok_or(Damaged("has a bucket of no series"))?;
    let place = match reader.u8()? {
        OPEN => Place::Open,
        MINUTE => Place::Minute,
        FIVE => Place::Five,
        _ => return Err(Damaged("has a bucket of no known width")),
    };
    let number = reader.zigzag()?;
    // Of nanoseconds in an i64 there are fewer minutes.
    if i32::try_from(number).is_err() {
        return Err(Damaged("has a bucket at no time"));
    }
    let (distinct, top) = target.companions.columns();
    let distinct = (0..distinct).map(|_| Distinct::load(reader)).collect::<Read<_>>()?;
    let top = (0..top).map(|_| Top::load(reader)).collect::<Read<_>>()?;
    let bucket = Bucket { distinct, top }.into();
    Ok(Entry { series, held: Held { place, number, bucket } })
}

#[cfg(test)]
mod tests {
    use super::super::{DistinctUnion, Item, Rows, TopUnion};
    use super::*;
    use crate::clock::SECOND_NS;
    use crate::disk::RealDisk;
    use crate::wide::Wide;
    use crate::window::{BUCKET_S, ByShard};
    use proptest::prelude::*;

    const SERIES: [u32; 3] = [5, 69, 8];
    const SERIES_END: u32 = 70;
    const MINUTE_S: i64 = 60;
    const TENS: i64 = MINUTE_S / BUCKET_S;

    /// A view's companions of one column, counted and ranked.
    struct Rig {
        companions: Companions,
        cut: u64,
        sealed: Option<i64>,
    }

    impl Rig {
        fn new() -> Self {
            let companions = Companions::new(vec![0], vec![0], 1, 1 << 24);
            Self { companions, cut: 0, sealed: None }
        }

        /// Events of one series and minute, each with a value of its own from `first` on.
        fn push(&self, series: usize, minute: i64, first: u64, values: u64) {
            let ends_ns = vec![minute * MINUTE_S * SECOND_NS; values as usize];
            let series = vec![SERIES[series]; values as usize];
            let wide =
                Wide::of_texts((first..first + values).map(|value| format!("prompt-{value}")));
            let mut by_shard = ByShard::default();
            by_shard.group(&series);
            self.companions.apply(&Rows {
                ends_ns: &ends_ns,
                series: &series,
                by_shard: &by_shard,
                wide: &wide,
                horizon_ns: i64::MIN,
                sealed: self.sealed.unwrap_or(i64::MIN),
                cut: self.cut,
            });
        }

        fn seal(&mut self, minute: i64) {
            self.companions.seal(self.sealed, minute * TENS);
            self.sealed = Some(minute * TENS);
        }

        /// Distinct values of a series from minute `from` on, and its ranking.
        fn answer(&self, series: usize, from: i64) -> (super::super::distinct::Count, Vec<Item>) {
            let window = (from * MINUTE_S, 10_000 * MINUTE_S);
            let (mut distinct, mut top) = (DistinctUnion::default(), TopUnion::default());
            self.companions.distinct(SERIES[series], window, 0, &mut distinct);
            self.companions.top(SERIES[series], window, 0, &mut top);
            (distinct.count(), top.ranking(9).items)
        }

        fn answers(&self) -> Vec<(super::super::distinct::Count, Vec<Item>)> {
            let from = [0, 5, 30, 60];
            let each = |series| from.map(|from| self.answer(series, from));
            (0..SERIES.len()).flat_map(each).collect()
        }

        fn checkpoint(&mut self, folder: &std::path::Path) -> Edge {
            self.cut += 1;
            let edge = self.companions.freeze_all(self.cut);
            let path = folder.join(self.cut.to_string());
            let mut writer = BlockWriter::create(&RealDisk, &path, COMPANIONS).expect("writable");
            save(&mut writer, 0, &edge).expect("written");
            let _ = writer.finish().expect("written");
            edge
        }

        /// As a restart finds it: from the files that a checkpoint names.
        fn restarted(&self, folder: &std::path::Path, edge: &Edge) -> Self {
            let mut totals = Writer::default();
            edge.totals.save(&mut totals);
            let totals = Totals::load(&mut Reader(&totals.0)).expect("reads");
            assert_eq!(edge.totals, totals);
            let loaded = Self { cut: self.cut, sealed: self.sealed, ..Self::new() };
            loaded.companions.set_totals(self.cut, self.sealed, &totals);
            // Another view may need more of the files than this one.
            for cut in 1..=self.cut {
                let path = folder.join(cut.to_string());
                let mut reader = BlockReader::open(&RealDisk, &path, COMPANIONS).expect("there");
                let target = Target { companions: &loaded.companions, series: SERIES_END };
                load(&mut reader, cut, |view| (view == 0).then_some(target)).expect("reads");
            }
            loaded
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Push {
            series: usize,
            minute: i64,
            first: u64,
            values: u64,
        },
        /// Whether the checkpoint is published.
        Checkpoint(bool),
        Restart,
        Seal(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let values = prop_oneof![1u64..9, 250u64..260, 900u64..1_000];
        prop_oneof![
            4 => (0..SERIES.len(), -1i64..3, 0u64..500, values).prop_map(
                |(series, minute, first, values)| Step::Push { series, minute, first, values }
            ),
            2 => any::<bool>().prop_map(Step::Checkpoint),
            1 => Just(Step::Restart),
            2 => (1i64..8).prop_map(Step::Seal),
        ]
    }

    fn temporary() -> std::path::PathBuf {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spanmill-companions-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("writable");
        path
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Through any checkpoints, published or not, and restarts every question has the answer
        /// that it has without them, and as many bytes are held.
        #[test]
        fn a_restart_changes_nothing(steps in prop::collection::vec(step(), 1..40)) {
            let folder = temporary();
            let (mut stored, mut whole) = (Rig::new(), Rig::new());
            let mut at = 1;
            for step in steps {
                match step {
                    Step::Push { series, minute, first, values } => {
                        whole.push(series, at + minute, first, values);
                        stored.push(series, at + minute, first, values);
                    }
                    Step::Checkpoint(published) => {
                        let _ = stored.checkpoint(&folder);
                        if published {
                            stored.companions.saved(stored.cut);
                        }
                    }
                    Step::Restart => {
                        let edge = stored.checkpoint(&folder);
                        stored = stored.restarted(&folder, &edge);
                    }
                    Step::Seal(minutes) => {
                        at += minutes;
                        whole.seal(at);
                        stored.seal(at);
                    }
                }
                prop_assert_eq!(whole.answers(), stored.answers());
                let (wanted, got) = (whole.companions.held(), stored.companions.held());
                prop_assert_eq!((wanted.late, wanted.skipped, wanted.shed), (got.late, got.skipped, got.shed));
            }
            std::fs::remove_dir_all(folder).expect("ours");
        }

        /// Whatever the bytes of a bucket, reading ends in one or in an error.
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let rig = Rig::new();
            let target = Target { companions: &rig.companions, series: SERIES_END };
            let _ = read_entry(&mut Reader(&bytes), target);
            let _ = Totals::load(&mut Reader(&bytes));
        }
    }

    /// However long it runs, a checkpoint names a bounded number of files, and a restart finds all in them.
    #[test]
    fn files_are_bounded() {
        let folder = temporary();
        let (mut stored, mut whole) = (Rig::new(), Rig::new());
        let mut last = Edge::default();
        for minute in 1..200 {
            for rig in [&mut stored, &mut whole] {
                rig.push(0, minute, minute.cast_unsigned() * 3, 3);
                rig.seal(minute);
            }
            last = stored.checkpoint(&folder);
            stored.companions.saved(stored.cut);
            assert!(last.totals.needs.len() <= 50, "{} files", last.totals.needs.len());
        }
        assert_eq!(whole.answers(), stored.restarted(&folder, &last).answers());
        std::fs::remove_dir_all(folder).expect("ours");
    }
}
