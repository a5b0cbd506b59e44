//! Rounds, medians, and numbers that are random and the same in every run.

use std::time::Instant;

use crate::Result;

/// One of those that are measured side by side: does the work of a round, and says how long the part that counts
/// took, in seconds (or any other figure of it).
pub type Contender<'a> = Box<dyn FnMut(usize) -> Result<f64> + 'a>;

/// Lets each contender do every round, one after the other, so that a disk or a processor that drifts drifts for all
/// of them. Who begins changes from round to round: nobody always comes behind the same neighbour. The medians.
pub fn interleave<const N: usize>(
    rounds: usize,
    mut contenders: [Contender<'_>; N],
) -> Result<[f64; N]> {
    let mut figures = [const { Vec::new() }; N];
    for round in 0..rounds {
        for turn in 0..N {
            let who = (round + turn) % N;
            figures[who].push(contenders[who](round)?);
        }
    }
    Ok(figures.map(median))
}

/// The seconds that some work takes, and what came of it.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed().as_secs_f64(), done)
}

/// As [`timed`], for work that may fail.
pub fn seconds<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let (time, done) = timed(work);
    done.map(|_| time)
}

/// The upper median.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
