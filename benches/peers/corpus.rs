//! The two histories that everything is measured on, and their documents as files of one version each.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::Result;

/// One version of one path.
#[derive(Clone)]
pub struct Entry {
    pub path: String,
    /// Counted from 1 for each path.
    pub version: u64,
    pub text: String,
    /// The time of the version, microseconds since the Unix epoch, where the history knows it.
    pub time: Option<i64>,
}

impl Entry {
    /// The bytes as they were saved, or else it was no load.
    pub fn check(&self, loaded: impl AsRef<[u8]>) -> Result<()> {
        if loaded.as_ref() == self.text.as_bytes() {
            return Ok(());
        }
        let Entry { path, version, .. } = self;
        Err(format!("version {version} of {path} is not what was saved").into())
    }
}

/// A history, in the order in which it was saved.
pub struct Corpus {
    pub name: &'static str,
    pub entries: Vec<Entry>,
}

impl Corpus {
    /// Versions of one document of about 130 KB, as files with the bytes that its writer gave them.
    pub fn fires(data: &Path, quick: bool) -> Result<Corpus> {
        let mut files: Vec<_> = fs::read_dir(data.join("fires"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        if quick {
            files.truncate(400);
        }
        let mut entries: Vec<Entry> = Vec::new();
        for file in files {
            let text = fs::read_to_string(&file)?;
            // A few files are as the one before: those make no version.
            if entries.last().is_some_and(|last| last.text == text) {
                continue;
            }
            let modified = fs::metadata(&file)?.modified()?;
            entries.push(Entry {
                path: "incidents.json".into(),
                version: entries.len() as u64 + 1,
                text,
                time: Some(i64::try_from(
                    modified.duration_since(UNIX_EPOCH)?.as_micros(),
                )?),
            });
        }
        Ok(Corpus {
            name: "fires",
            entries,
        })
    }

    /// Results of experiments, about 2 KB each, 100 versions of each path; as one line of JSON.
    pub fn results(data: &Path, quick: bool) -> Result<Corpus> {
        read_lines(&data.join("results.tsv"), quick, |json| Ok(json.to_owned()))
    }

    /// The same documents as files have them, pretty-printed by Python.
    pub fn results_as_files(data: &Path, quick: bool) -> Result<Corpus> {
        read_lines(&data.join("results-pretty.tsv"), quick, |text| {
            Ok(serde_json::from_str(text)?)
        })
    }

    /// The first documents, each as a file of its own, as one for each run or day is.
    pub fn one_file_each(mut self, name: &'static str, files: usize) -> Corpus {
        self.entries.truncate(files);
        for (number, entry) in self.entries.iter_mut().enumerate() {
            entry.path = format!("{name}/{number:05}.json");
            entry.version = 1;
        }
        self.name = name;
        self
    }

    /// The newest entry of each path.
    pub fn newest(&self) -> Vec<&Entry> {
        let mut newest = HashMap::new();
        for entry in &self.entries {
            newest.insert(&*entry.path, entry);
        }
        let mut newest: Vec<_> = newest.into_values().collect();
        newest.sort_by(|a, b| a.path.cmp(&b.path));
        newest
    }
}

/// Lines of path, tab, JSON.
fn read_lines(
    file: &Path,
    quick: bool,
    text_of: impl Fn(&str) -> Result<String>,
) -> Result<Corpus> {
    let lines = fs::read_to_string(file)?;
    let lines = || lines.lines().filter_map(|line| line.split_once('\t'));
    let some: HashSet<&str> = lines().map(|(path, _)| path).take(100).collect();
    let mut versions: HashMap<&str, u64> = HashMap::new();
    let mut entries = Vec::new();
    for (path, json) in lines().filter(|(path, _)| !quick || some.contains(path)) {
        let version = versions.entry(path).or_default();
        *version += 1;
        entries.push(Entry {
            path: path.to_owned(),
            version: *version,
            text: text_of(json)?,
            time: None,
        });
    }
    Ok(Corpus {
        name: "results",
        entries,
    })
}

/// The document of a result with another number of its own in it: one that was never saved.
pub fn renewed(text: &str, number: usize) -> Result<String> {
    let name = "\"version\": ";
    let start = text.find(name).ok_or("a result has a version")? + name.len();
    let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
    Ok(format!(
        "{}{}{}",
        &text[..start],
        1_000_000 + number,
        &text[start + digits..]
    ))
}
