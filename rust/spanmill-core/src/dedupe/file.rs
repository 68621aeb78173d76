//! Generations and producers on disk.
//!
//! A file holds the generations that no earlier file does, and all producers: a file is
//! written once and stays until its last generation is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::age::Age;
use super::generation::{Content, Generation, Named};
use super::producers::{Producer, Producers};
use super::{Dedupe, Frozen, Key, Limits, Losses, minute};
use crate::codec::{Damaged, Read, Reader, Writer};
use crate::disk::Disk;
use crate::error::Result;
use crate::file::{BlockReader, BlockWriter, Kind};
use crate::journal::Lsn;

/// Folder of these files, in the data folder.
pub(crate) const FOLDER: &str = "dedupe";

const KIND: Kind = Kind { number: 4, name: "dedupe", layout: 1 };

const HEAD: u8 = 1;
const PRODUCER: u8 = 2;
const GENERATION: u8 = 3;
const CONTENT: u8 = 4;
const NAMED: u8 = 5;
const ANSWER: u8 = 6;

fn name(lsn: Lsn) -> String {
    format!("{FOLDER}/{:020}.ded", lsn.0)
}

impl Frozen {
    /// Make it durable; the files that hold it together, relative to the data folder.
    ///
    /// - `lsn`: of the cut. Saving again at the same one writes the same file again.
    pub(crate) fn save(&self, disk: &dyn Disk, data_dir: &Path, lsn: Lsn) -> Result<Vec<String>> {
        disk.create_dir(&data_dir.join(FOLDER)).map_err(|source| crate::error::Error::Folder {
            path: data_dir.join(FOLDER),
            source,
        })?;
        let mut file = BlockWriter::create(disk, &data_dir.join(name(lsn)), KIND)?;
        let mut writer = Writer::default();
        self.write_head(&mut writer);
        for producer in self.producers.iter().flat_map(|chunk| chunk.iter()) {
            write_producer(producer, &mut writer);
            file.spill(&mut writer)?;
        }
        let is_elsewhere =
            |generation: &Generation| generation.saved.get().is_some_and(|saved| *saved != lsn);
        let new = || self.generations.iter().filter(|generation| !is_elsewhere(generation));
        for generation in new() {
            write_generation(generation, &mut writer, &mut file)?;
        }
        if !writer.0.is_empty() {
            file.block(&writer.0)?;
        }
        let _ = file.finish()?;
        new().for_each(|generation| {
            let _ = generation.saved.set(lsn);
        });
        let mut files: BTreeSet<Lsn> = self
            .generations
            .iter()
            .filter_map(|generation| generation.saved.get().copied())
            .collect();
        let _ = files.insert(lsn);
        Ok(files.into_iter().map(name).collect())
    }

    fn write_head(&self, writer: &mut Writer) {
        writer.u8(HEAD);
        writer.varint(self.next);
        writer.varint(self.generations.len() as u64);
        writer.i64(self.age.elapsed_ns);
        writer.i64(self.age.wall_ns);
        writer.varint(self.losses.entries);
        writer.option(self.losses.newest_ns);
    }
}

fn write_producer(producer: &Producer, writer: &mut Writer) {
    writer.u8(PRODUCER);
    writer.u128(producer.id);
    writer.varint(producer.epoch);
    writer.varint(producer.newest);
    writer.varint(producer.lsn.0);
    // Mostly everything in the window was counted: those words are left out.
    let holes = producer
        .window
        .iter()
        .rev()
        .fold(0_u32, |holes, word| holes << 1 | u32::from(*word != u64::MAX));
    writer.u32(holes);
    producer.window.iter().filter(|word| **word != u64::MAX).for_each(|word| writer.u64(*word));
}

fn read_producer(reader: &mut Reader<'_>) -> Read<Producer> {
    let mut producer = Producer {
        id: reader.u128()?,
        epoch: reader.varint()?,
        newest: reader.varint()?,
        lsn: Lsn(reader.varint()?),
        window: [u64::MAX; _],
    };
    let holes = reader.u32()?;
    for (at, word) in producer.window.iter_mut().enumerate() {
        if holes >> at & 1 == 1 {
            *word = reader.u64()?;
        }
    }
    Ok(producer)
}

fn write_generation(
    generation: &Generation,
    writer: &mut Writer,
    file: &mut BlockWriter<'_>,
) -> Result<()> {
    writer.u8(GENERATION);
    writer.varint(generation.number);
    writer.i64(generation.minute);
    writer.i64(generation.newest_ns);
    for content in &generation.contents {
        writer.u8(CONTENT);
        writer.u128(content.content());
        writer.varint(content.lsn.0);
        file.spill(writer)?;
    }
    for named in &generation.named {
        writer.u8(NAMED);
        writer.u128(named.name());
        writer.u64(named.content);
        writer.varint(named.lsn.0);
        file.spill(writer)?;
    }
    for (key, response) in &generation.answers {
        writer.u8(ANSWER);
        key.write(writer);
        writer.bytes(response);
        file.spill(writer)?;
    }
    Ok(())
}

