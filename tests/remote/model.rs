//! Whatever happens to a source and its copy, a push makes them the same.

use backstory::{CompactOptions, Spec};
use proptest::prelude::*;

use super::support::save;
use super::{Side, assert_equal, document};

#[derive(Clone, Debug)]
enum Step {
    Save(u8, u16),
    Many(u8),
    Rollback(u8),
    Delete(u8),
    Tag(u8),
    Undo,
    Compact,
    CompactCopy,
    Reopen,
    ReopenCopy,
    Push,
    Pull,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6u8, 0..500u16).prop_map(|(path, n)| Step::Save(path, n)),
        1 => any::<u8>().prop_map(Step::Many),
        1 => (0..6u8).prop_map(Step::Rollback),
        1 => (0..6u8).prop_map(Step::Delete),
        1 => any::<u8>().prop_map(Step::Tag),
        1 => Just(Step::Undo),
        2 => Just(Step::Compact),
        1 => Just(Step::CompactCopy),
        1 => Just(Step::Reopen),
        1 => Just(Step::ReopenCopy),
        5 => Just(Step::Push),
        1 => Just(Step::Pull),
    ]
}

fn path(n: u8) -> String {
    match n {
        0 => "a".to_owned(),
        n => format!("folder/a long name of a path {n}.json"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_push_makes_them_the_same(steps in prop::collection::vec(step(), 1..50)) {
        let mut source = Side::new();
        let mut copy = source.copy();
        let mut pushed = 0;
        for step in &steps {
            match step {
                Step::Save(at, n) => {
                    save(&source.archive, &path(*at), &document(u64::from(*n), 150));
                }
                Step::Many(n) => {
                    let mut many = source.archive.save();
                    for at in 0..40 {
                        let text = format!("{{\"many\": [{n}, {at}]}}");
                        let document = backstory::Document::source(text);
                        many.add(&format!("many/{at}"), document).unwrap();
                    }
                    many.commit().unwrap();
                }
                Step::Rollback(at) => {
                    let mut rollback = source.archive.rollback();
                    if rollback.path(&path(*at), Some(Spec::Number(1))).is_ok() {
                        let _ = rollback.commit();
                    }
                }
                Step::Delete(at) => {
                    let _ = source.archive.delete(&[path(*at).as_str()]).commit();
                }
                Step::Tag(n) => {
                    let head = source.archive.head().unwrap().seq;
                    if head > 0 {
                        let name = format!("tag-{n}");
                        let _ = source.archive.tag_archive(&name, head).commit();
                    }
                }
                Step::Undo => {
                    if let Ok(target) = source.archive.undo_target() {
                        let _ = source.archive.undo(target).commit();
                    }
                }
                Step::Compact => {
                    source.archive.compact(&CompactOptions::default()).unwrap();
                }
                Step::CompactCopy => {
                    copy.archive.compact(&CompactOptions::default()).unwrap();
                }
                Step::Reopen => source.reopen(),
                Step::ReopenCopy => copy.reopen(),
                Step::Push => {
                    let done = source.push(&copy);
                    let head = source.archive.head().unwrap();
                    prop_assert_eq!(done.commits, head.seq - pushed);
                    prop_assert_eq!(done.head, head);
                    pushed = head.seq;
                    assert_equal(&source, &copy);
                }
                Step::Pull => {
                    // Nothing to be had there.
                    prop_assert_eq!(copy.push(&source).commits, 0);
                }
            }
            prop_assert_eq!(copy.archive.head().unwrap().seq, pushed);
        }
        source.push(&copy);
        assert_equal(&source, &copy);
    }
}
