//! The state of the git work tree around a folder.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

/// The state of a git work tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Git {
    /// The commit that is checked out, in hex; `None` in front of the first.
    pub commit: Option<String>,
    /// The branch; `None` where none is checked out.
    pub branch: Option<String>,
    /// Does any tracked file differ from the commit? Files that git does not track do not count.
    pub dirty: bool,
}

impl Git {
    pub(super) fn to_value(&self) -> Value {
        let mut members = Map::new();
        for (name, text) in [("commit", &self.commit), ("branch", &self.branch)] {
            if let Some(text) = text {
                members.insert(name.to_owned(), Value::String(text.clone()));
            }
        }
        members.insert("dirty".to_owned(), Value::Bool(self.dirty));
        Value::Object(members)
    }
}

/// Asks git, which must be where the system finds programs. `None` where there is no git, or no work tree that it
/// trusts. It takes some milliseconds, and longer in a work tree of very many files.
pub fn git_state(folder: &Path) -> Option<Git> {
    let output = Command::new("git")
        .arg("--no-optional-locks")
        .arg("-C")
        .arg(folder)
        .args(["status", "--porcelain=v2", "--branch"])
        .args(["--untracked-files=no", "--no-renames"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads what `git status --porcelain=v2 --branch` says.
fn parse(text: &str) -> Git {
    let mut git = Git::default();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            None => git.dirty = true,
            Some(header) => match header.split_once(' ') {
                Some(("branch.oid", "(initial)")) | Some(("branch.head", "(detached)")) => {}
                Some(("branch.oid", commit)) => git.commit = Some(commit.to_owned()),
                Some(("branch.head", branch)) => git.branch = Some(branch.to_owned()),
                _ => {}
            },
        }
    }
    git
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart() {
        let clean = parse("# branch.oid 41d0\n# branch.head main\n# branch.upstream origin/main\n");
        assert_eq!(clean.commit.as_deref(), Some("41d0"));
        assert_eq!(clean.branch.as_deref(), Some("main"));
        assert!(!clean.dirty);
        let new = parse("# branch.oid (initial)\n# branch.head (detached)\n1 A. N... 0 train.py\n");
        assert_eq!((new.commit, new.branch, new.dirty), (None, None, true));
    }
}
