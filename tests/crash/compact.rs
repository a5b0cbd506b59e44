//! Crashes while the log is packed.

use backstory::storage::Storage;
use backstory::{CompactOptions, Compacted};

use super::disk::Fault;
use super::explore::{Counts, Effort};
use super::workload::{Run, document, explore};

fn save(run: &mut Run, n: u64) {
    let (a, b) = (document(1, n, 150), document(n, n, 60));
    run.save_all(&[("a", &a), (&format!("b/{}", n % 3), &b)]);
}

fn compact(run: &Run) -> Compacted {
    run.archive.compact(&CompactOptions::default()).unwrap()
}

#[test]
fn compact_and_save_and_compact_again() {
    let mut run = Run::begin(Some(1024));
    for n in 0..6 {
        save(&mut run, n);
    }
    assert!(compact(&run).commits > 0);
    save(&mut run, 6);
    run.reopen();
    save(&mut run, 7);
    assert!(compact(&run).commits > 0);
    save(&mut run, 8);
    let names = run.disk.list("log").unwrap();
    assert!(!names.contains(&"00000001.seg".to_owned()), "{names:?}");
    run.explore("compact").at_least(100, 150, 50, 150);
}

/// A sync fails while the log is packed; then it is packed again.
#[test]
fn compact_after_a_failed_sync() {
    let mut total = Counts::default();
    for fault in [Fault::Sync, Fault::SyncDir] {
        for after in 0.. {
            let mut run = Run::begin(None);
            for n in 0..3 {
                save(&mut run, n);
            }
            run.disk.0.fail(fault(after));
            let failed = run.archive.compact(&CompactOptions::default()).is_err();
            let Some(from) = run.disk.0.failed() else {
                break;
            };
            // Syncs after MANIFEST was replaced may fail: what they are for is done by the next compact.
            assert!(failed || fault(0) == Fault::SyncDir(0));
            if after % 2 == 0 {
                run.reopen();
            }
            compact(&run);
            save(&mut run, 5);
            let (mut recording, commits) = run.end();
            recording.ops.truncate(from + 24);
            let name = format!("compact, {:?}", fault(after));
            total.add(&explore(&name, &recording, from, &commits, Effort::brief()));
        }
    }
    total.at_least(150, 250, 120, 150);
}
