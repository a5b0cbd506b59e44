use super::*;
use crate::commit::{Change, Content, Fields, LayoutAt, Op, SourceForm};
use crate::id::{CommitId, ObjectId, PathKey};
use crate::log::format::*;
use crate::log::record::{CommitChanges, StoredChange};

/// Where the blocks below say that they stand.
const OFFSET: u64 = 100_000;

fn spot(back: u64, number: u32) -> Option<Spot> {
    Some(Spot {
        block: OFFSET - back,
        number,
    })
}

fn packed(change: Change, document: Option<Spot>, second: Option<Spot>) -> PackedChange {
    PackedChange {
        stored: StoredChange {
            change,
            object_len: document.is_some().into(),
            source_len: second.is_some().into(),
        },
        document,
        second,
    }
}

/// Changes of every kind, of a commit with this number.
fn changes(seq: u64) -> Vec<PackedChange> {
    let saved = |source| Change {
        content: Some(Content {
            object: ObjectId([1; 32]),
            source,
            nan: false,
        }),
        ..Change::new(Op::Save, "config/a.json", 300)
    };
    let laid_out = |seq, change| SourceForm::LaidOut {
        check: [7; 8],
        layout: LayoutAt { seq, change },
    };
    let mut brings = saved(laid_out(seq, 2));
    brings.layout = Some(ObjectId([3; 32]));
    let mut by_key = saved(laid_out(seq - 5, 9));
    (by_key.path, by_key.key) = (String::new(), Some(PathKey([4; 8])));
    let mut rolled = saved(SourceForm::Object(ObjectId([2; 32])));
    (rolled.op, rolled.of, rolled.file) = (Op::Rollback, 7, true);
    let mut tag = Change::new(Op::Tag, "", 0);
    (tag.of, tag.other) = (9, "release".to_owned());
    vec![
        packed(saved(SourceForm::Canonical), spot(1, 0), None),
        packed(saved(SourceForm::None), None, None),
        packed(brings, spot(70_000, 8), spot(70, 1023)),
        packed(by_key, None, None),
        packed(rolled, None, spot(99_999, 1)),
        packed(Change::new(Op::Delete, "b", 2), None, None),
        packed(tag, None, None),
    ]
}

fn block() -> CommitBlock {
    let mut block = CommitBlock::new(40, CommitId([9; 32]));
    let mut fields = Fields::default();
    fields.set(Fields::MESSAGE, "what it is about");
    let mut push = |changes: Vec<PackedChange>, edit: &dyn Fn(&mut PackedCommit)| {
        let mut commit = PackedCommit {
            other_parents: Vec::new(),
            recorded: 1_700_000_000_000_000,
            time: 1_700_000_000_000_000,
            fields: Fields::default(),
            change_count: changes.len() as u64,
            changes: PackedChanges::Inline(0..0),
        };
        edit(&mut commit);
        block.push(commit, changes);
    };
    push(changes(40), &|_| ());
    push(changes(41)[5..6].to_vec(), &|commit| {
        commit.recorded += 5;
        commit.time = -3;
    });
    push(Vec::new(), &|commit| {
        commit.change_count = 70;
        commit.fields = fields.clone();
        commit.changes = PackedChanges::Blocks {
            offsets: vec![OFFSET - 900, OFFSET - 600, OFFSET - 300],
            root: [5; 32],
        };
    });
    push(changes(43)[2..4].to_vec(), &|commit| {
        commit.other_parents = vec![CommitId([8; 32])];
        commit.recorded = i64::MIN;
        commit.time = i64::MIN;
    });
    block
}

