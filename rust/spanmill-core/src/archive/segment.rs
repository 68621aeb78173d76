//! One file of sealed buckets: those of one tier and pass.
//!
//! Blocks of `file`: a head, the dictionary of texts, buckets (`block`), an index of them
//! by series, and where the index is. A series is read without the rest, and so is a head.

use std::path::Path;

use super::block::{ABSENT, Block, BlockBuilder};
use super::pass::{Named, Pass, SealedView, Shape};
use super::wanted::Wanted;
use crate::codec::{Damaged, Read, Reader, Writer};
use crate::disk::Disk;
use crate::error::Result;
use crate::file::{BlockReader, BlockWriter, Kind};
use crate::window::{Sealed, TIERS};

/// Of our files; the layout rises whenever what is in the blocks changes.
pub(crate) const KIND: Kind = Kind { number: 3, name: "sealed buckets", layout: 1 };

/// The end of every file: a block of eight bytes, and the empty one.
const TRAILER_BYTES: u64 = 8 + 8 + 8;

/// Which buckets a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Extent {
    pub tier: usize,
    /// Numbers [from, to) of the tier's width.
    pub from: i64,
    pub to: i64,
}

/// Write the buckets of one tier and pass; bytes of the file, none where there is no bucket.
pub(super) fn write(
    disk: &dyn Disk,
    path: &Path,
    pass: &Pass,
    extent: Extent,
) -> Result<Option<u64>> {
    let texts = pass.texts(extent.tier);
    let sorted: Vec<_> = pass.views.iter().map(|view| view.sorted(extent.tier)).collect();
    if sorted.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let mut writer = BlockWriter::create(disk, path, KIND)?;
    let mut head = Writer::default();
    put_extent(&mut head, extent, pass.through);
    writer.block(&head.0)?;
    let mut index = head;
    index.u64(writer.offset());
    writer.block(&dictionary(&texts))?;
    index.varint(pass.views.len() as u64);
    for (view, buckets) in pass.views.iter().zip(&sorted) {
        let blocks = write_view(&mut writer, view, buckets, &texts, extent.from)?;
        put_view(&mut index, &view.shape, &blocks);
    }
    let at = writer.offset();
    writer.block(&index.0)?;
    writer.block(&at.to_le_bytes())?;
    writer.finish().map(Some)
}

fn put_extent(out: &mut Writer, extent: Extent, through: i64) {
    out.varint(TIERS[extent.tier].width_s.cast_unsigned());
    out.i64(extent.from);
    out.i64(extent.to);
    out.i64(through);
}

fn dictionary(texts: &[&str]) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(texts.len() as u64);
    texts.iter().for_each(|text| out.bytes(text.as_bytes()));
    out.0
}

/// First stable id and offset of each block.
type Blocks = Vec<(i64, u64)>;

fn write_view(
    writer: &mut BlockWriter<'_>,
    view: &SealedView,
    buckets: &[(&Named, &Sealed)],
    texts: &[&str],
    from: i64,
) -> Result<Blocks> {
    let mut blocks = Blocks::new();
    let mut block = BlockBuilder::new(view.shape.dimensions.len(), view.shape.measures.len());
    let mut spill = |block: &mut BlockBuilder| -> Result<()> {
        if let Some(first) = block.first() {
            blocks.push((first, writer.offset()));
            writer.block(&block.finish())?;
        }
        Ok(())
    };
    let place = |text: &str| texts.binary_search(&text).map_or(ABSENT, |at| at as u64 + 1);
    let mut last = None;
    for (named, bucket) in buckets {
        if block.is_full() {
            spill(&mut block)?;
        }
        if block.is_empty() || last != Some(*named) {
            let places = named.texts.iter().map(|text| text.as_deref().map_or(ABSENT, place));
            block.series(named.stable, places);
            last = Some(*named);
        }
        block.bucket(bucket, from);
    }
    spill(&mut block)?;
    Ok(blocks)
}

fn put_view(out: &mut Writer, shape: &Shape, blocks: &Blocks) {
    out.bytes(shape.name.as_bytes());
    for names in [&shape.conditions, &shape.dimensions, &shape.measures] {
        out.varint(names.len() as u64);
        names.iter().for_each(|name| out.bytes(name.as_bytes()));
    }
    out.varint(blocks.len() as u64);
    for (first, offset) in blocks {
        out.i64(*first);
        out.u64(*offset);
    }
}

/// The texts of a file, in order.
pub(super) struct Dictionary {
    texts: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Dictionary {
    fn read(bytes: &[u8]) -> Read<Self> {
        let mut reader = Reader(bytes);
        let count = reader.count(1)?;
        let mut dictionary =
            Self { texts: String::with_capacity(bytes.len()), ends: Vec::with_capacity(count) };
        for _ in 0..count {
            dictionary.texts.push_str(reader.text()?);
            dictionary.ends.push(dictionary.texts.len());
        }
        reader.end()?;
        Ok(dictionary)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.texts[start..end])
    }

