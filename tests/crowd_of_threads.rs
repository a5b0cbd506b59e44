//! Sixteen threads do everything at once: save, compare and swap, roll back, read, compact and rebuild the index, on one
//! handle and on handles of their own. `BACKSTORY_TORTURE=1` does it for three minutes.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, CompactOptions, Document, Spec};
use support::{save, source};

const THREADS: u64 = 16;

/// What the threads have been told.
#[derive(Debug, Default)]
struct Acknowledged {
    saves: AtomicU64,
    swaps: AtomicU64,
    rollbacks: AtomicU64,
    reads: AtomicU64,
    compacts: AtomicU64,
    rebuilds: AtomicU64,
}

fn text(thread: u64, n: u64) -> String {
    format!("{{\"thread\": {thread}, \"n\": {n}}}\n")
}

/// One more; `false` where another thread was faster.
fn swap(archive: &Archive) -> bool {
    let newest = archive.newest("count").unwrap().unwrap();
    let count: u64 = String::from_utf8(archive.load(&newest).unwrap().source())
        .unwrap()
        .parse()
        .unwrap();
    let mut swap = archive.save();
    swap.add("count", Document::source((count + 1).to_string()))
        .unwrap();
    swap.if_version(newest.version);
    match swap.commit() {
        Ok(_) => true,
        Err(error) if error.is_conflict() => false,
        Err(error) => panic!("{error}"),
    }
}

/// A version that this thread was told of is what it saved, whatever others do.
fn read(archive: &Archive, thread: u64, saved: &[u64]) {
    let Some(n) = saved.len().checked_sub(1) else {
        return;
    };
    let at = n / 2;
    let path = format!("own/{thread}");
    let found = source(archive, &path, saved[at]).unwrap();
    assert_eq!(String::from_utf8(found).unwrap(), text(thread, at as u64));
}

fn one_thread(thread: u64, archive: &Archive, end: Instant, told: &Acknowledged) -> Vec<u64> {
    let path = format!("own/{thread}");
    // The version that each of its saves has made.
    let mut saved = Vec::new();
    let mut round = thread;
    while Instant::now() < end {
        round += 1;
        match round % 16 {
            0..8 => {
                let change = save(archive, &path, &text(thread, saved.len() as u64));
                saved.push(change.version);
                told.saves.fetch_add(1, Ordering::Relaxed);
            }
            8 | 9 => {
                told.swaps
                    .fetch_add(u64::from(swap(archive)), Ordering::Relaxed);
            }
            10 if saved.len() > 2 => {
                let mut back = archive.rollback();
                back.path(&path, Some(Spec::Number(saved[saved.len() / 3])))
                    .unwrap();
                back.commit().unwrap();
                told.rollbacks.fetch_add(1, Ordering::Relaxed);
            }
            11..14 => {
                read(archive, thread, &saved);
                told.reads.fetch_add(1, Ordering::Relaxed);
            }
            14 if thread.is_multiple_of(5) => {
                match archive.compact(&CompactOptions::default()) {
                    Ok(_) => {
                        told.compacts.fetch_add(1, Ordering::Relaxed);
                    }
                    // Two at once: one of them has packed nothing.
                    Err(error) => assert!(error.is_conflict(), "{error}"),
                }
            }
            15 if thread % 5 == 1 => {
                archive.reindex().unwrap();
                told.rebuilds.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
    saved
}

#[test]
fn sixteen_threads_do_everything_at_once() {
    let torture = std::env::var_os("BACKSTORY_TORTURE").is_some();
    let time = Duration::from_secs(if torture { 180 } else { 2 });
    let dir = tempfile::tempdir().unwrap();
    let shared = Archive::create(dir.path()).unwrap();
    save(&shared, "count", "0");
    let told = Acknowledged::default();
    let end = Instant::now() + time;
    let saved: Vec<Vec<u64>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (shared, told, dir) = (&shared, &told, dir.path());
                scope.spawn(move || match thread % 2 {
                    0 => one_thread(thread, shared, end, told),
                    _ => one_thread(thread, &Archive::open(dir).unwrap(), end, told),
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    println!("{told:?}");

    // Whoever opens it now finds all of it, and nothing else.
    drop(shared);
    let archive = Archive::open(dir.path()).unwrap();
    let report = verify(&archive, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    for (thread, versions) in saved.iter().enumerate() {
        let path = format!("own/{thread}");
        for (n, version) in versions.iter().enumerate() {
            let found = source(&archive, &path, *version).unwrap();
            assert_eq!(
                found,
                text(thread as u64, n as u64).into_bytes(),
                "{path}@{version}"
            );
        }
    }
    let [saves, swaps, rollbacks] =
        [&told.saves, &told.swaps, &told.rollbacks].map(|told| told.load(Ordering::Relaxed));
    let newest = archive.newest("count").unwrap().unwrap();
    assert_eq!(
        archive.load(&newest).unwrap().source(),
        swaps.to_string().into_bytes()
    );
    assert_eq!(newest.version, swaps + 1);
    // A rollback to what is current makes a version too; each of the others is a commit of its own.
    assert_eq!(archive.head().unwrap().seq, 1 + saves + swaps + rollbacks);
}