#[test]
fn commits_come_back_and_each_is_the_parent_of_the_next() {
    let block = block();
    let bytes = block.encode(OFFSET);
    let read = CommitBlock::decode(&bytes, OFFSET).unwrap();
    assert_eq!(read.len(), 4);
    let mut parent = CommitId([9; 32]);
    for number in 0..4 {
        let record = read.record(number).unwrap();
        // The number of a change in its commit is where a layout that it brings is found.
        if number < 3 {
            assert_eq!(block.record(number).unwrap(), record, "{number}");
        }
        assert_eq!(
            (record.seq, record.parents[0]),
            (40 + number as u64, parent)
        );
        parent = record.id();
    }
    assert!(read.record(4).is_none());
    let CommitChanges::Records { lengths, root } = read.record(2).unwrap().changes else {
        panic!("not in blocks");
    };
    assert_eq!((lengths.len(), root), (3, [5; 32]));
}

/// All changes of a commit from its blocks.
fn join_changes(
    blocks: Vec<PackedChangeBlock>,
    seq: u64,
    count: u64,
    root: &[u8; 32],
) -> Result<Vec<PackedChange>, &'static str> {
    let mut join = JoinChanges::new(seq);
    for block in blocks {
        join.push(block)?;
    }
    join.finish(count, root)
}

#[test]
fn a_block_of_changes_comes_back() {
    let block = PackedChangeBlock {
        seq: 9,
        first_change: 0,
        first_object: 0,
        changes: changes(9),
    };
    let bytes = block.encode(OFFSET);
    assert_eq!(PackedChangeBlock::decode(&bytes, OFFSET), Ok(block.clone()));
    let root = crate::commit::merkle_root(9, block.changes.iter().map(|c| &c.stored.change));
    let count = block.changes.len() as u64;
    assert_eq!(
        join_changes(vec![block.clone()], 9, count, &root),
        Ok(block.changes.clone())
    );
    assert!(join_changes(vec![block.clone()], 9, count, &[0; 32]).is_err());
    assert!(join_changes(vec![block.clone()], 8, count, &root).is_err());
    assert!(join_changes(vec![block.clone(), block], 9, count, &root).is_err());
}

#[test]
fn a_block_of_objects_comes_back() {
    let block = ObjectBlock {
        bases: vec![spot(1, 0).unwrap(), spot(OFFSET, 1023).unwrap()],
        lengths: vec![0, 2000, 1999],
        encoding: ENCODING_ZSTD,
        payload: b"a frame",
    };
    let bytes = block.encode(OFFSET);
    assert_eq!(ObjectBlock::decode(&bytes, OFFSET), Ok(block.clone()));
    assert!(ObjectBlock::decode(&bytes, OFFSET - 1).is_err());
    let none = ObjectBlock {
        lengths: Vec::new(),
        ..block.clone()
    };
    assert!(ObjectBlock::decode(&none.encode(OFFSET), OFFSET).is_err());
    let itself = ObjectBlock {
        bases: vec![spot(0, 0).unwrap()],
        ..block
    };
    assert!(ObjectBlock::decode(&itself.encode(OFFSET), OFFSET).is_err());
}

#[test]
fn bytes_that_are_no_block_are_refused_or_read_and_never_worse() {
    let objects = ObjectBlock {
        bases: vec![spot(7, 1).unwrap()],
        lengths: vec![2000; 20],
        encoding: ENCODING_ZSTD,
        payload: b"a frame",
    };
    let some = PackedChangeBlock {
        seq: 9,
        first_change: 0,
        first_object: 0,
        changes: changes(9),
    };
    let read = |bytes: &[u8]| {
        let _ = ObjectBlock::decode(bytes, OFFSET).map(|block| block.content_len());
        let _ = PackedChangeBlock::decode(bytes, OFFSET);
        if let Ok(block) = CommitBlock::decode(bytes, OFFSET) {
            for number in 0..block.len() {
                let _ = block.record(number);
            }
        }
    };
    for bytes in [
        objects.encode(OFFSET),
        some.encode(OFFSET),
        block().encode(OFFSET),
    ] {
        for at in 0..bytes.len() {
            read(&bytes[..at]);
            for change in [1, 0x10, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                read(&changed);
            }
        }
    }
}
