//! Crashes around a sync, or a write, that fails: what a failed sync covered is lost, although the page cache shows it
//! and a later sync succeeds.

use super::disk::Fault;
use super::explore::Counts;
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
    Some(explore(&name, &recording, from, &commits))
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
