//! Accuracy of a digest by stream, as JSON lines.
//!
//! `bench_digest [--seeds N] [--n N] [--batch N] [--bytes N] [--leaves N] [STREAM]...`
//! prints an object a stream and seed: the errors in ppm of rank at 0.001, 0.1,
//! 0.5, 0.9, 0.99, 0.999 and 0.9999, the greatest over 0.001..0.999 in thousandths,
//! and the bytes. With `--leaves` the stream is cut into as many digests, merged once.

#[path = "../tests/digest_model/mod.rs"]
mod digest_model;

use std::io::Write;

use digest_model::{Model, STREAMS, values};
use spanmill_core::digest::{Builder, Digest};

type Failure = Box<dyn std::error::Error>;

struct Options {
    seeds: u64,
    n: usize,
    batch: usize,
    bytes: usize,
    leaves: usize,
    streams: Vec<String>,
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        seeds: 3,
        n: 1_000_000,
        batch: 5_000,
        bytes: 1_600,
        leaves: 1,
        streams: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<usize, Failure> {
            let text = arguments.next().ok_or_else(|| format!("{argument} needs a number"))?;
            Ok(text.parse()?)
        };
        match argument.as_str() {
            "--seeds" => options.seeds = number()? as u64,
            "--n" => options.n = number()?,
            "--batch" => options.batch = number()?,
            "--bytes" => options.bytes = number()?,
            "--leaves" => options.leaves = number()?,
            name if STREAMS.iter().any(|stream| stream.name == name) => {
                options.streams.push(argument);
            }
            _ => return Err(format!("there is no option or stream {argument}").into()),
        }
    }
    Ok(options)
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    let wanted =
        |name: &str| options.streams.is_empty() || options.streams.iter().any(|s| s == name);
    for stream in STREAMS.iter().filter(|stream| wanted(stream.name)) {
        for seed in 1..=options.seeds {
            let values = values(stream.name, options.n, seed);
            let mut leaves = Vec::new();
            for part in values.chunks(values.len().div_ceil(options.leaves)) {
                let mut builder = Builder::new(stream.transform, options.bytes)?;
                for batch in part.chunks(options.batch) {
                    let _ = builder.add(batch);
                }
                leaves.push(builder.seal());
            }
            let bytes = leaves[0].to_bytes().len();
            let digest =
                if leaves.len() == 1 { leaves.remove(0) } else { Digest::merge_for_query(&leaves) };
            let reader = digest.reader().ok_or("the stream is empty")?;
            let (errors, grid) = Model::new(stream.transform, values).errors(&reader);
            let ppm = |error: f64| (error * 1e7).round() / 10.0;
            let line = serde_json::json!({
                "stream": stream.name, "seed": seed, "n": options.n, "batch": options.batch,
                "leaves": options.leaves, "bytes": bytes, "centroids": digest.centroids().count(),
                "errors": errors.map(ppm), "grid_max": ppm(grid),
            });
            writeln!(std::io::stdout(), "{line}")?;
        }
    }
    Ok(())
}