    /// The first place from `from` on whose text is not below `text`.
    pub(super) fn place(&self, from: usize, text: &str) -> usize {
        let below = |at: usize| self.get(at).is_some_and(|known| known < text);
        // By doubling steps, then by halving: few are wanted of many, or nearly all.
        let mut step = 1;
        let (mut low, mut high) = (from, from);
        while below(high) {
            low = high + 1;
            high += step;
            step *= 2;
        }
        high = high.min(self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if below(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// A view's buckets in a file.
pub(super) struct IndexedView {
    pub(super) shape: Shape,
    blocks: Blocks,
}

/// What is where in a file.
pub(super) struct Index {
    extent: Extent,
    dictionary: Dictionary,
    pub(super) views: Vec<IndexedView>,
    /// Taken in memory, about.
    pub(super) bytes: usize,
}

fn names(reader: &mut Reader<'_>) -> Read<Vec<String>> {
    let count = reader.count(1)?;
    (0..count).map(|_| reader.text().map(str::to_owned)).collect()
}

fn view(reader: &mut Reader<'_>) -> Read<IndexedView> {
    let name = reader.text()?.to_owned();
    let conditions = names(reader)?;
    let shape = Shape { name, conditions, dimensions: names(reader)?, measures: names(reader)? };
    let count = reader.count(16)?;
    let blocks: Blocks =
        (0..count).map(|_| Ok((reader.i64()?, reader.u64()?))).collect::<Read<_>>()?;
    Ok(IndexedView { shape, blocks })
}

fn extent(reader: &mut Reader<'_>) -> Read<Extent> {
    let width_s = reader.varint()?.cast_signed();
    let tier = TIERS.iter().position(|tier| tier.width_s == width_s);
    let tier = tier.ok_or(Damaged("has buckets of a width that there is not"))?;
    let extent = Extent { tier, from: reader.i64()?, to: reader.i64()? };
    let _through = reader.i64()?;
    if extent.from < extent.to { Ok(extent) } else { Err(Damaged("has no range")) }
}

/// What the index block says: where the dictionary is, and the rest.
fn index(bytes: &[u8]) -> Read<(Extent, u64, Vec<IndexedView>)> {
    let mut reader = Reader(bytes);
    let extent = extent(&mut reader)?;
    let dictionary = reader.u64()?;
    let count = reader.count(5)?;
    let views = (0..count).map(|_| view(&mut reader)).collect::<Read<_>>()?;
    reader.end()?;
    Ok((extent, dictionary, views))
}

/// Scratch for reading, used again for every block.
#[derive(Default)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    block: Block,
}

/// A file being read.
pub(super) struct Segment {
    file: BlockReader,
}

impl Segment {
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Ok(Self { file: BlockReader::open(disk, path, KIND)? })
    }

    fn block_at(&mut self, offset: u64, into: &mut Vec<u8>) -> Result<()> {
        self.file.seek(offset);
        if self.file.next(into)? { Ok(()) } else { Err(self.file.damaged("lacks a block")) }
    }

    /// Read what is where.
    pub(super) fn index(&mut self) -> Result<Index> {
        let mut bytes = Vec::new();
        let Some(trailer) = self.file.length().checked_sub(TRAILER_BYTES) else {
            return Err(self.file.damaged("ends too early"));
        };
        self.block_at(trailer, &mut bytes)?;
        let at = Reader(&bytes).u64().map_err(|damage| self.file.explain(damage))?;
        self.block_at(at, &mut bytes)?;
        let mut memory = bytes.len();
        let (extent, at, views) = index(&bytes).map_err(|damage| self.file.explain(damage))?;
        self.block_at(at, &mut bytes)?;
        memory += bytes.len() * 2;
        let dictionary = Dictionary::read(&bytes).map_err(|damage| self.file.explain(damage))?;
        Ok(Index { extent, dictionary, views, bytes: memory })
    }

    /// Hand what the file holds of the wanted series to `found`, by series and then by time.
    pub(super) fn visit(
        &mut self,
        index: &Index,
        wanted: &Wanted,
        scratch: &mut Scratch,
        found: &mut dyn FnMut(u32, Sealed),
    ) -> Result<()> {
        let Some(view) = index.views.iter().find(|view| view.shape == wanted.shape) else {
            return Ok(());
        };
        let known = wanted.known(&index.dictionary);
        let mut search = wanted.search(&known);
        let range = (index.extent.from, index.extent.to);
        let (dimensions, measures) = (view.shape.dimensions.len(), view.shape.measures.len());
        for (at, (first, offset)) in view.blocks.iter().enumerate() {
            // A series may go on in the next block, so that one's first may be our last.
            let last = view.blocks.get(at + 1).map_or(i64::MAX, |(next, _)| *next);
            if !wanted.any_in(*first, last) {
                continue;
            }
            self.block_at(*offset, &mut scratch.bytes)?;
            let read = scratch.block.read(&scratch.bytes, dimensions, measures).and_then(|()| {
                scratch.block.visit(range, |stable, texts| search.find(stable, texts), &mut *found)
            });
            read.map_err(|damage| self.file.explain(damage))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(texts: &[String]) -> Dictionary {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        Dictionary::read(&dictionary(&texts)).expect("what was written reads")
    }

    proptest! {
        /// A dictionary finds each of its texts, and where any other would stand.
        #[test]
        fn texts_are_found(mut texts: Vec<String>, other: String, from in 0usize..9) {
            texts.sort_unstable();
            texts.dedup();
            let dictionary = written(&texts);
            for (at, text) in texts.iter().enumerate() {
                prop_assert_eq!(Some(&**text), dictionary.get(at));
                prop_assert_eq!(at, dictionary.place(at.min(from), text));
            }
            let wanted = texts.partition_point(|text| *text < other);
            prop_assert_eq!(wanted, dictionary.place(0, &other));
            prop_assert_eq!(None, dictionary.get(texts.len()));
        }

        /// Whatever the bytes, reading an index or a dictionary ends in one or in an error.
        #[test]
        fn any_index_is_safe(mut bytes: Vec<u8>) {
            let _ = Dictionary::read(&bytes);
            let _ = index(&bytes);
            let mut head = Writer::default();
            put_extent(&mut head, Extent { tier: 1, from: 5, to: 6 }, 36);
            let _ = bytes.splice(0..0, head.0);
            let _ = index(&bytes);
        }
    }
}
