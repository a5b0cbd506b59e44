//! What git's plumbing prints: changed files as `diff-tree --raw -z` lists them, and commits as they are stored.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use crate::error::{Error, Result};

/// What a commit did to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileChange {
    pub path: Vec<u8>,
    /// The blob that it holds now; none where there is no file any more.
    pub blob: Option<String>,
    /// The name that it had before.
    pub from: Option<Vec<u8>>,
}

/// The files that a commit changed, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub commit: String,
    pub changes: Vec<FileChange>,
}

/// Reads groups. A merge is listed once for each parent; the lists are put together.
pub(super) struct Groups<R> {
    input: R,
    /// The commit that the next entries are of.
    next: Option<String>,
}

impl<R: BufRead> Groups<R> {
    pub fn new(input: R) -> Groups<R> {
        Groups { input, next: None }
    }

    /// The same, for a list that does not begin with the name of its commit.
    pub fn of(input: R, commit: &str) -> Groups<R> {
        Groups {
            input,
            next: Some(commit.to_owned()),
        }
    }

    pub fn next(&mut self) -> Result<Option<Group>> {
        let commit = match self.next.take() {
            Some(commit) => commit,
            None => match self.token()? {
                Some(token) => object_name(&token)?,
                None => return Ok(None),
            },
        };
        let mut changes: BTreeMap<Vec<u8>, FileChange> = BTreeMap::new();
        while let Some(token) = self.token()? {
            if token.first() != Some(&b':') {
                let next = object_name(&token)?;
                if next == commit {
                    continue;
                }
                self.next = Some(next);
                break;
            }
            for change in self.entry(&token)? {
                let before = changes.remove(&change.path);
                let from = change.from.or(before.and_then(|before| before.from));
                let change = FileChange { from, ..change };
                changes.insert(change.path.clone(), change);
            }
        }
        // A name that has a file did not end.
        let ended = |path: &Vec<u8>| changes.get(path).is_none_or(|change| change.blob.is_none());
        let still_there: Vec<_> = changes
            .values()
            .filter(|change| change.from.as_ref().is_some_and(|from| !ended(from)))
            .map(|change| change.path.clone())
            .collect();
        for path in still_there {
            if let Some(change) = changes.get_mut(&path) {
                change.from = None;
            }
        }
        Ok(Some(Group {
            commit,
            changes: changes.into_values().collect(),
        }))
    }

    /// `:oldmode newmode oldblob newblob status`, and the names that follow.
    fn entry(&mut self, token: &[u8]) -> Result<Vec<FileChange>> {
        let text = std::str::from_utf8(token).map_err(|_| malformed())?;
        let parts: Vec<&str> = text.trim_start_matches(':').split(' ').collect();
        let &[old_mode, new_mode, old_blob, new_blob, status] = parts.as_slice() else {
            return Err(malformed());
        };
        let first = self.token()?.ok_or_else(malformed)?;
        let end = |path: Vec<u8>| FileChange {
            path,
            blob: None,
            from: None,
        };
        let is_file = |mode: &str| mode.starts_with("100");
        let (path, from) = match status.as_bytes().first() {
            Some(b'R') => (self.token()?.ok_or_else(malformed)?, Some(first)),
            Some(b'C') => (self.token()?.ok_or_else(malformed)?, None),
            _ => (first, None),
        };
        let mut changes: Vec<FileChange> = from.clone().into_iter().map(end).collect();
        // Links and submodules hold no document.
        if !is_file(new_mode) {
            changes.push(end(path));
        } else if old_blob != new_blob || !is_file(old_mode) || from.is_some() {
            let blob = object_name(new_blob.as_bytes())?;
            changes.push(FileChange {
                path,
                blob: Some(blob),
                from,
            });
        }
        Ok(changes)
    }

    fn token(&mut self) -> Result<Option<Vec<u8>>> {
        let mut token = Vec::new();
        let read = self.input.read_until(0, &mut token);
        read.map_err(|error| Error::io("read what git diff-tree says", error))?;
        match token.pop() {
            None => Ok(None),
            Some(0) => Ok(Some(token)),
            Some(_) => Err(malformed()),
        }
    }
}

/// A commit as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CommitObject {
    pub author: String,
    /// Microseconds since the Unix epoch.
    pub authored: i64,
    pub committed: i64,
    pub message: String,
}

