//! Edge files: what was open at a cut, as columns of numbers, and what is counted.
//!
//! A file has a chunk after another, each of one view and shard: series, bucket numbers and
//! rows of up to [`CHUNK_ROWS`] events side by side, each measure a column of its own,
//! then the digests of the busy buckets. No two chunks share a bucket.

use super::late::Late;
use super::open::{OpenBucket, ROWS_MAX};
use super::parts::{Edge, Frozen, Part, Totals};
use super::series::Open;
use super::store::{SHARDS, WindowStore, shard_of};
use crate::codec::{Damaged, Read, Reader, Writer};
use crate::digest::{Bin, Bins, Content, OpenDigest, Sums, holds};
use crate::error::Result;
use crate::file::{BlockReader, BlockWriter, Kind};
use crate::pack::{pack_f64, pack_i64, pack_u64, unpack_f64, unpack_i64, unpack_u64};

/// Files of the folder `edge`.
pub(crate) const EDGE: Kind = Kind { number: 2, name: "open edge", layout: 1 };

/// Rows of a chunk, and its buckets: whichever are reached first.
const CHUNK_ROWS: usize = 8_192;
const CHUNK_BUCKETS: usize = 2_048;

/// How a digest of a busy bucket is held.
const RAW: u8 = 0;
const KEYS: u8 = 1;
const HISTOGRAM: u8 = 2;

/// Where the chunks of a view go.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub store: &'a WindowStore,
    /// Series known: ids are below this.
    pub series: u32,
    /// Bucket number below which everything is sealed already; `i64::MIN` where nothing is.
    pub sealed: i64,
}

/// Append one view's open edge. No lock is held.
pub(crate) fn save(
    writer: &mut BlockWriter<'_>,
    view: u32,
    edge: &Edge,
    measures: usize,
) -> Result<()> {
    let mut pending = Writer::default();
    for frozen in &edge.parts {
        for chunk in chunks(frozen) {
            pending.varint(u64::from(view));
            let mut content = Writer::default();
            write_chunk(&chunk, measures, &mut content);
            pending.bytes(&content.0);
            writer.spill(&mut pending)?;
        }
    }
    if pending.0.is_empty() { Ok(()) } else { writer.block(&pending.0) }
}

/// Read the file of the cut `cut`; `target` says where a view's parts go, if anywhere.
///
/// A store takes parts of those cuts alone that its totals name: they are put back first.
pub(crate) fn load<'a>(
    reader: &mut BlockReader,
    cut: u64,
    target: impl Fn(u32) -> Option<Target<'a>>,
) -> Result<()> {
    let mut block = Vec::new();
    let mut loading = Loading { cut, view: None, shard: 0, buckets: Vec::new() };
    while reader.next(&mut block)? {
        let mut chunks = Reader(&block);
        while !chunks.0.is_empty() {
            loading.chunk(&mut chunks, &target).map_err(|damage| reader.explain(damage))?;
        }
    }
    loading.flush().map_err(|damage| reader.explain(damage))
}

