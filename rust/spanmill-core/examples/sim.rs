//! The simulator over many seeds, on every core: `sim [SEEDS [FIRST]]`, or `sim --seed N`.
//!
//! Behind them `--without sync`, `crc`, `dedupe` or `order` takes away one of the things that it
//! is there to miss.

#[path = "../tests/sim/mod.rs"]
mod sim;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use spanmill_core::Weakened;

/// Failing seeds shown before it gives up.
const SHOWN: usize = 3;

/// Without what a name says.
fn without(name: &str) -> Weakened {
    let mut weakened = Weakened::default();
    match name {
        "sync" => weakened.skip_sync = true,
        "crc" => weakened.skip_crc = true,
        "dedupe" => weakened.forget_dedupe = true,
        "order" => weakened.unlink_first = true,
        other => panic!("cannot do without {other:?}: there are sync, crc, dedupe and order"),
    }
    weakened
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let at = arguments.iter().position(|argument| argument == "--without");
    let left_out = at.map_or_else(Vec::new, |at| arguments.split_off(at));
    let weakened = left_out.get(1).map_or_else(Weakened::default, |name| without(name));
    let number = |at: usize, default: u64| {
        arguments.get(at).map_or(default, |text| text.parse().expect("a number of seeds"))
    };
    let (first, count) = match arguments.first().map(String::as_str) {
        Some("--seed") => (number(1, 0), 1),
        _ => (number(1, 0), number(0, 10_000)),
    };
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let all = Mutex::new((sim::Report::default(), 0));
    let live = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            let outcome = sim::run(seed, weakened);
            let mut all = all.lock().expect("no other thread panicked");
            match outcome {
                Ok(report) => all.0 += report,
                Err(failure) => {
                    // At once: a long run may be cut short.
                    let _ = writeln!(io::stdout(), "{failure}\n");
                    all.1 += 1;
                }
            }
            if all.1 >= SHOWN {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let _ = scope.spawn(live);
        }
    });
    let (report, failures) = all.into_inner().expect("no thread panicked");
    let seconds = begun.elapsed().as_secs_f64();
    let _ = writeln!(io::stdout(), "{count} seeds in {seconds:.1} s: {report:?}");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
