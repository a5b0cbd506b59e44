//! The fuzz targets as ordinary tests: over seeds, and over mutations of them that are the same every time.
//!
//! `fuzz/` runs the same functions with coverage as the guide; what it finds becomes a seed here, or a test of its own.

use backstory::canon::canonicalize;
use backstory::commit::{Change, Content, LayoutAt, Op, SourceForm};
use backstory::fuzzing::{Forge, TARGETS, Target};
use backstory::layout::Layout;
use backstory::{Archive, Document, ObjectId};

/// The same numbers every time (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }

    /// One to four small changes of a seed, or a splice of two.
    fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        const BYTES: &[u8] = b"\0\x01\x7f\x80\xff[]{}\",:0-eE.\\u ";
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let to = (at + self.below(12)).min(bytes.len());
            match self.below(6) {
                0 => drop(bytes.splice(at..to, [])),
                1 => bytes.insert(at, BYTES[self.below(BYTES.len())]),
                2 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                3 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                4 => {
                    let again = bytes[at..to].to_vec();
                    drop(bytes.splice(at..at, again));
                }
                _ => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
            }
        }
        bytes
    }
}

fn target(name: &str) -> Target {
    TARGETS.iter().find(|(n, _)| *n == name).unwrap().1
}

fn run(name: &str, seeds: Vec<Vec<u8>>, mutations: usize) {
    let target = target(name);
    seeds.iter().for_each(|seed| target(seed));
    let mut random = Random(name.len() as u64);
    for _ in 0..mutations {
        target(&random.mutate(&seeds));
    }
}

const DOCUMENTS: [&str; 12] = [
    "{\"b\": 1.50, \"a\": [true, null, \"\\u00e9\\n\"]}",
    "[{\"id\":1,\"v\":[1,2]},{\"id\":2,\"v\":\"x\"},{\"id\":3}]",
    "[{\"id\":2,\"v\":[1]},{\"id\":3,\"w\":-0.0},{\"id\":4}]",
    "{\"a\":{\"a\":{\"a\":[[[[0]]]]}},\"\\ud83d\\ude00\":\"\\/\"}",
    "{\n  \"x\": 1e-7,\n  \"y\": [\n    1.0,\n    2.25E+10\n  ],\n  \"empty\": {}\n}\n",
    "9007199254740993",
    "[1e400, 0.1000000000000000055511151231257827, -0, 1E5]",
    "[NaN, -Infinity, {\"$number\": \"NaN\"}]",
    "{\"$number\":\"Infinity\"}",
    "\"\\ud800\"",
    "\u{feff}{}",
    " \t\r\n[ ] ",
];

fn documents() -> Vec<Vec<u8>> {
    DOCUMENTS
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect()
}

fn joined(front: &[u8], behind: &[u8]) -> Vec<u8> {
    [front, &[0], behind].concat()
}

#[test]
fn canon() {
    run("canon", documents(), 30000);
}

#[test]
fn layout() {
    let mut seeds = documents();
    for text in documents() {
        if let Ok(canonical) = canonicalize(&text)
            && let Some(layout) = Layout::infer(&text, &canonical, false)
        {
            seeds.push(joined(&layout.encode(), &canonical));
            seeds.push(joined(&layout.encode(), &text));
        }
    }
    run("layout", seeds, 10000);
}

