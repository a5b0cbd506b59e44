//! Many commits and one sync: a commit for each document, a thousand to a batch.

use std::fs::File;
use std::io::Write;

use backstory::Archive;
use serde_json::Value;

use crate::child::finish;
use crate::corpus::{Corpus, Entry};
use crate::measure::{interleave, seconds, timed};
use crate::room::settle;
use crate::sqlite::Sqlite;
use crate::table::Amount::Saves;
use crate::table::{ABSENT, Target};
use crate::{Bench, Result, git, ours};

pub fn run(bench: &mut Bench) -> Result<()> {
    let (data, quick) = (bench.room.data.clone(), bench.room.quick);
    let fires = Corpus::fires(&data, quick)?;
    let size = bench.room.pick(ours::BATCH, 100);
    let batches: Vec<_> = fires.entries.chunks(size).take(3).collect();
    measure(bench, "fires", &batches, Target::AtLeast(2.0), Target::None)?;
    drop(fires);
    let results = Corpus::results_as_files(&data, quick)?;
    let count = bench.room.pick(21, 3);
    let batches: Vec<_> = results.entries.chunks(ours::BATCH).take(count).collect();
    let (sqlite, git) = (Target::AtLeast(3.0), Target::AtLeast(10.0));
    measure(bench, "results", &batches, sqlite, git)
}

fn measure(
    bench: &mut Bench,
    name: &str,
    batches: &[&[Entry]],
    against_sqlite: Target<f64>,
    against_git: Target<f64>,
) -> Result<()> {
    let folder = bench.room.folder()?;
    let place = |name: &str| -> Result<_> {
        let place = folder.path().join(name);
        std::fs::create_dir(&place)?;
        Ok(place)
    };
    let archive = Archive::create(place("library")?)?;
    let sqlite = Sqlite::open(&place("sqlite")?)?;
    let repository = place("git")?;
    if bench.git {
        git::init(&repository)?;
    }
    let streamed = place("jsonl")?;
    drop(Archive::create(&streamed)?);
    settle();
    let rate = |round: usize, seconds: f64| batches[round].len() as f64 / seconds;
    let [library, inserts, imports, jsonl] = interleave(
        batches.len(),
        [
            Box::new(|round| {
                let time = seconds(|| ours::save_batch(&archive, batches[round]))?;
                Ok(rate(round, time))
            }),
            Box::new(|round| {
                let time = seconds(|| sqlite.insert_all(batches[round]))?;
                Ok(rate(round, time))
            }),
            Box::new(|round| {
                if !bench.git {
                    return Ok(ABSENT);
                }
                let mut stream = Vec::new();
                let first = 1 + round * ours::BATCH;
                git::write_stream(&mut stream, batches[round], first, round > 0)?;
                let time = seconds(|| {
                    let mut child = git::fast_import(&repository).spawn()?;
                    child.stdin.take().ok_or("no input")?.write_all(&stream)?;
                    match child.wait()?.success() {
                        true => Ok(()),
                        false => Err("git fast-import failed".into()),
                    }
                })?;
                Ok(rate(round, time))
            }),
            Box::new(|round| {
                let file = folder.path().join("lines");
                std::fs::write(&file, lines(batches[round])?)?;
                let mut save = ours::command(&streamed);
                save.args(["save", "--jsonl", "--batch", "1000"]);
                save.stdin(File::open(&file)?);
                let (time, done) = timed(|| finish(&mut save));
                done?;
                Ok(rate(round, time))
            }),
        ],
    )?;
    let commits = archive.head()?.seq as usize;
    if commits != batches.iter().map(|batch| batch.len()).sum::<usize>() {
        return Err("not every document has a commit".into());
    }
    let inserts = ("SQLite, one transaction", Saves(inserts));
    let imports = ("git fast-import", Saves(imports));
    let what = format!("a batch, {name}");
    let table = &mut bench.table;
    table.compare(&what, Saves(library), inserts, against_sqlite);
    table.compare(&what, Saves(library), imports, against_git);
    let what = format!("`save --jsonl --batch 1000`, {name}");
    table.compare(&what, Saves(jsonl), inserts, Target::None);
    Ok(())
}

/// What `save --jsonl` reads.
fn lines(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for entry in entries {
        write!(lines, "{{\"path\":{},\"doc\":", Value::from(&*entry.path))?;
        lines.extend(backstory::canon::canonicalize(entry.text.as_bytes())?);
        lines.extend(b"}\n");
    }
    Ok(lines)
}
