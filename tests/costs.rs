//! What things cost, in calls and bytes, which do not flicker as times do.

mod support;

use backstory::{Archive, Document, HistoryQuery, OpenOptions, Spec};
use support::{Call, Tapped, save};

const SEGMENT: &str = "log/00000001.seg";

/// A result of an experiment: what changes from one to the next is a few figures and the row at the end.
fn result(n: u64) -> String {
    let mut state = n
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    let mut figure = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let metrics: Vec<String> = (0..6)
        .map(|m| format!("    \"metric_{m}\": {}", figure()))
        .collect();
    let rows: Vec<String> = (n..n + 20)
        .map(|step| {
            format!(
                "    {{\n      \"step\": {},\n      \"value\": {step}.5\n    }}",
                step * 1000
            )
        })
        .collect();
    format!(
        "{{\n  \"run\": {n},\n  \"optimizer\": \"adamw\",\n  \"note\": \"cosine schedule, larger batch\",\n  \"metrics\": {{\n{}\n  }},\n  \"history\": [\n{}\n  ]\n}}",
        metrics.join(",\n"),
        rows.join(",\n")
    )
}

/// Reads of the segment since the last time.
fn reads(storage: &Tapped) -> usize {
    let calls = storage.taps.take();
    calls
        .iter()
        .filter(|(call, name)| *call == Call::ReadAt && name == SEGMENT)
        .count()
}

#[test]
fn a_load_reads_few_frames_and_the_newest_none() {
    let storage = Tapped::new();
    let archive = Archive::create_on(storage.clone()).unwrap();
    let versions = 1200;
    let mut batch = archive.batch();
    for n in 0..versions {
        let mut one = archive.save();
        one.add("runs/1.json", Document::source(result(n))).unwrap();
        batch.push(one);
    }
    batch.commit().unwrap();
    let cold = Archive::open_on(storage.clone()).unwrap();
    let (mut most, mut all) = (0, 0);
    for n in (1..=versions).rev().step_by(7) {
        let version = cold.resolve("runs/1.json", &Spec::Number(n)).unwrap();
        storage.taps.take();
        assert_eq!(
            cold.load(&version).unwrap().source(),
            result(n - 1).as_bytes()
        );
        let frames = reads(&storage);
        most = most.max(frames);
        all += frames;
        // Now it is kept, and only checked.
        cold.load(&version).unwrap();
        assert!(reads(&storage) <= 1, "version {n}");
    }
    // 22 frames at most, the commit that brought the layout, and the layout.
    assert!(most <= 26, "{most} reads");
    assert!(all / (versions as usize / 7) <= 12, "{all} reads");
}

#[test]
fn a_page_of_history_reads_each_commit_once() {
    let storage = Tapped::new();
    let archive = Archive::create_on(storage.clone()).unwrap();
    for n in 0..300 {
        save(&archive, ["a", "b", "c"][n % 3], &format!("[{n}]"));
    }
    storage.taps.take();
    let query = HistoryQuery {
        path: Some("b".into()),
        limit: Some(100),
        ..HistoryQuery::default()
    };
    assert_eq!(archive.history(query).unwrap().count(), 100);
    // One more, to see that nothing has come since.
    assert!(reads(&storage) <= 101);
}

#[test]
fn versions_are_small() {
    let sizes = |with_source: bool| {
        let archive = Archive::in_memory().unwrap();
        for n in 0..200 {
            let document = match with_source {
                true => Document::source(result(n)),
                false => Document::value(result(n)),
            };
            let mut one = archive.save();
            one.add(
                "experiments/a-name-as-long-as-they-are/run-1.json",
                document,
            )
            .unwrap();
            one.commit().unwrap();
        }
        archive.stats().unwrap().log_bytes as usize
    };
    let (with, without) = (sizes(true), sizes(false));
    assert!(without <= 200 * 225, "{without} bytes");
    // The bytes as they were saved cost a twentieth more, and a layout now and then.
    assert!(
        with <= without + without / 20 + 1500,
        "{with} against {without} bytes"
    );
}

/// Bytes that this thread has read by system calls.
fn read_by_this_thread() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn opening_reads_as_much_of_a_long_log_as_of_a_short_one() {
    let opened = |commits: u64| {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path()).unwrap();
        for first in (0..commits).step_by(1000) {
            let mut batch = archive.batch();
            for n in first..(first + 1000).min(commits) {
                let mut one = archive.save();
                let path = format!("runs/{}.json", n % 100);
                one.add(&path, Document::value(format!("{{\"n\":{n}}}")))
                    .unwrap();
                batch.push(one);
            }
            batch.commit().unwrap();
        }
        drop(archive);
        // As far behind as the index may be.
        let archive = Archive::open(folder.path()).unwrap();
        for n in 0..255 {
            save(&archive, "runs/1.json", &format!("[{n}]"));
        }
        drop(archive);
        let before = read_by_this_thread();
        let archive = Archive::open_with(folder.path(), &OpenOptions::default()).unwrap();
        let version = archive.resolve("runs/1.json", &Spec::Latest).unwrap();
        archive.load(&version).unwrap();
        read_by_this_thread() - before
    };
    let (short, long) = (opened(1000), opened(20_000));
    assert!(long <= short + short / 4, "{short} and {long} bytes read");
    assert!(long <= 400_000, "{long} bytes read");
}

#[test]
#[cfg(target_os = "linux")]
fn a_handle_that_ends_after_a_few_large_batches_leaves_no_work_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::create(folder.path()).unwrap();
    for half in 0..2 {
        let mut batch = archive.batch();
        for n in 0..2000_u64 {
            let mut one = archive.save();
            let noise: String = (1..20)
                .map(|i| {
                    format!(
                        "{:x}",
                        (n + half * 2000).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ i)
                    )
                })
                .collect();
            one.add(
                &format!("runs/{n}.json"),
                Document::value(format!("[\"{noise}\"]")),
            )
            .unwrap();
            batch.push(one);
        }
        batch.commit().unwrap();
    }
    drop(archive);
    let before = read_by_this_thread();
    let archive = Archive::open(folder.path()).unwrap();
    assert!(archive.newest("runs/7.json").unwrap().is_some());
    let read = read_by_this_thread() - before;
    assert!(read <= 200_000, "{read} bytes read");
}
