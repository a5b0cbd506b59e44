//! A batch, whose documents threads compress ahead, makes the same archive as one commit after the other.

use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, Document, HistoryQuery, Status};
use proptest::prelude::*;

/// One commit: its documents by path.
type Commit = Vec<(String, String)>;

fn add<'a>(archive: &'a Archive, commit: &Commit) -> backstory::Save<'a> {
    let mut save = archive.save();
    for (path, document) in commit {
        save.add(path, Document::source(document.as_bytes()))
            .unwrap();
    }
    save
}

/// Path, version, object and source of every version, oldest first.
fn versions(archive: &Archive) -> Vec<(String, u64, String, Vec<u8>)> {
    let mut found: Vec<_> = archive
        .history(HistoryQuery::default())
        .unwrap()
        .map(|version| {
            let version = version.unwrap();
            let source = archive.load(&version).unwrap().source();
            (
                version.path.clone(),
                version.version,
                version.id.unwrap().to_string(),
                source,
            )
        })
        .collect();
    found.sort();
    found
}

fn statuses(answers: &[Vec<backstory::Change>]) -> Vec<Vec<(String, u64, Status)>> {
    let one = |change: &backstory::Change| (change.path.clone(), change.version, change.status);
    answers
        .iter()
        .map(|changes| changes.iter().map(one).collect())
        .collect()
}

fn same(history: &[Commit], before: usize) {
    let one_by_one = Archive::in_memory().unwrap();
    let at_once = Archive::in_memory().unwrap();
    for commit in &history[..before] {
        add(&one_by_one, commit).commit().unwrap();
        add(&at_once, commit).commit().unwrap();
    }
    let mut answers = Vec::new();
    let mut batch = at_once.batch();
    for commit in &history[before..] {
        answers.push(add(&one_by_one, commit).commit().unwrap());
        batch.push(add(&at_once, commit));
    }
    assert_eq!(statuses(&batch.commit().unwrap()), statuses(&answers));
    assert_eq!(versions(&at_once), versions(&one_by_one));
    assert!(verify(&at_once, &VerifyOptions::default()).unwrap().ok);
    // Times and the distances to what is synced differ by a few bytes a commit, and what each object rests on by more.
    let len = |archive: &Archive| archive.stats().unwrap().log_bytes as usize;
    let (one, all) = (len(&one_by_one), len(&at_once));
    assert!(
        all <= one + one / 8 + 4 * history.len(),
        "{all} bytes at once, {one} one by one"
    );
}

fn text(rows: usize, changed: u32, spaces: usize) -> String {
    let rows: Vec<String> = (0..rows)
        .map(|row| {
            let value = if row as u32 % 7 == changed % 7 {
                changed
            } else {
                row as u32
            };
            format!(
                "{{\"name\":{:spaces$}\"sensor {row}\", \"value\": {value}.50}}",
                ""
            )
        })
        .collect();
    format!("[{}]", rows.join(", "))
}

fn commits() -> impl Strategy<Value = Vec<Commit>> {
    let document = (0..4usize, 0..12u32, 1..3usize)
        .prop_map(|(size, changed, spaces)| text([0, 1, 20, 300][size], changed, spaces));
    let commit = prop::collection::btree_map("[abc]{1,2}\\.json", document, 1..4);
    prop::collection::vec(
        commit.prop_map(|commit| commit.into_iter().collect()),
        1..60,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_is_the_same_as_its_commits(history in commits(), part in 0..100usize) {
        same(&history, history.len() * part / 100);
    }
}

#[test]
fn a_long_chain_in_one_batch() {
    let history: Vec<Commit> = (0..1100)
        .map(|n| vec![("sensors.json".to_owned(), text(40, n, 1))])
        .collect();
    same(&history, 5);
}
