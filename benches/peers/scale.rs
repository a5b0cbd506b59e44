//! Opening an archive and loading one version: does it cost more where the history is long?

use std::path::Path;

use backstory::{Archive, Spec};

use crate::corpus::Entry;
use crate::measure::{Dice, interleave, timed};
use crate::ours::{self, Keep};
use crate::room::settle;
use crate::table::Amount::Seconds;
use crate::table::Target;
use crate::{Bench, Result};

/// Versions of a path, however many paths there are: deltas rest on one another as much in the short history as in
/// the long one.
const EACH: usize = 100;

/// A save brings the index up to date where it lacks 256 commits (docs/architecture.md). So many saves behind a batch
/// leave it as far behind as it gets.
const LAG: usize = 255;

pub fn run(bench: &mut Bench) -> Result<()> {
    let room = &bench.room;
    let (short, long) = (1000, room.pick(1_000_000, 50_000));
    let few = room.folder()?;
    make(few.path(), short)?;
    let many = room.folder()?;
    make(many.path(), long)?;
    settle();
    let [open_few, open_many, few, many] = interleave(
        room.pick(301, 101),
        [
            Box::new(|_| open(few.path())),
            Box::new(|_| open(many.path())),
            Box::new(|round| open_and_load(few.path(), short, round)),
            Box::new(|round| open_and_load(many.path(), long, round)),
        ],
    )?;
    bench.table.compare(
        format!("open alone, {long} versions"),
        Seconds(open_many),
        (&format!("{short} versions"), Seconds(open_few)),
        Target::None,
    );
    bench.table.compare(
        format!("open + load, {long} versions"),
        Seconds(many),
        (&format!("{short} versions"), Seconds(few)),
        Target::AtMost(1.3),
    );
    Ok(())
}

fn entry(number: usize, count: usize) -> Entry {
    let paths = count / EACH;
    Entry {
        path: format!("sensors/{:04}", number % paths),
        version: (number / paths) as u64 + 1,
        text: format!("{{\"n\":{number}}}"),
        time: None,
    }
}

fn make(folder: &Path, count: usize) -> Result<()> {
    let archive = Archive::create(folder)?;
    let (mut saved, in_batches) = (0, count - LAG);
    while saved < in_batches {
        let end = in_batches.min(saved + ours::BATCH);
        let batch: Vec<Entry> = (saved..end).map(|number| entry(number, count)).collect();
        ours::save_batch(&archive, &batch)?;
        saved = end;
    }
    (in_batches..count)
        .try_for_each(|number| ours::save(&archive, &entry(number, count), Keep::Source))
}

fn open(folder: &Path) -> Result<f64> {
    let (time, archive) = timed(|| Archive::open(folder));
    archive?;
    Ok(time)
}

/// Any version, through a handle made for it. The time to let go of the handle is not counted.
fn open_and_load(folder: &Path, count: usize, round: usize) -> Result<f64> {
    let entry = entry(Dice(round as u64).below(count), count);
    let (time, loaded) = timed(|| -> Result<_> {
        let archive = Archive::open(folder)?;
        let loaded = ours::load(&archive, &entry.path, &Spec::Number(entry.version))?;
        Ok((archive, loaded))
    });
    let (_archive, loaded) = loaded?;
    entry.check(loaded)?;
    Ok(time)
}
