//! What an archive must answer after a crash: a list of commits, of which those that were acknowledged must be there
//! and the others may.

use std::collections::{BTreeMap, BTreeSet};

use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, HistoryQuery};

use super::disk::Op;

/// What one commit does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Paths, and the source of the new version; `None` where the path ends.
    pub changes: BTreeMap<String, Option<String>>,
    /// Names of tags, and the version that each names; `None` where it is removed.
    pub tags: BTreeMap<String, Option<(String, u64)>>,
}

impl Commit {
    pub fn of(changes: &[(&str, Option<&str>)]) -> Commit {
        let own = |text: &str| text.to_owned();
        Commit {
            changes: changes
                .iter()
                .map(|(path, text)| (own(path), text.map(own)))
                .collect(),
            tags: BTreeMap::new(),
        }
    }

    pub fn save(path: &str, text: &str) -> Commit {
        Commit::of(&[(path, Some(text))])
    }

    /// Can it be made by saving its documents?
    pub fn only_saves(&self) -> bool {
        self.tags.is_empty() && self.changes.values().all(Option::is_some)
    }

    pub fn tag(name: &str, version: Option<(&str, u64)>) -> Commit {
        let version = version.map(|(path, version)| (path.to_owned(), version));
        Commit {
            changes: BTreeMap::new(),
            tags: BTreeMap::from([(name.to_owned(), version)]),
        }
    }
}

/// What the workload has begun, and was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The archive was acknowledged.
    pub made: bool,
    pub begun: BTreeSet<usize>,
    pub acknowledged: BTreeSet<usize>,
}

impl Marks {
    pub fn ops(&self) -> impl Iterator<Item = Op> {
        let begun = self.begun.iter().copied().map(Op::Begin);
        let acknowledged = self.acknowledged.iter().copied().map(Op::Acknowledge);
        let made = self.made.then_some(Op::Made);
        made.into_iter().chain(begun).chain(acknowledged)
    }
}

/// What was found: for each commit of the log which one of the list it is.
pub type Found = Vec<usize>;

/// What `verify` is asked, beside reading and comparing all sources, which does check their hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    All,
    Quick,
    Nothing,
}

/// Reads everything and compares.
pub fn check(
    archive: &Archive,
    commits: &[Commit],
    marks: &Marks,
    thorough: Verify,
) -> Result<Found, String> {
    let log = read(archive)?;
    let found = compare(&log, commits, marks)?;
    compare_tags(archive, commits, &found)?;
    if thorough == Verify::Nothing {
        return Ok(found);
    }
    let options = VerifyOptions {
        quick: thorough == Verify::Quick,
        ..VerifyOptions::default()
    };
    let report = verify(archive, &options).map_err(|error| format!("verify: {error}"))?;
    if !report.ok || report.commits != log.len() as u64 {
        return Err(format!("verify: {report:?}"));
    }
    Ok(found)
}

type Version = (u64, Option<String>);

/// For each commit the versions that it made.
fn read(archive: &Archive) -> Result<Vec<BTreeMap<String, Version>>, String> {
    let failed = |error: backstory::Error| format!("reading: {error}");
    let head = archive.head().map_err(failed)?;
    let mut log = vec![BTreeMap::new(); head.seq as usize];
    for version in archive.history(HistoryQuery::default()).map_err(failed)? {
        let version = version.map_err(failed)?;
        let text = match version.is_deleted() {
            true => None,
            false => {
                let loaded = archive.load(&version).map_err(failed)?;
                Some(String::from_utf8(loaded.source()).unwrap())
            }
        };
        let commit = log
            .get_mut(version.seq as usize - 1)
            .ok_or_else(|| format!("{version:?} is behind the head"))?;
        commit.insert(version.path, (version.version, text));
    }
    Ok(log)
}

/// Finds each commit of the log in the list, in order; all that were acknowledged must be found.
fn compare(
    log: &[BTreeMap<String, Version>],
    commits: &[Commit],
    marks: &Marks,
) -> Result<Found, String> {
    let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
    let mut found = Found::new();
    let mut next = 0;
    for (at, there) in log.iter().enumerate() {
        let fits = |number: usize| {
            let commit = &commits[number];
            marks.begun.contains(&number)
                && there.len() == commit.changes.len()
                && there.iter().all(|(path, (version, text))| {
                    let known = numbers.get(path.as_str()).copied().unwrap_or(0);
                    commit.changes.get(path) == Some(text) && *version == known + 1
                })
        };
        let Some(number) = (next..commits.len()).find(|number| fits(*number)) else {
            return Err(format!(
                "commit {} is none of those left: {there:?}",
                at + 1
            ));
        };
        let left_out = (next..number).find(|skipped| marks.acknowledged.contains(skipped));
        if let Some(lost) = left_out {
            return Err(format!(
                "acknowledged commit {lost} is not in front of commit {}",
                at + 1
            ));
        }
        for path in there.keys() {
            *numbers.entry(path).or_default() += 1;
        }
        found.push(number);
        next = number + 1;
    }
    match marks.acknowledged.range(next..).next() {
        None => Ok(found),
        Some(lost) => Err(format!(
            "acknowledged commit {lost} is lost; the log has {found:?}"
        )),
    }
}

fn compare_tags(archive: &Archive, commits: &[Commit], found: &[usize]) -> Result<(), String> {
    let mut expected: BTreeMap<String, (String, u64)> = BTreeMap::new();
    for (name, version) in found.iter().flat_map(|number| &commits[*number].tags) {
        match version {
            Some(version) => expected.insert(name.clone(), version.clone()),
            None => expected.remove(name),
        };
    }
    let tags = archive.tags().map_err(|error| format!("tags: {error}"))?;
    let there: BTreeMap<String, (String, u64)> = tags
        .into_iter()
        .map(|tag| {
            let version = (tag.path.unwrap_or_default(), tag.version.unwrap_or(0));
            (tag.name, version)
        })
        .collect();
    (there == expected)
        .then_some(())
        .ok_or_else(|| format!("tags {there:?}, not {expected:?}"))
}
