//! Crashes around a sync, or a write, that fails: what a failed sync covered is lost, although the page cache shows it
//! and a later sync succeeds.

use super::disk::{Fault, Op};
use super::explore::{Counts, Effort};
use super::workload::{Run, document, explore};

/// Commits and rollovers of which one call fails; `None` where the call was never made.
fn fails(name: &str, fault: Fault) -> Option<Counts> {
    let mut run = Run::begin(Some(1024));
    run.disk.0.fail(fault);
    let mut failed = 0;
    for n in 0..7 {
        let (a, b) = (document(n / 2, n, 150), document(9, n, 150));
        failed += usize::from(!run.save_all(&[("a", &a), ("b", &b)]));
    }
    let from = run.disk.0.failed()?;
    assert!(failed <= 1);
    let (mut recording, commits) = run.end();
    // What comes long after is like any other crash.
    recording.ops.truncate(from + 16);
    let name = format!("{name}, {fault:?}");
    Some(explore(&name, &recording, from, &commits, Effort::brief()))
}

/// Every call of a kind fails in turn.
fn each(name: &str, fault: fn(usize) -> Fault) -> Counts {
    let mut total = Counts::default();
    for after in 0.. {
        match fails(name, fault(after)) {
            Some(counts) => total.add(&counts),
            None => break,
        }
    }
    total
}

#[test]
fn a_sync_of_a_file_fails() {
    each("a failed sync", Fault::Sync).at_least(100, 200, 80, 80);
}

#[test]
fn a_sync_of_a_folder_fails() {
    each("a failed sync of a folder", Fault::SyncDir).at_least(50, 70, 30, 30);
}

#[test]
fn a_write_fails() {
    each("a failed write", Fault::Write).at_least(120, 200, 70, 80);
}

/// A writer is killed between its write and its sync; the next one writes that again and its own commit, and then the
/// power goes. Of the two any part is left, also the second without the first.
#[test]
fn commits_on_what_a_killed_writer_left() {
    let mut total = Counts::default();
    for with_note in [false, true] {
        for (first, second) in [(100, 100), (700, 300)] {
            let mut run = Run::begin(None);
            run.save("a", &document(1, 0, 80));
            if !with_note {
                run.disk.0.mark(Op::Note([].into()));
            }
            run.reopen();
            let from = run.disk.0.recording().ops.len();
            run.killed_save("a", &document(2, 0, first));
            run.save("b", &document(3, 0, second));
            let (recording, commits) = run.end();
            let name = format!("after a killed writer, {with_note} {first} {second}");
            total.add(&explore(&name, &recording, from, &commits, Effort::dense()));
        }
    }
    total.at_least(40, 200, 80, 100);
}
