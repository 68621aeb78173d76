//! Dimensions too wide to be series: each value as a keyed hash, its text only where one is shown.

use hashbrown::HashTable;

use crate::secret::Secret;
use crate::signal::Dimension;
use crate::value::OTHER_NAME;

/// No value: what no hash is.
pub(crate) const NO_VALUE: u64 = 0;

/// Precedence of a cell that nothing has filled.
const UNFILLED: u8 = u8::MAX;

/// One dimension that some companion counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub dimension: Dimension,
    /// Answers show its values.
    pub keeps_text: bool,
}

/// The columns of every batch, and the secret they are hashed with.
pub(crate) struct WidePlan {
    pub columns: Vec<Column>,
    pub secret: Secret,
    /// Longer texts are shown as [`OTHER_NAME`].
    pub text_bytes_max: usize,
}

#[derive(Clone, Copy)]
struct Cell {
    hash: u64,
    rank: u8,
}

/// Place of a text among a batch's bytes.
struct Text {
    hash: u64,
    start: usize,
    length: usize,
}

/// A batch's values of every column.
#[derive(Default)]
pub(crate) struct Wide {
    /// What the resource says, and what the span under way says over it.
    resource: Vec<Cell>,
    span: Vec<Cell>,
    /// By column, row-major, [`NO_VALUE`] where absent.
    pub hashes: Vec<u64>,
    texts: HashTable<Text>,
    bytes: Vec<u8>,
}

impl Wide {
    pub(crate) fn clear(&mut self) {
        self.hashes.clear();
        self.texts.clear();
        self.bytes.clear();
    }

    /// A resource begins: its attributes come next.
    pub(crate) fn open_resource(&mut self, plan: &WidePlan) {
        self.span.clear();
        self.span.resize(plan.columns.len(), Cell { hash: NO_VALUE, rank: UNFILLED });
    }

    /// The resource's attributes are read.
    pub(crate) fn close_resource(&mut self) {
        self.resource.clone_from(&self.span);
    }

    /// A span begins with what its resource says.
    pub(crate) fn open_span(&mut self) {
        self.span.copy_from_slice(&self.resource);
    }

    /// The span counts: keep its values.
    pub(crate) fn keep_span(&mut self) {
        self.hashes.extend(self.span.iter().map(|cell| cell.hash));
    }

    /// Hashes of the span under way, by column.
    pub(crate) fn row(&self) -> impl Iterator<Item = u64> {
        self.span.iter().map(|cell| cell.hash)
    }

    /// Take one value, unless one of better precedence is there.
    pub(crate) fn take(&mut self, plan: &WidePlan, column: usize, rank: u8, text: &[u8]) {
        let cell = &mut self.span[column];
        if text.is_empty() || rank >= cell.rank {
            return;
        }
        let hash = plan.secret.hash(text).max(NO_VALUE + 1);
        *cell = Cell { hash, rank };
        if plan.columns[column].keeps_text {
            let fits = text.len() <= plan.text_bytes_max;
            self.learn(hash, if fits { text } else { OTHER_NAME.as_bytes() });
        }
    }

    /// One column of these texts.
    #[cfg(test)]
    pub(crate) fn of_texts(texts: impl Iterator<Item = String>) -> Self {
        let mut wide = Self::default();
        for text in texts {
            let hash = xxhash_rust::xxh3::xxh3_64(text.as_bytes()).max(NO_VALUE + 1);
            wide.hashes.push(hash);
            wide.learn(hash, text.as_bytes());
        }
        wide
    }

    /// Keep what a hash reads as.
    pub(crate) fn learn(&mut self, hash: u64, text: &[u8]) {
        if self.texts.find(hash, |text| text.hash == hash).is_none() {
            let place = Text { hash, start: self.bytes.len(), length: text.len() };
            self.bytes.extend_from_slice(text);
            let _ = self.texts.insert_unique(hash, place, |text| text.hash);
        }
    }

    /// Every text kept, by hash.
    pub(crate) fn texts(&self) -> impl ExactSizeIterator<Item = (u64, &[u8])> {
        let text = |text: &Text| (text.hash, &self.bytes[text.start..text.start + text.length]);
        self.texts.iter().map(text)
    }

    /// Bytes of the texts kept.
    pub(crate) fn texts_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Text of a value of a column that keeps them.
    pub(crate) fn text(&self, hash: u64) -> &[u8] {
        let found = self.texts.find(hash, |text| text.hash == hash);
        found.map_or(b"", |text| &self.bytes[text.start..text.start + text.length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A span's own value wins over its resource's, and a better name over a worse one.
    #[test]
    fn precedence_decides() {
        let columns = vec![Column { dimension: Dimension::Prompt, keeps_text: true }];
        let plan = WidePlan { columns, secret: Secret::known(), text_bytes_max: 8 };
        let mut wide = Wide::default();
        wide.open_resource(&plan);
        wide.take(&plan, 0, 130, b"resource");
        wide.close_resource();
        wide.open_span();
        wide.keep_span();
        wide.open_span();
        wide.take(&plan, 0, 2, b"span");
        wide.take(&plan, 0, 3, b"alias");
        wide.take(&plan, 0, 1, b"");
        wide.keep_span();
        let texts: Vec<&[u8]> = wide.hashes.iter().map(|hash| wide.text(*hash)).collect();
        assert_eq!(vec![&b"resource"[..], b"span"], texts);
    }
}