#[test]
fn names() {
    let mut seeds: Vec<Vec<u8>> = [
        "a@3",
        "a@-1",
        "a@~1",
        "a@b3:9f2c",
        "a@2026-11-01",
        "a@2026-11-01T10:00:00.123456+01:00",
        "@latest",
        "a@b@tag",
        "/a/b~1c~0d/0",
        "/",
        "",
        "//",
        "18446744073709551616",
        "-18446744073709551615",
        "b3:",
        "+010000-01-01T00:00:00Z",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    for pointer in ["/1/v/0", "/a/a/a/0/0", "/b", "/$number"] {
        seeds.extend(
            documents()
                .iter()
                .map(|text| joined(pointer.as_bytes(), text)),
        );
    }
    run("names", seeds, 20000);
}

#[test]
fn diff() {
    let all = documents();
    let pairs = all
        .iter()
        .flat_map(|old| all.iter().map(|new| joined(old, new)));
    run("diff", pairs.collect(), 10000);
}

/// An archive with a bit of everything.
fn forge() -> Forge {
    let saved = |path: &str, version, content: &[u8], source| {
        let mut change = Change::new(Op::Save, path, version);
        change.content = Some(Content {
            object: ObjectId::of(content),
            source,
            nan: false,
        });
        change
    };
    let mut forge = Forge::new();
    forge.object(b"{}");
    forge.object(b"{ }");
    let source = SourceForm::Object(ObjectId::of(b"{ }"));
    forge.commit(vec![
        saved("a", 1, b"{}", source),
        Change::new(Op::Delete, "b", 1),
    ]);
    forge.object(b"[1]");
    let laid_out = SourceForm::LaidOut {
        check: [1; 8],
        layout: LayoutAt { seq: 1, change: 0 },
    };
    forge.commit_with(vec![saved("a", 2, b"[1]", laid_out)], |claims| {
        claims.message = Some("a message".to_owned());
        claims.time -= 5;
        claims.unsynced = 10;
    });
    let many = (0..40).map(|n| Change::new(Op::Delete, format!("p{n:02}"), 1));
    forge.commit(many.collect());
    forge
}

/// The bodies of the records of a segment that have a marker.
fn bodies(forge: &Forge) -> Vec<Vec<u8>> {
    let bytes = forge.bytes();
    let mut found = Vec::new();
    for at in 0..bytes.len().saturating_sub(12) {
        if bytes[at..].starts_with(&forge.marker()) {
            let mut len = 0;
            let mut front = at + 4;
            for shift in (0..28).step_by(7) {
                len |= usize::from(bytes[front] & 0x7f) << shift;
                front += 1;
                if bytes[front - 1] & 0x80 == 0 {
                    break;
                }
            }
            found.push(bytes[front..(front + len).min(bytes.len())].to_vec());
        }
    }
    found
}

fn packed_forge() -> Forge {
    let mut forge = Forge::new();
    let first = forge.object_block(&[], &[2], 0, b"{}");
    let second = forge.object_block(&[(first, 0)], &[1, 2], 1, b"no frame");
    let change = |version, at| {
        let mut change = Change::new(Op::Save, "a", version);
        change.content = Some(Content {
            object: ObjectId::of(b"{}"),
            source: SourceForm::Canonical,
            nan: false,
        });
        (change, Some(at))
    };
    forge.commit_block(vec![change(1, (first, 0)), change(2, (second, 1))]);
    forge
}

#[test]
fn records() {
    let mut seeds =
        vec![b"\x06{\"generation\":2,\"segments\":[{\"first_seq\":1,\"number\":1}]}\n".to_vec()];
    for body in bodies(&forge()).into_iter().chain(bodies(&packed_forge())) {
        seeds.extend((0..6).map(|kind| [&[kind], body.as_slice()].concat()));
    }
    run("records", seeds, 30000);
}

/// Scripts for the targets that make segments, and segments themselves.
fn scripts(forge: &Forge) -> Vec<Vec<u8>> {
    let mut random = Random(7);
    let mut seeds: Vec<Vec<u8>> = (0..20)
        .map(|n| (0..20 + 10 * n).map(|_| random.below(256) as u8).collect())
        .collect();
    // Mostly commits, and mostly honest ones.
    seeds.extend((0..10).map(|_| {
        let mut script = Vec::new();
        for _ in 0..12 {
            script.extend([1, random.below(5) as u8, 9, 0, 0, random.below(3) as u8]);
            script.extend([random.below(4) as u8, 1, random.below(5) as u8, 0]);
        }
        script
    }));
    seeds.push(forge.bytes().to_vec());
    seeds
}

#[test]
fn segment() {
    let mut seeds = scripts(&forge());
    // A batch whose objects are damaged and whose changes claim other lengths than it has.
    seeds.push(b"\xa5\x04km\x84\xe1,\x87\xb9m\x84\xe1\x9f".to_vec());
    run("segment", seeds, 4000);
}

#[test]
fn packed() {
    run("packed", scripts(&packed_forge()), 4000);
}

#[test]
fn archive() {
    let mut seeds = scripts(&forge());
    // A version 0, and what asks for the one in front of it.
    seeds.push(vec![10, 10]);
    run("archive", seeds, 200);
}

#[test]
fn the_forge_makes_archives_that_are_whole() {
    let mut forge = Forge::new();
    forge.object(b"{}");
    let mut change = Change::new(Op::Save, "a", 1);
    change.content = Some(Content {
        object: ObjectId::of(b"{}"),
        source: SourceForm::Canonical,
        nan: false,
    });
    forge.commit(vec![change]);
    let many = (0..40).map(|n| Change::new(Op::Delete, format!("p{n:02}"), 1));
    forge.commit(many.collect());
    forge.roll_over();
    let dir = tempfile::tempdir().unwrap();
    forge.write_to(dir.path()).unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let mut save = archive.save();
    save.add("a", Document::source("[ ]")).unwrap();
    save.commit().unwrap();
    let report = backstory::verify::verify(&archive, &Default::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    assert_eq!(report.commits, 3);
}
