//! Bytes on disk, as plain saves leave them and after `compact`.

use std::path::Path;

use backstory::Archive;

use crate::child::{finish, output};
use crate::corpus::Corpus;
use crate::ours::{self, Keep};
use crate::room::{Room, bytes_below};
use crate::table::Amount::Bytes;
use crate::table::Target;
use crate::{Bench, Result, git, loads};

pub fn plain(bench: &mut Bench) -> Result<()> {
    let (data, quick) = (bench.room.data.clone(), bench.room.quick);
    for (corpus, most) in [
        (Corpus::fires(&data, quick)?, 1.65e6),
        (Corpus::results_as_files(&data, quick)?, 36e6),
    ] {
        let folder = bench.room.folder()?;
        let (sources, values) = (folder.path().join("sources"), folder.path().join("values"));
        // Nothing is timed here, so both wait for the disk at once.
        std::thread::scope(|scope| {
            let other = scope.spawn(|| save_all(&values, &corpus, Keep::Value));
            save_all(&sources, &corpus, Keep::Source)?;
            other.join().map_err(|_| "a thread panicked")?
        })?;
        let (with, without) = (ours::log_bytes(&sources)?, ours::log_bytes(&values)?);
        let versions = corpus.entries.len();
        let name = corpus.name;
        let table = &mut bench.table;
        let log = format!("log, {name}, {versions} versions");
        table.bound(&log, Bytes(with), Target::AtMost(Bytes(most)));
        table.compare(
            format!("log with sources, {name}"),
            Bytes(with),
            ("without", Bytes(without)),
            Target::AtMost(1.1),
        );
        let index = ours::index_bytes(&sources)? / versions as f64;
        let what = format!("index of a version, {name}");
        table.bound(&what, Bytes(index), Target::AtMost(Bytes(160.0)));
        if bench.git && !quick && name == "fires" {
            let packed = packed_by_git(&bench.room, &corpus)?;
            let git = ("git gc --aggressive", Bytes(packed));
            bench.table.compare(&log, Bytes(with), git, Target::None);
        }
    }
    files(bench)
}

/// Files of one version each that are much alike.
fn files(bench: &mut Bench) -> Result<()> {
    let (data, quick) = (bench.room.data.clone(), bench.room.quick);
    for corpus in [
        Corpus::fires(&data, quick)?.one_file_each("days", 300),
        Corpus::results_as_files(&data, quick)?.one_file_each("runs", 1000),
    ] {
        let folder = bench.room.folder()?;
        let sources = folder.path().join("sources");
        save_all(&sources, &corpus, Keep::Source)?;
        let log = format!("log, {} files of {}", corpus.entries.len(), corpus.name);
        let with = Bytes(ours::log_bytes(&sources)?);
        if bench.git {
            let git = Bytes(packed_by_git(&bench.room, &corpus)?);
            let git = ("git gc --aggressive", git);
            bench.table.compare(&log, with, git, Target::None);
        }
        finish(ours::command(&sources).arg("compact"))?;
        let packed = Bytes(ours::log_bytes(&sources)?);
        let what = format!("{log}, after `compact`");
        bench
            .table
            .compare(what, packed, ("before", with), Target::None);
    }
    Ok(())
}

/// A save for each version.
fn save_all(folder: &Path, corpus: &Corpus, keep: Keep) -> Result<()> {
    std::fs::create_dir(folder)?;
    let archive = Archive::create(folder)?;
    (corpus.entries.iter()).try_for_each(|entry| ours::save(&archive, entry, keep))
}

fn packed_by_git(room: &Room, corpus: &Corpus) -> Result<f64> {
    let folder = room.folder()?;
    git::import(folder.path(), &corpus.entries)?;
    finish(git::git(folder.path()).args(["gc", "--aggressive", "--quiet", "--prune=now"]))?;
    Ok(bytes_below(&folder.path().join(".git/objects"))? as f64)
}

pub fn compact(bench: &mut Bench) -> Result<()> {
    if output(ours::command(&bench.room.data).args(["compact", "--help"])).is_err() {
        bench
            .table
            .note("There is no `backstory compact` yet: its rows were left out.");
        return Ok(());
    }
    let (data, quick) = (bench.room.data.clone(), bench.room.quick);
    for (corpus, most) in [
        (Corpus::fires(&data, quick)?, 1.1e6),
        (Corpus::results_as_files(&data, quick)?, 22e6),
    ] {
        let room = &bench.room;
        let folder = room.copy(&ours::archive_of(room, &corpus)?)?;
        finish(ours::command(folder.path()).arg("compact"))?;
        let bytes = ours::log_bytes(folder.path())?;
        bench.table.bound(
            format!("log after `compact`, {}", corpus.name),
            Bytes(bytes),
            Target::AtMost(Bytes(most)),
        );
        loads::old(bench, ", compacted", folder.path(), &corpus)?;
        loads::newest(bench, ", compacted", folder.path(), &corpus)?;
    }
    Ok(())
}
