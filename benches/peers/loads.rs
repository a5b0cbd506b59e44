//! Loading in process: versions from all over a history, and the newest ones.

use std::path::Path;

use backstory::{Archive, Spec};

use crate::corpus::Corpus;
use crate::measure::{Dice, interleave, timed};
use crate::sqlite::{Sqlite, database_of};
use crate::table::Amount::Seconds;
use crate::table::{ABSENT, Target};
use crate::{Bench, Result, git, ours};

pub fn run(bench: &mut Bench) -> Result<()> {
    let (data, quick) = (bench.room.data.clone(), bench.room.quick);
    for corpus in [Corpus::fires, Corpus::results_as_files] {
        let corpus = corpus(&data, quick)?;
        let archive = ours::archive_of(&bench.room, &corpus)?;
        old(bench, "", &archive, &corpus)?;
        newest(bench, "", &archive, &corpus)?;
    }
    Ok(())
}

/// The most that a load of an old version may take; of the newest one half of it.
fn most(corpus: &Corpus) -> f64 {
    match corpus.name {
        "fires" => 0.3e-3,
        _ => 0.05e-3,
    }
}

/// A version by its number.
pub fn old(bench: &mut Bench, state: &str, archive: &Path, corpus: &Corpus) -> Result<()> {
    let room = &bench.room;
    let rounds = room.pick(2000, 300);
    let archive = Archive::open(archive)?;
    let sqlite = Sqlite::open(&database_of(room, corpus)?)?;
    let (mut reader, commits) = match bench.git {
        true => {
            let repository = git::repository_of(room, corpus)?;
            let reader = git::Reader::start(&repository)?;
            (Some(reader), git::commits(&repository)?)
        }
        false => (None, Vec::new()),
    };
    let mut dice = Dice(8);
    let picks: Vec<usize> = (0..rounds)
        .map(|_| dice.below(corpus.entries.len()))
        .collect();
    let entry = |round: usize| &corpus.entries[picks[round]];
    let [load, select, cat] = interleave(
        rounds,
        [
            Box::new(|round| {
                let entry = entry(round);
                let spec = Spec::Number(entry.version);
                let (time, loaded) = timed(|| ours::load(&archive, &entry.path, &spec));
                entry.check(loaded?)?;
                Ok(time)
            }),
            Box::new(|round| {
                let entry = entry(round);
                let (time, loaded) = timed(|| sqlite.body(&entry.path, entry.version));
                entry.check(loaded?)?;
                Ok(time)
            }),
            Box::new(|round| {
                let Some(reader) = &mut reader else {
                    return Ok(ABSENT);
                };
                let entry = entry(round);
                let commit = &commits[picks[round]];
                let (time, loaded) = timed(|| reader.load(commit, &entry.path));
                entry.check(loaded?)?;
                Ok(time)
            }),
        ],
    )?;
    let what = format!("load, old version, {}{state}", corpus.name);
    let table = &mut bench.table;
    let target = Target::AtMost(Seconds(most(corpus)));
    table.bound(&what, Seconds(load), target);
    let select = ("SQLite SELECT", Seconds(select));
    table.compare(&what, Seconds(load), select, Target::None);
    let cat = ("git cat-file --batch", Seconds(cat));
    table.compare(&what, Seconds(load), cat, Target::None);
    Ok(())
}

/// The newest version of any path, by a handle that has not loaded it before.
pub fn newest(bench: &mut Bench, state: &str, archive: &Path, corpus: &Corpus) -> Result<()> {
    let room = &bench.room;
    let folder = archive;
    let sqlite = Sqlite::open(&database_of(room, corpus)?)?;
    let mut dice = Dice(15);
    let mut newest = corpus.newest();
    let one_path = newest.len() == 1;
    let rounds = match one_path {
        true => room.pick(200, 50),
        false => newest.len(),
    };
    for last in (1..newest.len()).rev() {
        newest.swap(last, dice.below(last + 1));
    }
    let mut archive = Archive::open(folder)?;
    let [load, select] = interleave(
        rounds,
        [
            Box::new(|round| {
                if one_path {
                    archive = Archive::open(folder)?;
                }
                let entry = newest[round % newest.len()];
                let (time, loaded) = timed(|| ours::load(&archive, &entry.path, &Spec::Latest));
                entry.check(loaded?)?;
                Ok(time)
            }),
            Box::new(|round| {
                let entry = newest[round % newest.len()];
                let (time, loaded) = timed(|| sqlite.newest(&entry.path));
                entry.check(loaded?)?;
                Ok(time)
            }),
        ],
    )?;
    let what = format!("load, newest version, {}{state}", corpus.name);
    let target = Target::AtMost(Seconds(most(corpus) / 2.0));
    bench.table.bound(&what, Seconds(load), target);
    let select = ("SQLite SELECT", Seconds(select));
    bench
        .table
        .compare(&what, Seconds(load), select, Target::None);
    Ok(())
}