impl CommitObject {
    /// What is not as it should be is left empty: git itself takes such commits.
    pub fn parse(bytes: &[u8]) -> CommitObject {
        let mut commit = CommitObject::default();
        let text = String::from_utf8_lossy(bytes);
        let (head, message) = text.split_once("\n\n").unwrap_or((&text, ""));
        for line in head.lines() {
            if let Some(who) = line.strip_prefix("author ") {
                (commit.author, commit.authored) = who_and_when(who);
            } else if let Some(who) = line.strip_prefix("committer ") {
                commit.committed = who_and_when(who).1;
            }
        }
        commit.message = message.trim_end().to_owned();
        commit
    }
}

/// `Name <address> seconds zone`.
fn who_and_when(text: &str) -> (String, i64) {
    let (who, when) = match text.rfind('>') {
        Some(end) => text.split_at(end + 1),
        None => (text, ""),
    };
    let seconds = when
        .split_whitespace()
        .next()
        .and_then(|s| s.parse::<i64>().ok());
    let seconds = seconds.unwrap_or(0);
    // Further than a time can be written nobody has been.
    let seconds = seconds.clamp(-62_000_000_000, 250_000_000_000);
    let who = who.trim();
    let who = who.strip_suffix("<>").map_or(who, str::trim_end);
    (who.to_owned(), seconds * 1_000_000)
}

/// Is this the full name of an object?
pub(super) fn is_object_name(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn object_name(token: &[u8]) -> Result<String> {
    match std::str::from_utf8(token) {
        Ok(name) if is_object_name(name) => Ok(name.to_owned()),
        _ => Err(malformed()),
    }
}

fn malformed() -> Error {
    let error = io::Error::new(io::ErrorKind::InvalidData, "it is not what was asked for");
    Error::io("read what git says", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn groups(text: &str) -> Result<Vec<Group>> {
        let text = text.replace('|', "\0").replace("ZERO", &"0".repeat(40));
        let text = text.replace("A1", A).replace("B1", B);
        let mut groups = Groups::new(text.as_bytes());
        let mut all = Vec::new();
        while let Some(group) = groups.next()? {
            all.push(group);
        }
        Ok(all)
    }

    fn shown(groups: &[Group]) -> String {
        let change = |change: &FileChange| {
            let path = String::from_utf8_lossy(&change.path).into_owned();
            let from = change
                .from
                .as_ref()
                .map(|from| String::from_utf8_lossy(from).into_owned());
            match (&change.blob, from) {
                (None, _) => format!("-{path}"),
                (Some(_), Some(from)) => format!("{from}>{path}"),
                (Some(_), None) => path,
            }
        };
        let group = |group: &Group| {
            let changes: Vec<String> = group.changes.iter().map(change).collect();
            format!("{}: {}", &group.commit[..1], changes.join(" "))
        };
        groups.iter().map(group).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn lists_are_read_and_those_of_a_merge_put_together() {
        let text = "A1|:000000 100644 ZERO A1 A|x|:100644 000000 A1 ZERO D|y|\
            B1|:100644 100644 A1 B1 R090|old|new|B1|:100644 100755 A1 A1 M|mode|:000000 120000 ZERO A1 A|link|\
            :100644 100644 A1 B1 M|new|";
        assert_eq!(
            shown(&groups(text).unwrap()),
            "a: x -y; b: -link old>new -old"
        );
    }

    #[test]
    fn a_name_that_has_another_file_now_was_not_renamed() {
        let text = "A1|:100644 100644 A1 A1 R100|a|b|:100644 100644 A1 B1 R050|c|a|";
        assert_eq!(shown(&groups(text).unwrap()), "a: c>a b -c");
    }

    #[test]
    fn what_git_never_says_is_an_error() {
        for text in [
            "x|",
            "A1|:100644|",
            "A1|:100644 100644 A1 B1 M|",
            "A1",
            "A1|:000000 100644 A1 xx A|p|",
        ] {
            assert!(groups(text).is_err(), "{text}");
        }
    }

    #[test]
    fn commits_are_read() {
        let text = "tree x\nauthor Ops Team <ops@example.org> 100 +0100\ncommitter Qa <> 200 -0500\n\nfirst line\n\nmore\n";
        let commit = CommitObject::parse(text.as_bytes());
        assert_eq!(commit.author, "Ops Team <ops@example.org>");
        assert_eq!(
            (commit.authored, commit.committed),
            (100_000_000, 200_000_000)
        );
        assert_eq!(commit.message, "first line\n\nmore");
        assert_eq!(who_and_when("Qa <> 5 +0000").0, "Qa");
        assert_eq!(CommitObject::parse(b"\xff\n\n"), CommitObject::default());
    }
}
