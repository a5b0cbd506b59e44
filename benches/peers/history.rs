//! The versions of one path among many.

use backstory::{Archive, HistoryQuery};

use crate::child::output;
use crate::corpus::{Corpus, Entry};
use crate::measure::{Dice, interleave, timed};
use crate::sqlite::{Sqlite, database_of};
use crate::table::Amount::Seconds;
use crate::table::Target;
use crate::{Bench, Result, git, ours};

const VERSIONS: usize = 100;

pub fn run(bench: &mut Bench) -> Result<()> {
    let room = &bench.room;
    let corpus = Corpus::results_as_files(&room.data, room.quick)?;
    let archive = Archive::open(ours::archive_of(room, &corpus)?)?;
    let sqlite = Sqlite::open(&database_of(room, &corpus)?)?;
    let rounds = room.pick(1000, 100);
    let paths = corpus.newest();
    let mut dice = Dice(16);
    let picks: Vec<&Entry> = (0..rounds)
        .map(|_| paths[dice.below(paths.len())])
        .collect();
    let [ours, select] = interleave(
        rounds,
        [
            Box::new(|round| {
                let (time, found) = timed(|| history(&archive, &picks[round].path));
                complete(found?.len())?;
                Ok(time)
            }),
            Box::new(|round| {
                let (time, found) = timed(|| sqlite.history(&picks[round].path, VERSIONS));
                complete(found?.len())?;
                Ok(time)
            }),
        ],
    )?;
    let what = format!("history of a path among {} versions", corpus.entries.len());
    let target = Target::AtMost(Seconds(0.2e-3));
    bench.table.bound(&what, Seconds(ours), target);
    let select = ("SQLite SELECT of the numbers", Seconds(select));
    bench
        .table
        .compare(&what, Seconds(ours), select, Target::None);
    if bench.git {
        // It walks all commits, which takes long enough to need few rounds.
        let repository = git::repository_of(&bench.room, &corpus)?;
        let [again, log] = interleave(
            3,
            [
                Box::new(|round| {
                    let (time, found) = timed(|| history(&archive, &picks[round].path));
                    complete(found?.len())?;
                    Ok(time)
                }),
                Box::new(|round| {
                    let mut log = git::git(&repository);
                    log.args(["log", "--format=%H", "--", &picks[round].path]);
                    let (time, found) = timed(|| output(&mut log));
                    complete(found?.split(|byte| *byte == b'\n').count() - 1)?;
                    Ok(time)
                }),
            ],
        )?;
        let log = ("git log -- PATH", Seconds(log));
        bench
            .table
            .compare(&what, Seconds(again), log, Target::None);
    }
    Ok(())
}

fn history(archive: &Archive, path: &str) -> Result<Vec<backstory::Version>> {
    let versions = archive.history(HistoryQuery {
        path: Some(path.to_owned()),
        limit: Some(VERSIONS),
        ..HistoryQuery::default()
    })?;
    Ok(versions.collect::<backstory::Result<_>>()?)
}

fn complete(found: usize) -> Result<()> {
    match found {
        VERSIONS => Ok(()),
        _ => Err(format!("{found} versions and not {VERSIONS}").into()),
    }
}
