//! A whole git history brought over, beside git taking in the same one.

use std::io::Write;

use crate::child::finish;
use crate::corpus::{Corpus, Entry};
use crate::measure::{interleave, seconds};
use crate::room::settle;
use crate::table::Amount::Saves;
use crate::table::Target;
use crate::{Bench, Result, git, ours};

/// Documents of 2 KB that are brought over.
const RESULTS: usize = 20_000;

pub fn run(bench: &mut Bench) -> Result<()> {
    if !bench.git {
        return Ok(());
    }
    let (data, quick) = (bench.room.data.clone(), bench.room.quick);
    let fires = Corpus::fires(&data, quick)?;
    measure(bench, "fires", &fires.entries)?;
    drop(fires);
    let results = Corpus::results_as_files(&data, quick)?;
    let count = results.entries.len().min(RESULTS);
    measure(bench, "results", &results.entries[..count])
}

fn measure(bench: &mut Bench, name: &str, entries: &[Entry]) -> Result<()> {
    let folder = bench.room.folder()?;
    let mut stream = Vec::new();
    git::write_stream(&mut stream, entries, 1, false)?;
    let load = |repository: &std::path::Path| -> Result<()> {
        let mut child = git::fast_import(repository).spawn()?;
        child.stdin.take().ok_or("no input")?.write_all(&stream)?;
        match child.wait()?.success() {
            true => Ok(()),
            false => Err("git fast-import failed".into()),
        }
    };
    let source = folder.path().join("source");
    std::fs::create_dir(&source)?;
    git::init(&source)?;
    load(&source)?;
    settle();
    let rate = |seconds: f64| entries.len() as f64 / seconds;
    let place = |name: String| -> Result<_> {
        let place = folder.path().join(name);
        std::fs::create_dir(&place)?;
        Ok(place)
    };
    let [imports, loads] = interleave(
        bench.room.pick(3, 1),
        [
            Box::new(|round| {
                let place = place(format!("archive-{round}"))?;
                let archive = backstory::Archive::create(&place)?;
                let mut import = ours::command(&place);
                import.args(["import", "git", "--path", "**"]).arg(&source);
                let time = seconds(|| finish(&mut import))?;
                let made = archive.head()?.seq as usize;
                match made == entries.len() {
                    true => Ok(rate(time)),
                    false => Err(format!("{made} of {} commits", entries.len()).into()),
                }
            }),
            Box::new(|round| {
                let place = place(format!("git-{round}"))?;
                git::init(&place)?;
                Ok(rate(seconds(|| load(&place))?))
            }),
        ],
    )?;
    let loads = ("git fast-import", Saves(loads));
    let what = format!("`import git`, {name}");
    bench
        .table
        .compare(&what, Saves(imports), loads, Target::AtLeast(1.0));
    Ok(())
}
