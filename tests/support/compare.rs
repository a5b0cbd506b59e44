//! The documents that the model test saves, and the comparison of all that an archive answers with the model.

use backstory::canon::NanMode;
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, Document, HistoryQuery, ObjectId, Spec};

use crate::model::{Content, Model, ModelDocument, TagState, pretty};

/// A document: which number it holds, how it is laid out, and what is said of numbers that JSON lacks.
#[derive(Clone, Debug)]
pub struct Written {
    pub number: u8,
    pub layout: u8,
    pub say_nan: bool,
}

pub const PATHS: [&str; 4] = ["a.json", "a.json/b", "dir/c.json", "é/π.json"];
pub const TAGS: [&str; 2] = ["best", "v1.0"];

impl Written {
    pub fn is_nan(&self) -> bool {
        self.number == 0
    }

    pub fn text(&self) -> String {
        let n = if self.is_nan() {
            "NaN".to_owned()
        } else {
            self.number.to_string()
        };
        match self.layout {
            0 if !self.is_nan() => format!("{{\"a\":[1,2],\"b\":{n}}}"),
            1 | 2 => format!("{{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {n}\n}}\n"),
            3 => format!("{{ \"b\": {n}, \"a\": [1, 2] }}\n"),
            _ => format!("{{\"b\":{n}.0,\"a\":[1,2e0]}}").replace("NaN.0", "NaN"),
        }
    }

    pub fn document(&self) -> Document {
        let document = match self.layout {
            2 => Document::value(self.text()),
            _ => Document::source(self.text()),
        };
        match self.say_nan {
            true => document.nan(NanMode::Tag),
            false => document,
        }
    }

    pub fn model(&self, path: usize) -> ModelDocument {
        let b = match self.is_nan() {
            true => "{\"$number\":\"NaN\"}".to_owned(),
            false => self.number.to_string(),
        };
        ModelDocument {
            path: PATHS[path].to_owned(),
            content: Content {
                canonical: format!("{{\"a\":[1,2],\"b\":{b}}}"),
                source: (self.layout != 2).then(|| self.text()),
                nan: self.is_nan(),
            },
            undecided: self.is_nan() && !self.say_nan,
        }
    }
}

