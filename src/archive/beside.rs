//! Two things at once, where both take long.

use std::ops::RangeInclusive;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread::{self, Builder};

use crate::layout::LARGE_SOURCE;

/// Up to so many bytes a thread costs about what it saves. Beyond the other end what two things take at once is more
/// than the memory that a document may take, until layouts are inferred from parts.
const WORTH_A_THREAD: RangeInclusive<usize> = 48 << 10..=8 << 20;

/// Does both, `aside` in a thread of its own where a source of `len` bytes is worth one and there are `cores`.
pub(super) fn beside<A: Send, B>(
    cores: usize,
    len: usize,
    aside: impl Fn() -> A + Sync,
    here: impl FnOnce() -> B,
) -> (A, B) {
    let worth_it = WORTH_A_THREAD.contains(&len) || len >= LARGE_SOURCE;
    if !worth_it || all_cores() < cores {
        return (aside(), here());
    }
    thread::scope(|scope| {
        let there = Builder::new().spawn_scoped(scope, &aside);
        let b = here();
        let a = match there.map(|thread| thread.join()) {
            Ok(Ok(a)) => a,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => aside(),
        };
        (a, b)
    })
}

pub(super) fn all_cores() -> usize {
    // Asking takes reading files.
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_done_once() {
        for (cores, len) in [(1, 0), (1, 100 << 10), (1 << 20, 100 << 10), (1, 1 << 30)] {
            let text = String::from("a");
            let answer = beside(cores, len, || text.len(), || text.clone());
            assert_eq!(answer, (1, "a".to_owned()));
        }
    }
}