/// Buckets of a generation, some at a time.
fn chunks(frozen: &Frozen) -> impl Iterator<Item = Vec<(u32, &OpenBucket)>> {
    let each = |part| Part::buckets(part, i64::MIN).map(|bucket| (part.series, bucket));
    let mut buckets = frozen.parts().iter().flat_map(each).peekable();
    std::iter::from_fn(move || {
        let mut chunk = Vec::new();
        let mut values = 0;
        while let Some((_, bucket)) = buckets.peek()
            && chunk.len() < CHUNK_BUCKETS
            && values < CHUNK_ROWS
        {
            values += bucket.rows_filled();
            chunk.extend(buckets.next());
        }
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn write_chunk(chunk: &[(u32, &OpenBucket)], measures: usize, out: &mut Writer) {
    out.varint(chunk.len() as u64);
    out.varint(measures as u64);
    out.varint(shard_of(chunk[0].0) as u64);
    let column = |of: &dyn Fn(&(u32, &OpenBucket)) -> u64| chunk.iter().map(of).collect::<Vec<_>>();
    pack_u64(&column(&|(series, _)| u64::from(*series)), out);
    let numbers: Vec<i64> = chunk.iter().map(|(_, bucket)| i64::from(bucket.number)).collect();
    pack_i64(&numbers, out);
    pack_u64(&column(&|(_, bucket)| (bucket.rows_filled() / measures) as u64), out);
    pack_u64(&column(&|(_, bucket)| u64::from(!bucket.is_rows())), out);
    for measure in 0..measures {
        let rows = chunk.iter().flat_map(|(_, bucket)| bucket.row_values(measures, measure));
        let (present, values): (Vec<u64>, Vec<f64>) =
            rows.map(|value| (u64::from(!value.is_nan()), value)).unzip();
        let values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
        pack_u64(&present, out);
        pack_f64(&values, out);
    }
    for digest in chunk.iter().flat_map(|(_, bucket)| bucket.digests()) {
        write_digest(digest.content(), out);
    }
}

fn write_digest(content: Content, out: &mut Writer) {
    match content {
        Content::Raw(values) => {
            out.u8(RAW);
            out.varint(values.len() as u64);
            pack_f64(&values, out);
        }
        Content::Keys(sums, keys) => {
            out.u8(KEYS);
            write_sums(sums, out);
            out.varint(keys.len() as u64);
            pack_i64(&keys.into_iter().map(i64::from).collect::<Vec<_>>(), out);
        }
        Content::Histogram(sums, bins) => {
            out.u8(HISTOGRAM);
            write_sums(sums, out);
            out.varint(bins.zeros);
            out.varint(u64::from(bins.shift));
            write_bins(&bins.positive, out);
            write_bins(&bins.negative, out);
        }
    }
}

fn write_sums(sums: Sums, out: &mut Writer) {
    out.u128(sums.nano.cast_unsigned());
    out.u8(u8::from(sums.exact));
    out.f64(sums.min);
    out.f64(sums.max);
}

fn write_bins(bins: &[Bin], out: &mut Writer) {
    out.varint(bins.len() as u64);
    let column = |of: fn(&Bin) -> u64| bins.iter().map(of).collect::<Vec<u64>>();
    pack_u64(&column(|bin| u64::from(bin.number)), out);
    pack_u64(&column(|bin| u64::from(bin.count)), out);
    pack_u64(&column(|bin| u64::from(bin.low)), out);
    // One value lies where it lies; of more, how far apart.
    let several = bins.iter().filter(|bin| bin.count > 1);
    pack_u64(&several.map(|bin| u64::from(bin.high - bin.low)).collect::<Vec<_>>(), out);
}

/// A generation on its way back, a shard after another.
struct Loading<'a> {
    cut: u64,
    view: Option<(u32, Target<'a>)>,
    shard: usize,
    buckets: Vec<(u32, OpenBucket)>,
}

impl<'a> Loading<'a> {
    fn chunk(
        &mut self,
        chunks: &mut Reader<'_>,
        target: impl Fn(u32) -> Option<Target<'a>>,
    ) -> Read<()> {
        let view = u32::try_from(chunks.varint()?).map_err(|_| Damaged("has no such view"))?;
        let mut content = Reader(chunks.bytes()?);
        let Some(target) = target(view).filter(|target| target.store.wants(self.cut)) else {
            return Ok(());
        };
        let (shard, mut buckets) = read_chunk(&mut content, target)?;
        content.end()?;
        if self.view.is_none_or(|(known, _)| known != view) || self.shard != shard {
            self.flush()?;
            (self.view, self.shard) = (Some((view, target)), shard);
        }
        self.buckets.append(&mut buckets);
        Ok(())
    }

    /// Give a shard what was read of it.
    fn flush(&mut self) -> Read<()> {
        let Some((_, target)) = self.view else { return Ok(()) };
        let place = |(series, bucket): &(u32, OpenBucket)| (*series, bucket.number);
        if !self.buckets.is_sorted_by(|a, b| place(a) < place(b)) {
            return Err(Damaged("has buckets out of their order"));
        }
        let mut parts: Vec<Part> = Vec::new();
        let mut buckets = std::mem::take(&mut self.buckets).into_iter().peekable();
        while let Some((series, first)) = buckets.next() {
            let mut of_series = vec![first];
            while let Some((_, bucket)) = buckets.next_if(|(of, _)| *of == series) {
                of_series.push(bucket);
            }
            of_series.retain(|bucket| i64::from(bucket.number) >= target.sealed);
            parts.extend(Open::of(of_series).map(|open| Part::new(series, open)));
        }
        if target.store.put_back(self.cut, self.shard, parts) {
            Ok(())
        } else {
            Err(Damaged("has a shard twice"))
        }
    }
}

fn flags(reader: &mut Reader<'_>, count: usize) -> Read<Vec<bool>> {
    let mut flags = Vec::new();
    unpack_u64(reader, count, &mut flags)?;
    if flags.iter().any(|flag| *flag > 1) {
        return Err(Damaged("has a flag that is neither set nor not"));
    }
    Ok(flags.into_iter().map(|flag| flag == 1).collect())
}

/// One view's chunk: its shard and buckets.
fn read_chunk(
    reader: &mut Reader<'_>,
    target: Target<'_>,
) -> Read<(usize, Vec<(u32, OpenBucket)>)> {
    let count = reader.varint()?;
    let measures = target.store.measures();
    if count > CHUNK_BUCKETS as u64 || reader.varint()? != measures as u64 {
        return Err(Damaged("has a chunk of another shape"));
    }
    let count = count as usize;
    let shard = reader.varint()? as usize;
    let (mut series, mut numbers, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    unpack_u64(reader, count, &mut series)?;
    unpack_i64(reader, count, &mut numbers)?;
    unpack_u64(reader, count, &mut rows)?;
    let busy = flags(reader, count)?;
    let is_ours = |series: &u64| {
        *series < u64::from(target.series) && shard_of(*series as u32) == shard && shard < SHARDS
    };
    if !series.iter().all(is_ours) || rows.iter().any(|rows| *rows > ROWS_MAX as u64) {
        return Err(Damaged("has a bucket of no series, or too large for one"));
    }
    let total: usize = rows.iter().map(|rows| *rows as usize).sum();
    let columns: Vec<Vec<f64>> =
        (0..measures).map(|_| read_column(reader, total)).collect::<Read<_>>()?;
    let mut at = 0;
    let mut buckets = Vec::with_capacity(count);
    for bucket in 0..count {
        let number = i32::try_from(numbers[bucket]).map_err(|_| Damaged("has no such bucket"))?;
        let to = at + rows[bucket] as usize;
        let values = (at..to).flat_map(|row| columns.iter().map(move |column| column[row]));
        let values: Box<[f64]> = values.collect();
        at = to;
        let digests = if busy[bucket] { Some(read_digests(reader, measures)?) } else { None };
        buckets.push((series[bucket] as u32, OpenBucket::of(number, values, digests)));
    }
    Ok((shard, buckets))
}

/// One measure of `total` rows, NaN where absent.
fn read_column(reader: &mut Reader<'_>, total: usize) -> Read<Vec<f64>> {
    let present = flags(reader, total)?;
    let mut values = Vec::new();
    unpack_f64(reader, present.iter().filter(|is| **is).count(), &mut values)?;
    if !values.iter().all(|value| holds(*value)) {
        return Err(Damaged("has a value that no digest holds"));
    }
    let mut values = values.into_iter();
    let value = |is| if is { values.next().unwrap_or(f64::NAN) } else { f64::NAN };
    Ok(present.into_iter().map(value).collect())
}

fn read_digests(reader: &mut Reader<'_>, measures: usize) -> Read<Box<[OpenDigest]>> {
    let read = |_| {
        let digest = OpenDigest::of_content(read_digest(reader)?);
        digest.ok_or(Damaged("has a digest that no values give"))
    };
    (0..measures).map(read).collect()
}

fn read_digest(reader: &mut Reader<'_>) -> Read<Content> {
    match reader.u8()? {
        RAW => {
            let (count, mut values) = (length(reader)?, Vec::new());
            unpack_f64(reader, count, &mut values)?;
            Ok(Content::Raw(values))
        }
        KEYS => {
            let sums = read_sums(reader)?;
            let (count, mut keys) = (length(reader)?, Vec::new());
            unpack_i64(reader, count, &mut keys)?;
            let keys: std::result::Result<_, _> = keys.into_iter().map(i32::try_from).collect();
            Ok(Content::Keys(sums, keys.map_err(|_| Damaged("has a key beyond the axis"))?))
        }
        HISTOGRAM => {
            let sums = read_sums(reader)?;
            let zeros = reader.varint()?;
            let shift = reader.varint()?.try_into().unwrap_or(u32::MAX);
            let (positive, negative) = (read_bins(reader)?, read_bins(reader)?);
            Ok(Content::Histogram(sums, Bins { zeros, shift, positive, negative }))
        }
        _ => Err(Damaged("has a digest of no known form")),
    }
}

fn read_sums(reader: &mut Reader<'_>) -> Read<Sums> {
    let nano = reader.u128()?.cast_signed();
    let exact = reader.u8()? == 1;
    Ok(Sums { nano, exact, min: reader.f64()?, max: reader.f64()? })
}

fn read_bins(reader: &mut Reader<'_>) -> Read<Vec<Bin>> {
    let count = length(reader)?;
    let mut columns = [const { Vec::new() }; 3];
    for column in &mut columns {
        unpack_u64(reader, count, column)?;
    }
    let several = columns[1].iter().filter(|count| **count > 1).count();
    let mut spreads = Vec::new();
    unpack_u64(reader, several, &mut spreads)?;
    let mut spreads = spreads.into_iter();
    let bin = |at: usize| {
        let count = u32::try_from(columns[1][at]).ok()?;
        let spread = if count > 1 { spreads.next()? } else { 0 };
        Some(Bin {
            number: columns[0][at].try_into().ok()?,
            count,
            low: columns[2][at].try_into().ok()?,
            high: columns[2][at].checked_add(spread)?.try_into().ok()?,
        })
    };
    let bins: Option<Vec<Bin>> = (0..count).map(bin).collect();
    bins.ok_or(Damaged("has a bin that no histogram has"))
}

/// How many numbers follow.
///
/// Columns ask for memory as they are read, so that no count needs to be believed.
fn length(reader: &mut Reader<'_>) -> Read<usize> {
    usize::try_from(reader.varint()?).map_err(|_| Damaged("has a column longer than memory"))
}

impl Totals {
    /// Append what is counted.
    pub(crate) fn save(&self, out: &mut Writer) {
        out.varint(self.events.len() as u64);
        pack_u64(&self.events, out);
        out.varint(self.late.len() as u64);
        for (series, late) in &self.late {
            out.varint(u64::from(*series));
            late.save(out);
        }
        out.varint(self.values.len() as u64);
        self.values.iter().for_each(|count| out.varint(*count));
        out.varint(self.needs.len() as u64);
        self.needs.iter().for_each(|cut| out.varint(*cut));
    }

    /// Read what [`save`](Self::save) wrote of a view with so many series and measures.
    pub(crate) fn load(reader: &mut Reader<'_>, series: u32, measures: usize) -> Read<Self> {
        let mut totals = Self::default();
        let count = length(reader)?;
        if count > series as usize {
            return Err(Damaged("counts events of no series"));
        }
        unpack_u64(reader, count, &mut totals.events)?;
        for _ in 0..reader.count(3)? {
            let of = u32::try_from(reader.varint()?).ok().filter(|of| *of < series);
            let of = of.ok_or(Damaged("counts late events of no series"))?;
            totals.late.push((of, Late::load(reader)?.into()));
        }
        if !totals.late.is_sorted_by(|a, b| a.0 < b.0) || length(reader)? != measures {
            return Err(Damaged("has totals of another shape"));
        }
        totals.values = (0..measures).map(|_| reader.varint()).collect::<Read<_>>()?;
        totals.needs = (0..reader.count(1)?).map(|_| reader.varint()).collect::<Read<_>>()?;
        Ok(totals)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::rig::{Burst, MEASURES, SERIES, SERIES_END, Windows};
    use super::*;
    use crate::disk::RealDisk;
    use proptest::prelude::*;

    const VIEW: u32 = 3;

    /// A folder of its own for each test case, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "spanmill-edge-{}-{}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            );
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).expect("writable");
            Self(path)
        }

        fn file(&self, cut: u64) -> PathBuf {
            self.0.join(cut.to_string())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn save_to(path: &Path, edge: &Edge) -> u64 {
        let mut writer = BlockWriter::create(&RealDisk, path, EDGE).expect("writable");
        save(&mut writer, VIEW, edge, MEASURES).expect("written");
        writer.finish().expect("written")
    }

    fn load_from(path: &Path, cut: u64, windows: &Windows) -> Result<()> {
        let sealed = windows.kept.sealed().unwrap_or(i64::MIN);
        let target = Target { store: &windows.store, series: SERIES_END, sealed };
        let mut reader = BlockReader::open(&RealDisk, path, EDGE)?;
        load(&mut reader, cut, |view| (view == VIEW).then_some(target))
    }

    /// Windows as a restart finds them: from the files that the last cut names, and its totals.
    fn restarted(folder: &Folder, windows: &Windows, edge: &Edge) -> Windows {
        let mut bytes = Writer::default();
        edge.totals.save(&mut bytes);
        let mut reader = Reader(&bytes.0);
        let totals = Totals::load(&mut reader, SERIES_END, MEASURES).expect("reads");
        assert_eq!((Ok(()), &edge.totals), (reader.end(), &totals));
        let loaded = Windows { kept: windows.kept.clone(), cut: windows.cut, ..Windows::new() };
        loaded.store.set_totals(windows.cut, totals);
        // Another view may need more of the files than this one.
        for cut in 1..=windows.cut {
            load_from(&folder.file(cut), cut, &loaded).expect("reads");
        }
        loaded
    }

    fn burst() -> impl Strategy<Value = Burst> {
        let events = prop_oneof![1usize..4, 150usize..300, 1_500usize..2_500];
        let size = prop_oneof![Just(1.0), Just(1e-6), Just(1e9)];
        (0..SERIES.len(), 0i64..9, events, size).prop_map(|(series, bucket, events, size)| Burst {
            series,
            bucket,
            events,
            size,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// After a restart every question has the same answer, what comes next joins what was
        /// there, and the same bits are sealed; through any number of checkpoints and restarts.
        #[test]
        fn a_restart_changes_nothing(
            rounds in prop::collection::vec((prop::collection::vec(burst(), 0..6), any::<bool>()), 1..6),
        ) {
            let folder = Folder::new();
            let (mut stored, mut whole) = (Windows::new(), Windows::new());
            for (round, (bursts, restart)) in rounds.into_iter().enumerate() {
                let at = 2 * round as i64;
                for burst in bursts {
                    let burst = Burst { bucket: at + burst.bucket, ..burst };
                    prop_assert_eq!(whole.push(burst), stored.push(burst));
                }
                let edge = stored.freeze();
                let _ = save_to(&folder.file(stored.cut), &edge);
                stored.store.saved(stored.cut);
                if restart {
                    let loaded = restarted(&folder, &stored, &edge);
                    for series in 0..SERIES.len() {
                        prop_assert_eq!(stored.answer(series, (at, 99)), loaded.answer(series, (at, 99)));
                        prop_assert_eq!(stored.answer(series, (0, 99)).1, loaded.answer(series, (0, 99)).1);
                    }
                    let live = stored.store.live_generations();
                    prop_assert_eq!(live, loaded.store.live_generations());
                    stored = loaded;
                }
                prop_assert_eq!(whole.seal(at + 2), stored.seal(at + 2));
            }
            for series in SERIES {
                prop_assert_eq!(whole.store.events(series), stored.store.events(series));
            }
            prop_assert_eq!(whole.seal(99), stored.seal(99));
            prop_assert_eq!(0, stored.store.footprint().open.bytes);
        }

        /// Whatever the bytes of a chunk or of totals, reading ends in a value or an error.
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let windows = Windows::new();
            let target = Target { store: &windows.store, series: SERIES_END, sealed: i64::MIN };
            let _ = read_chunk(&mut Reader(&bytes), target);
            let _ = read_digests(&mut Reader(&bytes), MEASURES);
            let _ = Totals::load(&mut Reader(&bytes), SERIES_END, MEASURES);
        }

        /// A changed byte anywhere in a chunk is an error or another chunk that seals; never a panic.
        #[test]
        fn damage_is_safe(at: usize, bit in 0u8..8) {
            let mut windows = filled();
            let edge = windows.freeze();
            for frozen in &edge.parts {
                let mut bytes = Writer::default();
                chunks(frozen).for_each(|chunk| write_chunk(&chunk, MEASURES, &mut bytes));
                let place = at % bytes.0.len();
                bytes.0[place] ^= 1 << bit;
                let mut other = Windows::new();
                let target = Target { store: &other.store, series: SERIES_END, sealed: i64::MIN };
                let mut loading = Loading { cut: 1, view: None, shard: 0, buckets: Vec::new() };
                if let Ok((shard, buckets)) = read_chunk(&mut Reader(&bytes.0), target) {
                    (loading.view, loading.shard, loading.buckets) = (Some((VIEW, target)), shard, buckets);
                    let _ = loading.flush();
                }
                let _ = other.answers();
                let _ = other.seal(i64::from(i32::MAX) / 2);
            }
        }
    }

    /// Buckets in each form.
    fn filled() -> Windows {
        let windows = Windows::new();
        for (series, events) in [(0, 3), (1, 150), (2, 400), (3, 3_000), (4, 9_000)] {
            let _ = windows.push(Burst { series, bucket: 5, events, size: 0.5 });
        }
        windows
    }

    /// Values that decimals allow it for take few bytes, and busy buckets less than their histograms.
    #[test]
    fn files_are_small() {
        let folder = Folder::new();
        let mut windows = Windows::new();
        for (series, bucket) in (0..5).flat_map(|series| (0..7).map(move |at| (series, at))) {
            let _ = windows.push(Burst { series, bucket, events: 200, size: 1.0 });
        }
        let values = 5 * 7 * (200 + 67);
        let edge = windows.freeze();
        let bytes = save_to(&folder.file(1), &edge);
        assert!(bytes < values * 4, "{bytes} B for {values} values");
        windows.store.saved(1);
        let _ = windows.push(Burst { series: 0, bucket: 8, events: 100_000, size: 1.0 });
        let edge = windows.freeze();
        let bytes = save_to(&folder.file(2), &edge);
        assert!(bytes < 16_000, "{bytes} B for two histograms");
    }

    /// A file of other views, or one that ends before its time, changes nothing or says so.
    #[test]
    fn files_are_checked() {
        let folder = Folder::new();
        let edge = filled().freeze();
        let _ = save_to(&folder.file(1), &edge);
        let other = Windows::new();
        other.store.set_totals(1, edge.totals.clone());
        let mut reader = BlockReader::open(&RealDisk, &folder.file(1), EDGE).expect("there");
        assert!(load(&mut reader, 1, |_| None).is_ok());
        assert_eq!(Vec::<u64>::new(), other.store.live_generations());
        let narrow = Target { store: &other.store, series: 100, sealed: i64::MIN };
        let mut reader = BlockReader::open(&RealDisk, &folder.file(1), EDGE).expect("there");
        assert!(load(&mut reader, 1, |_| Some(narrow)).is_err());
    }
}
