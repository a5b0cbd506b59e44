//! Crashes where a segment is full and the next one begins, and in all kinds of commit.

use backstory::Spec;
use backstory::storage::Storage;

use super::history::Commit;
use super::workload::{Run, document};

#[test]
fn rollovers() {
    let mut run = Run::begin(Some(1024));
    for n in 0..11 {
        run.save("a", &document(n, n, 500));
        if n % 4 == 3 {
            run.reopen();
        }
    }
    assert!(run.disk.list("log").unwrap().len() > 4);
    run.explore("rollovers").at_least(90, 140, 40, 150);
}

#[test]
fn edits() {
    let mut run = Run::begin(Some(1024));
    let texts: Vec<String> = (0..3).map(|n| document(7, n, 200)).collect();
    for (n, text) in (0..).zip(&texts) {
        run.save_all(&[("a", text), ("b/c", &document(8, n, 30))]);
    }
    let first = Some(&*texts[0]);
    run.commit(vec![Commit::of(&[("a", first)])], |archive| {
        let mut rollback = archive.rollback();
        rollback.path("a", Some(Spec::Number(1)))?;
        rollback.commit()
    });
    run.commit(vec![Commit::of(&[("a", Some(&*texts[2]))])], |archive| {
        archive.undo(archive.undo_target()?).commit()
    });
    run.commit(vec![Commit::of(&[("a", first)])], |archive| {
        archive.redo()?.commit()
    });
    run.reopen();
    run.commit(vec![Commit::tag("good", Some(("a", 2)))], |archive| {
        let version = archive.resolve("a", &Spec::Number(2))?;
        archive.tag_version("good", &version).commit()
    });
    run.commit(vec![Commit::of(&[("a", None)])], |archive| {
        archive.delete(&["a"]).commit()
    });
    run.commit(vec![Commit::of(&[("a", first)])], |archive| {
        archive.undelete(&["a"]).commit()
    });
    run.commit(vec![Commit::of(&[("a", None), ("z", first)])], |archive| {
        archive.rename("a", "z").commit()
    });
    run.commit(vec![Commit::tag("good", None)], |archive| {
        archive.delete_tag("good").commit()
    });
    run.explore("edits").at_least(60, 120, 35, 80);
}
