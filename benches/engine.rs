//! Canonicalizing, saving, loading, history: each beside what bounds it.
//!
//! `cargo bench`. Real documents come from `../shared/data/fires.tar.zst`, unpacked into the folder that
//! `BACKSTORY_BENCH_DOCUMENTS` names; without it documents are made up.

use std::fmt::Write as _;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use backstory::canon::{Canonicalizer, NanMode};
use backstory::{Archive, Document, HistoryQuery, Spec};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// Versions of one document, a little changed from one to the next, pretty-printed.
fn documents(count: usize, rows: usize) -> Vec<Vec<u8>> {
    if let Some(folder) = std::env::var_os("BACKSTORY_BENCH_DOCUMENTS") {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        return files
            .iter()
            .take(count)
            .map(|file| std::fs::read(file).unwrap())
            .collect();
    }
    let mut state = 7u64;
    let mut values: Vec<u64> = (0..rows as u64).collect();
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            values[(state >> 33) as usize % rows] = state >> 40;
            let mut text = String::from("{\n  \"sensors\": [\n");
            for (row, value) in values.iter().enumerate() {
                let comma = if row + 1 < rows { "," } else { "" };
                let _ = writeln!(
                    text,
                    "    {{\n      \"name\": \"sensor-{row}\",\n      \"value\": {value}.5,\n      \"active\": true\n    }}{comma}"
                );
            }
            text.push_str("  ]\n}\n");
            text.into_bytes()
        })
        .collect()
}

fn canon(c: &mut Criterion) {
    let document = documents(1, 1500).remove(0);
    let mut group = c.benchmark_group("canon");
    group.throughput(Throughput::Bytes(document.len() as u64));
    let mut canonicalizer = Canonicalizer::new();
    let mut out = Vec::new();
    group.bench_function("backstory", |b| {
        b.iter(|| {
            out.clear();
            canonicalizer
                .canonicalize(black_box(&document), NanMode::Reject, &mut out)
                .unwrap();
        })
    });
    group.bench_function("serde_json and serde_json_canonicalizer", |b| {
        b.iter(|| {
            let value: serde_json::Value = serde_json::from_slice(black_box(&document)).unwrap();
            serde_json_canonicalizer::to_vec(&value).unwrap()
        })
    });
    group.bench_function("blake3 alone", |b| {
        b.iter(|| blake3::hash(black_box(&document)))
    });
    group.finish();
}

fn save(c: &mut Criterion) {
    for (name, rows) in [("small", 20), ("large", 1500)] {
        let mut group = c.benchmark_group(format!("save/{name}"));
        let folder = tempfile::tempdir_in(std::env::current_dir().unwrap().join("target")).unwrap();
        let archive = Archive::create(folder.path()).unwrap();
        let versions = documents(64, rows);
        let mut next = 0usize;
        group.bench_function("backstory, durable", |b| {
            b.iter_batched(
                || {
                    next += 1;
                    let mut text = versions[next % versions.len()].clone();
                    // No version like one before it.
                    let end = text.iter().rposition(|byte| *byte == b'}').unwrap();
                    text.splice(end..end, format!(", \"n\": {next}").into_bytes());
                    text
                },
                |text| {
                    let mut save = archive.save();
                    save.add("sensors.json", Document::value(text)).unwrap();
                    save.commit().unwrap()
                },
                BatchSize::SmallInput,
            )
        });
        let raw = std::fs::File::create(folder.path().join("raw")).unwrap();
        let mut at = 0;
        group.bench_function("append of 200 bytes and fdatasync", |b| {
            b.iter(|| {
                raw.write_all_at(&[7; 200], at).unwrap();
                raw.sync_data().unwrap();
                at += 200;
            })
        });
        group.finish();
    }
}

fn history(c: &mut Criterion) {
    let archive = Archive::in_memory().unwrap();
    let mut batch = archive.batch();
    for version in documents(2000, 20) {
        let mut save = archive.save();
        save.add("sensors.json", Document::value(version)).unwrap();
        batch.push(save);
    }
    batch.commit().unwrap();
    let mut group = c.benchmark_group("history");
    let query = HistoryQuery {
        path: Some("sensors.json".into()),
        limit: Some(100),
        ..HistoryQuery::default()
    };
    group.bench_function("100 versions of a path", |b| {
        b.iter(|| {
            archive
                .history(query.clone())
                .unwrap()
                .map(|version| version.unwrap().seq)
                .sum::<u64>()
        })
    });
    let mut n = 0;
    group.bench_function("load an old version", |b| {
        b.iter(|| {
            n = n * 7 % 1997 + 1;
            let version = archive.resolve("sensors.json", &Spec::Number(n)).unwrap();
            archive.load(&version).unwrap().canonical().len()
        })
    });
    group.finish();
}

criterion_group!(benches, canon, save, history);
criterion_main!(benches);
