//! What one checkpoint says: a record's number, everything small, and which files hold the rest.
//!
//! The first block has the number, the configuration and the files; each further one a
//! section: `what u8 | of which | bytes`, where `which` is a view's or objective's place
//! in that configuration.

use std::path::Path;

use super::counters::CounterFile;
use super::names::FileRef;
use super::write::ByCut;
use crate::codec::{Damaged, Read, Reader, Writer};
use crate::config::Config;
use crate::disk::Disk;
use crate::error::Result;
use crate::file::{BlockReader, BlockWriter, Kind};
use crate::journal::Lsn;
use crate::sequence::EventTime;

/// Raised whenever what a checkpoint says, or how, changes.
pub(super) const KIND: Kind = Kind { number: 1, name: "checkpoint", layout: 1 };

/// What a section is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Values,
    Ledger,
    Kept,
    /// What is sealed and on disk.
    Sealed,
    /// Identities, overflow and totals of a view, and of its companions.
    View,
    /// Identities of an objective's groups.
    Objective,
}

const SECTIONS: [Section; 6] = [
    Section::Values,
    Section::Ledger,
    Section::Kept,
    Section::Sealed,
    Section::View,
    Section::Objective,
];

/// One checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manifest {
    /// Everything up to this record is in it, nothing after.
    pub lsn: Lsn,
    /// The configuration under which the records after it are written, as JSON.
    pub config: String,
    pub time: EventTime,
    /// What windows had open, and what companions had.
    pub edges: ByCut,
    pub companions: ByCut,
    /// In the order in which they are put back.
    pub counters: Vec<CounterFile>,
    pub dedupe: Vec<FileRef>,
    pub sealed: Vec<FileRef>,
    pub sections: Vec<(Section, usize, Vec<u8>)>,
}

impl Manifest {
    /// Every file it needs.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileRef> {
        let edges = self.edges.values().chain(self.companions.values());
        let counters = self.counters.iter().map(|counters| &counters.file);
        edges.chain(counters).chain(&self.dedupe).chain(&self.sealed)
    }

    /// What it says of something.
    pub(super) fn section(&self, section: Section, which: usize) -> Read<Reader<'_>> {
        let found = self.sections.iter().find(|(of, at, _)| (*of, *at) == (section, which));
        found.map(|(_, _, bytes)| Reader(bytes)).ok_or(Damaged("lacks a part"))
    }

    /// The configuration that it was written under.
    pub(super) fn config(&self) -> Read<Config> {
        Config::from_json(&self.config)
            .map_err(|_| Damaged("has a configuration that this version does not read"))
    }

    /// Make it durable under `path`; its size in bytes.
    pub(super) fn write(&self, disk: &dyn Disk, path: &Path) -> Result<u64> {
        let mut writer = BlockWriter::create(disk, path, KIND)?;
        let mut out = Writer::default();
        self.write_head(&mut out);
        writer.block(&out.0)?;
        for (section, which, bytes) in &self.sections {
            out.0.clear();
            out.u8(*section as u8);
            out.varint(*which as u64);
            out.0.extend_from_slice(bytes);
            writer.block(&out.0)?;
        }
        writer.finish()
    }

    fn write_head(&self, out: &mut Writer) {
        out.u64(self.lsn.0);
        out.bytes(self.config.as_bytes());
        out.option(self.time.newest_ns);
        out.option(self.time.watermark_ns);
        out.i64(self.time.last_arrival_ns);
        for files in [&self.edges, &self.companions] {
            out.varint(files.len() as u64);
            for (cut, file) in files {
                out.varint(*cut);
                file.write(out);
            }
        }
        out.varint(self.counters.len() as u64);
        self.counters.iter().for_each(|counters| counters.write(out));
        for files in [&self.dedupe, &self.sealed] {
            out.varint(files.len() as u64);
            files.iter().for_each(|file| file.write(out));
        }
    }

    /// Read all of one.
    pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let mut reader = BlockReader::open(disk, path, KIND)?;
        let mut block = Vec::new();
        if !reader.next(&mut block)? {
            return Err(reader.damaged("is empty"));
        }
        let mut manifest =
            Self::read_head(Reader(&block)).map_err(|damage| reader.explain(damage))?;
        while reader.next(&mut block)? {
            let section = read_section(Reader(&block)).map_err(|damage| reader.explain(damage))?;
            manifest.sections.push(section);
        }
        Ok(manifest)
    }

    fn read_head(mut reader: Reader<'_>) -> Read<Self> {
        let lsn = Lsn(reader.u64()?);
        let config = reader.text()?.to_owned();
        let time = EventTime {
            newest_ns: reader.option()?,
            watermark_ns: reader.option()?,
            last_arrival_ns: reader.i64()?,
            lsn,
        };
        let mut by_cut = || -> Read<ByCut> {
            (0..reader.count(3)?)
                .map(|_| Ok((reader.varint()?, FileRef::read(&mut reader)?)))
                .collect()
        };
        let (edges, companions) = (by_cut()?, by_cut()?);
        let counters =
            (0..reader.count(5)?).map(|_| CounterFile::read(&mut reader)).collect::<Read<_>>()?;
        let mut files = || -> Read<Vec<FileRef>> {
            (0..reader.count(2)?).map(|_| FileRef::read(&mut reader)).collect()
        };
        let (dedupe, sealed) = (files()?, files()?);
        reader.end()?;
        let sections = Vec::new();
        Ok(Self { lsn, config, time, edges, companions, counters, dedupe, sealed, sections })
    }
}

fn read_section(mut reader: Reader<'_>) -> Read<(Section, usize, Vec<u8>)> {
    let section = SECTIONS.get(usize::from(reader.u8()?));
    let section = *section.ok_or(Damaged("has a part of no known kind"))?;
    Ok((section, reader.varint()? as usize, reader.0.to_vec()))
}
