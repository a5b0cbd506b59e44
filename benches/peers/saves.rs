//! Durable saves in process: one at a time, and by many threads.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;

use backstory::Archive;

use crate::corpus::{Corpus, Entry};
use crate::measure::{interleave, seconds, timed};
use crate::ours::{self, Keep};
use crate::room::settle;
use crate::sqlite::Sqlite;
use crate::table::Amount::{Saves, Seconds};
use crate::table::Target;
use crate::{Bench, Result};

/// What a disk is asked for at the least by anyone who keeps a small change.
const RAW: [u8; 200] = [7; 200];

const THREADS: usize = 16;

pub fn one(bench: &mut Bench) -> Result<()> {
    let room = &bench.room;
    let results = Corpus::results_as_files(&room.data, room.quick)?;
    let (before, rounds) = room.pick((5000, 2000), (1000, 300));
    one_by_one(
        bench,
        &results,
        before,
        rounds,
        Target::AtMost(1.5),
        Target::AtMost(0.7),
    )?;
    drop(results);
    let room = &bench.room;
    let fires = Corpus::fires(&room.data, room.quick)?;
    let (before, rounds) = room.pick((1000, 500), (200, 60));
    one_by_one(
        bench,
        &fires,
        before,
        rounds,
        Target::None,
        Target::AtMost(1.0),
    )
}

/// Saves `rounds` entries of a history that has `before` versions already.
fn one_by_one(
    bench: &mut Bench,
    corpus: &Corpus,
    before: usize,
    rounds: usize,
    against_raw: Target<f64>,
    against_sqlite: Target<f64>,
) -> Result<()> {
    let folder = bench.room.folder()?;
    let (before, entries) = corpus.entries.split_at(before);
    let archive = Archive::create(folder.path())?;
    ours::fill(&archive, before)?;
    let sqlite = Sqlite::open(folder.path())?;
    sqlite.insert_all(before)?;
    let raw = File::create(folder.path().join("raw"))?;
    settle();
    let [save, insert, append] = interleave(
        rounds,
        [
            Box::new(|round| seconds(|| ours::save(&archive, &entries[round], Keep::Source))),
            Box::new(|round| seconds(|| sqlite.insert(&entries[round]))),
            Box::new(|round| {
                seconds(|| {
                    raw.write_all_at(&RAW, (round * RAW.len()) as u64)?;
                    Ok(raw.sync_data()?)
                })
            }),
        ],
    )?;
    let last = &entries[rounds - 1];
    let newest = ours::load(&archive, &last.path, &backstory::Spec::Latest)?;
    last.check(newest)?;
    let what = format!("durable save, {}", corpus.name);
    let raw = ("200 bytes + fdatasync", Seconds(append));
    let sqlite = ("SQLite INSERT", Seconds(insert));
    bench.table.compare(&what, Seconds(save), raw, against_raw);
    bench
        .table
        .compare(&what, Seconds(save), sqlite, against_sqlite);
    Ok(())
}

pub fn threads(bench: &mut Bench) -> Result<()> {
    let room = &bench.room;
    let corpus = Corpus::results_as_files(&room.data, room.quick)?;
    let (rounds, each) = room.pick((9, 100), (5, 25));
    let folder = room.folder()?;
    let archive = Archive::create(folder.path())?;
    ours::fill(&archive, &corpus.entries[..1000])?;
    settle();
    let next = Cell::new(1000);
    let take = |count: usize| {
        let start = next.get();
        next.set(start + count);
        &corpus.entries[start..start + count]
    };
    let save_all = |entries: &[Entry]| -> Result<()> {
        entries
            .iter()
            .try_for_each(|entry| ours::save(&archive, entry, Keep::Source))
    };
    let [one, many] = interleave(
        rounds,
        [
            Box::new(|_| {
                let entries = take(each);
                let time = seconds(|| save_all(entries))?;
                Ok(each as f64 / time)
            }),
            Box::new(|_| {
                let shares = take(THREADS * each).chunks(each);
                let (time, done) = timed(|| {
                    std::thread::scope(|scope| {
                        let threads: Vec<_> = shares
                            .map(|share| scope.spawn(|| save_all(share)))
                            .collect();
                        threads.into_iter().try_for_each(|thread| {
                            thread.join().map_err(|_| "a thread panicked")?
                        })
                    })
                });
                done?;
                Ok((THREADS * each) as f64 / time)
            }),
        ],
    )?;
    bench.table.compare(
        "16 threads saving, results",
        Saves(many),
        ("one thread", Saves(one)),
        Target::AtLeast(6.0),
    );
    Ok(())
}