pub fn compare(archive: &Archive, model: &Model) {
    let mut versions = 0;
    let mut bytes = 0;
    for (path, wanted) in &model.paths {
        let query = HistoryQuery {
            path: Some(path.clone()),
            ..HistoryQuery::default()
        };
        let history: Vec<_> = archive
            .history(query)
            .unwrap()
            .map(|v| v.unwrap())
            .collect();
        assert_eq!(history.len(), wanted.len(), "{path}");
        for (number, (found, wanted)) in (1..).zip(history.iter().rev().zip(wanted)) {
            versions += 1;
            assert_eq!(
                (found.version, found.op, found.seq),
                (number, wanted.op, wanted.seq)
            );
            assert_eq!(
                (found.of, &found.other, found.time),
                (wanted.of, &wanted.other, wanted.time)
            );
            assert_eq!(
                archive.resolve(path, &Spec::Number(number)).unwrap(),
                *found
            );
            let back = history.len() as u64 - number;
            assert_eq!(archive.resolve(path, &Spec::Back(back)).unwrap(), *found);
            let Some(content) = &wanted.content else {
                assert!(found.is_deleted() && archive.load(found).unwrap_err().is_not_found());
                continue;
            };
            bytes += content.canonical.len() as u64;
            let loaded = archive.load(found).unwrap();
            assert_eq!(loaded.canonical(), content.canonical.as_bytes());
            let source = content.source.clone().unwrap_or_else(|| pretty(content));
            assert_eq!(String::from_utf8(loaded.source()).unwrap(), source);
            assert_eq!(found.nan, content.nan);
            let id = ObjectId::of(content.canonical.as_bytes());
            assert_eq!(found.id, Some(id));
            let by_id = archive.resolve(path, &Spec::ObjectPrefix(id.to_string()[..12].to_owned()));
            let last = (1..).zip(&model.paths[path]).filter(|(_, v)| {
                v.content
                    .as_ref()
                    .is_some_and(|c| c.canonical == content.canonical)
            });
            assert_eq!(by_id.unwrap().version, last.last().unwrap().0);
        }
        for time in [-1, 0, 13, 50, 100] {
            let wanted = (1..)
                .zip(wanted)
                .filter(|(_, v)| v.time <= time)
                .last()
                .map(|(number, _)| number);
            assert_eq!(
                archive
                    .resolve(path, &Spec::Time(time))
                    .ok()
                    .map(|v| v.version),
                wanted
            );
        }
        for tag in TAGS {
            let found = archive
                .resolve(path, &Spec::Tag(tag.to_owned()))
                .ok()
                .map(|v| v.version);
            let state = model.tag_as_of(tag, u64::MAX);
            let wanted = match state {
                Some(TagState::Version(of, version)) => (of == path).then_some(*version),
                Some(TagState::Archive(seq)) => (1..)
                    .zip(wanted)
                    .filter(|(_, v)| v.seq <= *seq)
                    .last()
                    .map(|(number, _)| number),
                Some(TagState::Removed) | None => None,
            };
            assert_eq!(found, wanted, "{path}@{tag}");
        }
    }
    let listed: Vec<_> = archive
        .list("")
        .unwrap()
        .into_iter()
        .map(|v| (v.path, v.version))
        .collect();
    let wanted: Vec<_> = model
        .paths
        .iter()
        .map(|(path, v)| (path.clone(), v.len() as u64))
        .collect();
    assert_eq!(listed, wanted);
    let below: Vec<_> = archive
        .list("a.json")
        .unwrap()
        .into_iter()
        .map(|v| v.path)
        .collect();
    let wanted: Vec<_> = model
        .paths
        .keys()
        .filter(|path| path.starts_with("a.json"))
        .cloned()
        .collect();
    assert_eq!(below, wanted);
    let tags: Vec<_> = archive
        .tags()
        .unwrap()
        .into_iter()
        .map(|tag| (tag.name, tag.path, tag.version))
        .collect();
    let live = |name: &&String| {
        !matches!(
            model.tag_as_of(name, u64::MAX),
            None | Some(TagState::Removed)
        )
    };
    let wanted = model
        .tags
        .keys()
        .filter(live)
        .map(|name| match model.tag_as_of(name, u64::MAX) {
            Some(TagState::Version(path, version)) => {
                (name.clone(), Some(path.clone()), Some(*version))
            }
            _ => (name.clone(), None, None),
        });
    assert_eq!(tags, wanted.collect::<Vec<_>>());
    for number in 0..5 {
        let written = Written {
            number,
            layout: 3,
            say_nan: true,
        };
        let content = written.model(0).content;
        let mut wanted: Vec<_> = Vec::new();
        for (path, versions) in &model.paths {
            for (number, version) in (1u64..).zip(versions) {
                if let Some(held) = version
                    .content
                    .as_ref()
                    .filter(|held| held.canonical == content.canonical)
                {
                    wanted.push((
                        version.seq,
                        path.clone(),
                        number,
                        held.source == content.source,
                    ));
                }
            }
        }
        wanted.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let found = archive.identify(written.text().as_bytes()).unwrap();
        let found: Vec<_> = found
            .into_iter()
            .map(|found| {
                (
                    found.version.seq,
                    found.version.path,
                    found.version.version,
                    found.same_bytes,
                )
            })
            .collect();
        assert_eq!(found, wanted);
    }
    let all: Vec<_> = archive
        .history(HistoryQuery::default())
        .unwrap()
        .map(|v| v.unwrap().seq)
        .collect();
    assert_eq!(all.len(), versions);
    assert!(all.is_sorted_by(|newer, older| newer >= older));
    let stats = archive.stats().unwrap();
    assert_eq!(
        (stats.paths, stats.versions),
        (model.paths.len() as u64, versions as u64)
    );
    assert_eq!(
        (stats.commits, stats.document_bytes),
        (model.commits.len() as u64, bytes)
    );
    // One layout serves many sources; but which one depends on those before it, so that the same source saved twice
    // may bring two.
    let documents = model.documents.len() as u64;
    let sources = model.sources.len() as u64;
    let least = documents + u64::from(sources > 0);
    let most = documents + if sources > 0 { versions as u64 } else { 0 };
    assert!((least..=most).contains(&stats.objects));
    let head = archive.head().unwrap();
    assert_eq!(head.seq, model.commits.len() as u64);
    let options = VerifyOptions {
        head: Some(head.commit),
        ..VerifyOptions::default()
    };
    let report = verify(archive, &options).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    assert_eq!(
        (report.commits, report.objects, report.head),
        (stats.commits, stats.objects, head.commit)
    );
}
