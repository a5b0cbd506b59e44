//! git: a repository with a commit for each version.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Result;
use crate::child::finish;
use crate::corpus::{Corpus, Entry};
use crate::room::{Room, settle};

const MARKS: &str = "marks";

/// A call of git in a repository, with nothing of the caller's settings, and no collection in the background.
pub fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "user.name=Ops", "-c", "user.email=ops@example.org"])
        .args(["-c", "gc.auto=0", "-c", "core.fsync=all"]);
    command
}

pub fn init(folder: &Path) -> Result<()> {
    finish(git(folder).args(["init", "--quiet", "--initial-branch=main"]))
}

/// Writes what `git fast-import` reads: a commit for each entry. `first` is the number of the first mark; `more` says
/// that the branch has commits already.
pub fn write_stream(
    out: &mut impl Write,
    entries: &[Entry],
    first: usize,
    more: bool,
) -> std::io::Result<()> {
    for (number, entry) in (first..).zip(entries) {
        let time = entry
            .time
            .map_or(1_700_000_000 + number as i64, |time| time / 1_000_000);
        writeln!(out, "commit refs/heads/main\nmark :{number}")?;
        writeln!(out, "committer Ops <ops@example.org> {time} +0000\ndata 0")?;
        if more && number == first {
            writeln!(out, "from refs/heads/main^0")?;
        }
        writeln!(out, "M 100644 inline {}", entry.path)?;
        writeln!(out, "data {}\n{}", entry.text.len(), entry.text)?;
    }
    Ok(())
}

/// The call that takes such a stream on its standard input.
pub fn fast_import(folder: &Path) -> Command {
    let mut command = git(folder);
    command
        .args(["fast-import", "--quiet"])
        .arg(format!("--export-marks={MARKS}"))
        .stdin(Stdio::piped());
    command
}

/// The folder of a repository of the whole history with its files checked out, to read from.
pub fn repository_of(room: &Room, corpus: &Corpus) -> Result<PathBuf> {
    room.shared(&format!("git-{}", corpus.name), |folder| {
        import(folder, &corpus.entries)?;
        settle();
        Ok(())
    })
}

/// A new repository with a commit for each entry.
pub fn import(folder: &Path, entries: &[Entry]) -> Result<()> {
    init(folder)?;
    let mut child = fast_import(folder).spawn()?;
    let stdin = child.stdin.take().ok_or("no standard input")?;
    let mut stdin = BufWriter::with_capacity(1 << 20, stdin);
    write_stream(&mut stdin, entries, 1, false)?;
    stdin.flush()?;
    drop(stdin);
    if !child.wait()?.success() {
        return Err("git fast-import failed".into());
    }
    finish(git(folder).args(["reset", "--quiet", "--hard"]))
}

/// The commit of each entry.
pub fn commits(folder: &Path) -> Result<Vec<String>> {
    let marks = std::fs::read_to_string(folder.join(MARKS))?;
    let mut commits: Vec<(usize, String)> = Vec::new();
    for line in marks.lines() {
        let (mark, id) = line.split_once(' ').ok_or("a mark has an id")?;
        commits.push((mark.trim_start_matches(':').parse()?, id.to_owned()));
    }
    commits.sort();
    Ok(commits.into_iter().map(|(_, id)| id).collect())
}

/// `git cat-file --batch`, running for as long as it is asked.
pub struct Reader {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    pub fn start(folder: &Path) -> Result<Reader> {
        let mut child = git(folder)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = child.stdin.take().ok_or("no standard input")?;
        let answers = child.stdout.take().ok_or("no standard output")?;
        Ok(Reader {
            child,
            ask,
            answers: BufReader::with_capacity(1 << 20, answers),
        })
    }

    pub fn load(&mut self, commit: &str, path: &str) -> Result<Vec<u8>> {
        self.ask
            .write_all(format!("{commit}:{path}\n").as_bytes())?;
        let mut header = String::new();
        self.answers.read_line(&mut header)?;
        let len = header.trim_end().rsplit(' ').next().unwrap_or_default();
        let mut content = vec![0; len.parse().map_err(|_| format!("git says {header}"))?];
        self.answers.read_exact(&mut content)?;
        self.answers.read_exact(&mut [0])?;
        Ok(content)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It has nothing to lose; the only other way to end it is to close its standard input.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
