//! A stream for `git fast-import`: a commit for each commit, with the files as they were saved.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::{Export, Tell, Told, reserved, unwritten};
use crate::archive::CommitView;
use crate::error::{Error, Result};
use crate::path::is_reserved_on_disk;

/// The branch that commits go to where none is named.
pub const DEFAULT_BRANCH: &str = "main";

impl Export<'_> {
    /// Writes the stream, for commits on the branch `refs/heads/BRANCH` of an empty repository; how many versions. Times
    /// are in seconds, those before 1970 become 1970, and a tab or the like in a name is left out.
    ///
    /// A stream that was cut short is refused by git: it ends with `done`.
    ///
    /// # Errors
    /// `Usage` for a branch that git would not take; where the archive cannot be read or `out` not be written.
    pub fn git(&self, branch: &str, out: &mut dyn Write, tell: Tell<'_>) -> Result<u64> {
        check_branch(branch)?;
        writeln!(out, "feature done\nreset refs/heads/{branch}\n").map_err(unwritten)?;
        let mut live = BTreeSet::new();
        let mut written = 0;
        let mut before = None;
        for commit in self.commits()? {
            let commit = commit?;
            let mut stream = Stream {
                out: &mut *out,
                commit: &commit,
                branch,
                before,
                begun: false,
            };
            written += self.write_changes(&mut stream, &mut live, tell)?;
            if stream.end().map_err(unwritten)? {
                before = Some(commit.seq);
            }
            tell(Told::Written(written));
        }
        writeln!(out, "done").map_err(unwritten)?;
        out.flush().map_err(unwritten)?;
        Ok(written)
    }

    /// Tells git of the changes of a commit: of what ends first, so that a name is free for what comes.
    fn write_changes(
        &self,
        stream: &mut Stream<'_>,
        live: &mut BTreeSet<String>,
        tell: Tell<'_>,
    ) -> Result<u64> {
        let mut written = 0;
        let changes = &stream.commit.changes;
        for version in changes.iter().filter(|version| version.is_deleted()) {
            if live.remove(&version.path) {
                stream.delete(&version.path).map_err(unwritten)?;
                written += 1;
            }
        }
        for version in changes.iter().filter(|version| !version.is_deleted()) {
            let left_out = match is_reserved_on_disk(&version.path) {
                true => Some(reserved(&version.path)),
                false => in_the_way(&version.path, live).map(|other| {
                    Error::invalid(format!(
                        "{} is left out: {other} cannot be a file beside it",
                        version.path
                    ))
                }),
            };
            if let Some(error) = left_out {
                let rev = version.rev();
                tell(Told::LeftOut { rev, error });
                continue;
            }
            if let Some(loaded) = self.load(version, tell)? {
                let source = loaded.into_source();
                stream.put(&version.path, &source).map_err(unwritten)?;
                live.insert(version.path.clone());
                written += 1;
            }
        }
        Ok(written)
    }
}

/// A commit that is being written.
struct Stream<'s> {
    out: &'s mut dyn Write,
    commit: &'s CommitView,
    branch: &'s str,
    before: Option<u64>,
    /// It has changes, so its head is written.
    begun: bool,
}

impl Stream<'_> {
    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let commit = self.commit;
        let who = identity(commit.author.as_deref().unwrap_or_default());
        let seconds = commit.time.div_euclid(1_000_000).max(0);
        writeln!(
            self.out,
            "commit refs/heads/{}\nmark :{}",
            self.branch, commit.seq
        )?;
        writeln!(
            self.out,
            "author {who} {seconds} +0000\ncommitter {who} {seconds} +0000"
        )?;
        // Git's messages end at a zero byte.
        let message = commit
            .message
            .as_deref()
            .unwrap_or_default()
            .replace('\0', "");
        write_data(self.out, message.as_bytes())?;
        match self.before {
            Some(before) => writeln!(self.out, "from :{before}"),
            None => Ok(()),
        }
    }

    fn delete(&mut self, path: &str) -> io::Result<()> {
        self.begin()?;
        writeln!(self.out, "D {}", quoted(path))
    }

    fn put(&mut self, path: &str, source: &[u8]) -> io::Result<()> {
        self.begin()?;
        writeln!(self.out, "M 100644 inline {}", quoted(path))?;
        write_data(self.out, source)
    }

    /// Was anything written?
    fn end(self) -> io::Result<bool> {
        if self.begun {
            writeln!(self.out)?;
        }
        Ok(self.begun)
    }
}

/// The file that keeps a path from being one: it is the name of a folder above, or below it.
fn in_the_way<'l>(path: &str, live: &'l BTreeSet<String>) -> Option<&'l String> {
    let mut above = path;
    while let Some((folder, _)) = above.rsplit_once('/') {
        if let Some(file) = live.get(folder) {
            return Some(file);
        }
        above = folder;
    }
    let folder = format!("{path}/");
    live.range(folder.clone()..)
        .next()
        .filter(|file| file.starts_with(&folder))
}

fn write_data(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    writeln!(out, "data {}", bytes.len())?;
    out.write_all(bytes)?;
    writeln!(out)
}

/// An author as git has them: a name and an address between `<` and `>`, which may both be empty.
fn identity(author: &str) -> String {
    let clean = |text: &str| -> String {
        let kept = text
            .chars()
            .filter(|c| !c.is_control() && !"<>".contains(*c));
        kept.collect::<String>().trim().to_owned()
    };
    let (name, address) = match author.strip_suffix('>').and_then(|a| a.rsplit_once('<')) {
        Some((name, address)) => (clean(name), clean(address)),
        None => (clean(author), String::new()),
    };
    match name.as_str() {
        "" => format!("<{address}>"),
        name => format!("{name} <{address}>"),
    }
}

/// A path between quotes, as C writes a string.
fn quoted(path: &str) -> String {
    let mut text = String::from("\"");
    for c in path.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// The rules of `git check-ref-format`, as far as a branch can break a stream or a reference.
fn check_branch(branch: &str) -> Result<()> {
    let bad = branch.is_empty()
        || branch.starts_with(['/', '-', '.'])
        || branch.ends_with(['/', '.'])
        || ["..", "//", "/.", "@{", ".lock"]
            .iter()
            .any(|part| branch.contains(part))
        || branch
            .chars()
            .any(|c| c.is_control() || " ~^:?*[\\".contains(c));
    match bad {
        true => Err(Error::invalid(format!("{branch:?} is no name of a branch"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_and_paths_cannot_break_out_of_their_lines() {
        assert_eq!(
            identity("Ops Team <ops@example.org>"),
            "Ops Team <ops@example.org>"
        );
        assert_eq!(identity("ops"), "ops <>");
        assert_eq!(identity(""), "<>");
        assert_eq!(identity("a\n<b> 1 +0000\nD x"), "ab 1 +0000D x <>");
        assert_eq!(quoted("a \"b\"\\c"), r#""a \"b\"\\c""#);
        for branch in ["", "-x", "a..b", "a b", "a\nb", "x.lock", "/a", "a/"] {
            assert!(check_branch(branch).is_err(), "{branch}");
        }
        assert!(check_branch("data/sensors").is_ok());
    }

    #[test]
    fn a_file_and_a_folder_of_one_name_are_in_each_others_way() {
        let live: BTreeSet<String> = ["a/b", "c", "a.x"].map(str::to_owned).into();
        assert!(in_the_way("a", &live).is_some() && in_the_way("c/d/e", &live).is_some());
        assert!(in_the_way("a/b", &live).is_none() && in_the_way("a/c", &live).is_none());
        assert!(in_the_way("d", &live).is_none() && in_the_way("ca", &live).is_none());
    }
}
