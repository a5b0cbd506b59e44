//! A process for each save or load, as in a shell.

use std::fs;
use std::path::Path;

use backstory::{Archive, Spec};

use crate::child::{finish, output};
use crate::corpus::{Corpus, Entry, renewed};
use crate::measure::{Dice, interleave, seconds, timed};
use crate::room::settle;
use crate::sqlite::{self, Sqlite};
use crate::table::Amount::Seconds;
use crate::table::{ABSENT, Target};
use crate::{Bench, Result, git, ours};

pub fn save(bench: &mut Bench) -> Result<()> {
    let corpus = Corpus::results_as_files(&bench.room.data, bench.room.quick)?;
    let first = &corpus.entries[0];
    let short = Corpus {
        name: "ten",
        entries: (corpus.entries.iter())
            .filter(|entry| entry.path == first.path)
            .take(10)
            .cloned()
            .collect(),
    };
    for corpus in [&short, &corpus] {
        save_one_more(bench, corpus)?;
    }
    Ok(())
}

/// Saves a path of a history again and again, in other words each time.
fn save_one_more(bench: &mut Bench, corpus: &Corpus) -> Result<()> {
    let room = &bench.room;
    let rounds = room.pick(41, 9);
    let ours = room.copy(&ours::archive_of(room, corpus)?)?;
    let sqlite = room.copy(&sqlite::database_of(room, corpus)?)?;
    let repository = match bench.git {
        true => room.copy(&git::repository_of(room, corpus)?)?,
        false => room.folder()?,
    };
    let Entry { path, text, .. } = &corpus.entries[0];
    let newest = corpus.entries.iter().rfind(|entry| entry.path == *path);
    let newest = newest.map_or(0, |entry| entry.version);
    let write = |folder: &Path, round: usize| -> Result<()> {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().ok_or("a file is in a folder")?)?;
        Ok(fs::write(file, renewed(text, round)?)?)
    };
    settle();
    // The first round finds a copy that has to be got used to: the index, the list of files. It is one of many.
    let [save, insert, commit] = interleave(
        rounds,
        [
            Box::new(|round| {
                write(ours.path(), round)?;
                seconds(|| finish(ours::command(ours.path()).args(["save", path])))
            }),
            Box::new(|round| {
                if !bench.sqlite3 {
                    return Ok(ABSENT);
                }
                write(sqlite.path(), round)?;
                let version = newest + 1 + round as u64;
                let mut insert = sqlite::insert_file(sqlite.path(), path, path, version);
                seconds(|| finish(&mut insert))
            }),
            Box::new(|round| {
                if !bench.git {
                    return Ok(ABSENT);
                }
                write(repository.path(), round)?;
                seconds(|| {
                    finish(git::git(repository.path()).args(["add", path]))?;
                    finish(git::git(repository.path()).args(["commit", "--quiet", "-m", "more"]))
                })
            }),
        ],
    )?;
    let last = renewed(text, rounds - 1)?;
    let archive = Archive::open(ours.path())?;
    let loaded = ours::load(&archive, path, &Spec::Number(newest + rounds as u64))?;
    if loaded != last.as_bytes() {
        return Err("not every save made a version".into());
    }
    if bench.sqlite3 && Sqlite::open(sqlite.path())?.newest(path)? != last {
        return Err("sqlite3 did not insert the file".into());
    }
    let what = format!("`save FILE`, {} versions", corpus.entries.len());
    let insert = ("sqlite3 INSERT", Seconds(insert));
    let commit = ("git add + commit", Seconds(commit));
    let table = &mut bench.table;
    table.compare(&what, Seconds(save), insert, Target::AtMost(0.7));
    table.compare(&what, Seconds(save), commit, Target::AtMost(0.33));
    Ok(())
}

pub fn load(bench: &mut Bench) -> Result<()> {
    let (data, quick) = (bench.room.data.clone(), bench.room.quick);
    for corpus in [Corpus::fires, Corpus::results_as_files] {
        load_old(bench, &corpus(&data, quick)?)?;
    }
    Ok(())
}

/// Loads versions from all over a history, printed to a pipe.
fn load_old(bench: &mut Bench, corpus: &Corpus) -> Result<()> {
    if !bench.git {
        return Ok(());
    }
    let room = &bench.room;
    let rounds = room.pick(61, 15);
    let archive = ours::archive_of(room, corpus)?;
    let repository = git::repository_of(room, corpus)?;
    let commits = git::commits(&repository)?;
    let mut dice = Dice(4);
    let picks: Vec<usize> = (0..rounds)
        .map(|_| dice.below(corpus.entries.len()))
        .collect();
    let [load, show] = interleave(
        rounds,
        [
            Box::new(|round| {
                let entry = &corpus.entries[picks[round]];
                let rev = format!("{}@{}", entry.path, entry.version);
                let (time, printed) =
                    timed(|| output(ours::command(&archive).args(["load", &rev])));
                entry.check(printed?)?;
                Ok(time)
            }),
            Box::new(|round| {
                let entry = &corpus.entries[picks[round]];
                let rev = format!("{}:{}", commits[picks[round]], entry.path);
                let (time, printed) = timed(|| output(git::git(&repository).args(["show", &rev])));
                entry.check(printed?)?;
                Ok(time)
            }),
        ],
    )?;
    bench.table.compare(
        format!("`load REV`, {}", corpus.name),
        Seconds(load),
        ("git show", Seconds(show)),
        Target::AtMost(1.5),
    );
    Ok(())
}