/// What files said, put together.
#[derive(Default)]
struct Loaded {
    /// Of the newest file: number of the generation that begins, how many are held.
    next: u64,
    held: u64,
    age: Age,
    losses: Losses,
    producers: Vec<Producer>,
    generations: BTreeMap<u64, Generation>,
    /// The one whose entries come.
    current: u64,
}

impl Loaded {
    fn read(&mut self, block: &[u8], file: Lsn) -> Read<()> {
        let mut reader = Reader(block);
        while reader.end().is_err() {
            match reader.u8()? {
                HEAD => {
                    self.next = reader.varint()?;
                    self.held = reader.varint()?;
                    self.age = Age { elapsed_ns: reader.i64()?, wall_ns: reader.i64()? };
                    let entries = reader.varint()?;
                    self.losses = Losses { entries, newest_ns: reader.option()? };
                    self.producers.clear();
                }
                PRODUCER => self.producers.push(read_producer(&mut reader)?),
                GENERATION => {
                    let mut generation = Generation::new(reader.varint()?, reader.i64()?);
                    generation.newest_ns = reader.i64()?;
                    let _ = generation.saved.set(file);
                    self.current = generation.number;
                    let _ = self.generations.insert(generation.number, generation);
                }
                entry => self.read_entry(entry, &mut reader)?,
            }
        }
        Ok(())
    }

    fn read_entry(&mut self, entry: u8, reader: &mut Reader<'_>) -> Read<()> {
        let generation = self.generations.get_mut(&self.current);
        let generation = generation.ok_or(Damaged("has an entry of no generation"))?;
        match entry {
            CONTENT => {
                let content = Content::new(reader.u128()?, Lsn(reader.varint()?));
                generation.contents.push(content);
            }
            NAMED => {
                let named = Named::new(reader.u128()?, reader.u64()?, Lsn(reader.varint()?));
                generation.named.push(named);
            }
            ANSWER => {
                let key = Key::read(reader)?;
                generation.answer(key, reader.bytes()?);
            }
            _ => return Err(Damaged("has something of no known kind")),
        }
        Ok(())
    }

    /// Let go of what the newest file no longer counts among what is held.
    fn check(&mut self) -> Read<()> {
        let oldest =
            self.next.checked_sub(self.held).ok_or(Damaged("holds more than there was"))?;
        self.generations.retain(|number, _| (oldest..self.next).contains(number));
        let complete = self.generations.len() as u64 == self.held;
        if complete { Ok(()) } else { Err(Damaged("is not all: a generation is missing")) }
    }
}

impl Dedupe {
    /// What [`Frozen::save`] made durable: the files that it named, in its order.
    pub(crate) fn load(
        limits: Limits,
        disk: &dyn Disk,
        data_dir: &Path,
        files: &[String],
    ) -> Result<Self> {
        let mut loaded = Loaded::default();
        let mut block = Vec::new();
        for (place, file) in files.iter().enumerate() {
            let mut reader = BlockReader::open(disk, &data_dir.join(file), KIND)?;
            let lsn = lsn_of(file).ok_or_else(|| reader.damaged("has a name without a number"))?;
            while reader.next(&mut block)? {
                loaded.read(&block, lsn).map_err(|damage| reader.explain(damage))?;
            }
            if place + 1 == files.len() {
                loaded.check().map_err(|damage| reader.explain(damage))?;
            }
        }
        Ok(Self::restore(limits, loaded))
    }

    fn restore(limits: Limits, loaded: Loaded) -> Self {
        let mut dedupe = Self::new(limits);
        dedupe.producers = Producers::restore(limits.producers, loaded.producers);
        dedupe.losses = loaded.losses;
        dedupe.age = loaded.age;
        dedupe.open = Generation::new(loaded.next, minute(loaded.age));
        for (_, mut generation) in loaded.generations {
            generation.close();
            dedupe.closed_entries += generation.entries();
            dedupe.closed.push_back(Arc::new(generation));
        }
        dedupe.index_all();
        dedupe.keep_to_limits();
        dedupe
    }
}

fn lsn_of(file: &str) -> Option<Lsn> {
    let name = Path::new(file).file_stem()?.to_str()?;
    name.parse().ok().map(Lsn)
}
