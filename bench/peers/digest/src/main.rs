//! Runs spanmill's digest and its Rust peers over the same streams, for `bench/digest`.
//!
//! Reads one JSON request a line from standard input and answers each with one
//! JSON line: figures, or `{"error": …}`. Whoever asks decides what runs when, so
//! that peers in two languages take turns within one round. Streams are files of
//! little-endian f64.

mod measure;
mod ours;
mod peers;
mod request;
mod series;
mod sketch;

use std::io::{BufRead, Write};

use serde_json::{Value, json};

use crate::request::{Ask, Streams};

/// What went wrong, in words for whoever asked.
type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err("a debug build says nothing about speed: use --release".into());
    }
    let mut streams = Streams::default();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&line?, &mut streams);
        writeln!(out, "{}", answer.unwrap_or_else(|error| json!({"error": error.to_string()})))?;
        out.flush()?;
    }
    Ok(())
}

fn answer(line: &str, streams: &mut Streams) -> Result<Value, Failure> {
    let ask: Ask = serde_json::from_str(line)?;
    match ask {
        Ask::List => Ok(peers::list()),
        Ask::Answer(job) => peers::named(&job.setup.contender)?.answer(&job, streams),
        Ask::Insert(job) => peers::named(&job.setup.contender)?.insert(&job, streams),
        Ask::Merge(job) => peers::named(&job.setup.contender)?.merge(&job, streams),
        Ask::Query(job) => peers::named(&job.setup.contender)?.query(&job, streams),
        Ask::Resident(job) => peers::named(&job.setup.contender)?.resident(&job, streams),
        Ask::OpenInsert(job) => ours::open_insert(&job, streams),
        Ask::Series(job) => series::run(&job, streams),
        Ask::Ways(job) => ours::merge_ways(&job, streams),
        Ask::Codec(job) => ours::codec(&job, streams),
    }
}
