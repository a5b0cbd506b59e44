//! Crashes while the log is packed.

use backstory::CompactOptions;
use backstory::storage::Storage;

use super::workload::{Run, document};

#[test]
fn compact_and_save_and_compact_again() {
    let mut run = Run::begin(Some(1024));
    let save = |run: &mut Run, n: u64| {
        let (a, b) = (document(1, n, 150), document(n, n, 60));
        run.save_all(&[("a", &a), (&format!("b/{}", n % 3), &b)]);
    };
    let compact = |run: &Run| run.archive.compact(&CompactOptions::default()).unwrap();
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
    run.explore("compact").at_least(1, 1, 1, 1);
}
