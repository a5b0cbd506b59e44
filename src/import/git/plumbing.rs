//! Git as child processes: `rev-list`, `diff-tree` and `cat-file --batch`, each reading from the one in front.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::process::{Process, last_line};
use super::raw::{CommitObject, Group, Groups};
use crate::error::{Error, Result};
use crate::log::format::MAX_OBJECT_LEN;
use crate::storage::{files, real_path};

/// How many commits may be asked for ahead of the one that is imported.
const AHEAD: usize = 64;
/// Files of a tree that are imported as one commit.
const TREE_GROUP: usize = 256;

/// What git would take for another repository, or read patterns by, if it stood in the environment.
const VARIABLES: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
];

/// A repository.
pub(super) struct Git {
    repository: PathBuf,
}

impl Git {
    pub fn open(repository: &Path) -> Result<Git> {
        let git = Git {
            repository: repository.to_owned(),
        };
        if !files::is_folder(repository) {
            let message = format!("no such folder: {}", repository.display());
            return Err(Error::not_found(message));
        }
        match git.ask(&["rev-parse", "--git-dir"])? {
            Ok(_) => Ok(git),
            Err(complaint) => Err(Error::not_found(format!(
                "{} is no git repository that can be read: {complaint}",
                repository.display()
            ))),
        }
    }

    /// The full name of the commit that a revision means.
    pub fn commit(&self, revision: &str) -> Result<String> {
        let commit = format!("{revision}^{{commit}}");
        let call = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &commit,
        ];
        self.ask(&call)?.map_err(|_| {
            Error::not_found(format!(
                "{} has no commit {revision}",
                self.repository.display()
            ))
        })
    }

    /// Does the history of one commit contain another?
    pub fn contains(&self, tip: &str, commit: &str) -> bool {
        let asked = self.ask(&["merge-base", "--is-ancestor", commit, tip]);
        matches!(asked, Ok(Ok(_)))
    }

    /// Is it a clone whose history was cut off?
    pub fn is_shallow(&self) -> bool {
        let asked = self.ask(&["rev-parse", "--is-shallow-repository"]);
        matches!(asked, Ok(Ok(answer)) if answer == "true")
    }

    /// Is this folder the top of its work tree?
    pub fn is_work_tree(&self, folder: &Path) -> bool {
        match self.ask(&["rev-parse", "--show-toplevel"]) {
            Ok(Ok(top)) if !top.is_empty() => real_path(Path::new(&top)) == real_path(folder),
            _ => false,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .arg("--no-replace-objects")
            .arg("-C")
            .arg(&self.repository);
        command.args(arguments).env("LC_ALL", "C");
        // What a partial clone lacks is not fetched behind anyone's back.
        command.env("GIT_NO_LAZY_FETCH", "1");
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command
    }

    /// What a short call prints, or what it complains of.
    fn ask(&self, arguments: &[&str]) -> Result<Result<String, String>> {
        let mut command = self.command(arguments);
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|error| Error::io("run git", error))?;
        Ok(match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout)
                .trim_end()
                .to_owned()),
            false => Err(last_line(&output.stderr)),
        })
    }

    /// Looks for commits that the newest one does not contain.
    pub fn strays(&self) -> Result<Strays> {
        let mut list = self.command(&["rev-list", "--max-count=1", "--stdin"]);
        list.stdin(Stdio::piped());
        let mut list = Process::start("rev-list", &mut list)?;
        Ok(Strays {
            names: list.stdin()?,
            list,
            refused: false,
        })
    }

    /// The files of a commit's tree, and what reads them.
    pub fn tree(
        &self,
        commit: &str,
        pathspecs: &[String],
    ) -> Result<(Vec<Group>, CommitObject, Contents)> {
        let empty = self.ask(&["hash-object", "-t", "tree", "--stdin"])?;
        let empty = empty.map_err(|complaint| Error::io("run git", io::Error::other(complaint)))?;
        let mut diff = self.command(&[
            "diff-tree",
            "-r",
            "--raw",
            "-z",
            "--no-abbrev",
            "--no-renames",
        ]);
        diff.args([&empty, commit, "--"])
            .args(pathspecs)
            .stdin(Stdio::null());
        let mut diff = Process::start("diff-tree", &mut diff)?;
        let whole = Groups::of(diff.stdout()?, commit).next()?;
        diff.finish()?;
        let changes = whole.map(|whole| whole.changes).unwrap_or_default();
        let groups: Vec<Group> = changes
            .chunks(TREE_GROUP)
            .map(|changes| Group {
                commit: commit.to_owned(),
                changes: changes.to_vec(),
            })
            .collect();
        let (mut contents, names) = Contents::start(self)?;
        let (asked, commit) = (groups.clone(), commit.to_owned());
        let asking = move || {
            let mut names = names;
            writeln!(names, "{commit}")?;
            for group in asked {
                ask_for_blobs(&group, &mut names)?;
            }
            names.flush()
        };
        contents.asking = Some(spawn(move || asking().map_err(unasked))?);
        let object = contents.commit()?;
        Ok((groups, object, contents))
    }
}

/// A list of commits, each with the files that it changed.
pub(super) struct Walk {
    list: Process,
    diff: Process,
    names: BufWriter<ChildStdin>,
}

impl Walk {
    pub fn start(git: &Git, first_parent: bool, pathspecs: &[String]) -> Result<Walk> {
        let mut list = git.command(&[
            "rev-list",
            "--topo-order",
            "--reverse",
            "--ignore-missing",
            "--stdin",
        ]);
        let mut diff = git.command(&[
            "diff-tree",
            "--stdin",
            "-r",
            "--root",
            "--raw",
            "-z",
            "--no-abbrev",
            "-M",
        ]);
        if first_parent {
            list.arg("--first-parent");
            diff.arg("--diff-merges=first-parent");
        } else {
            diff.arg("-m");
        }
        list.stdin(Stdio::piped());
        let mut list = Process::start("rev-list", &mut list)?;
        let names = list.stdin()?;
        diff.arg("--")
            .args(pathspecs)
            .stdin(Stdio::from(list.raw_stdout()?));
        Ok(Walk {
            diff: Process::start("diff-tree", &mut diff)?,
            list,
            names,
        })
    }

    pub fn up_to(&mut self, commit: &str) -> Result<()> {
        writeln!(self.names, "{commit}").map_err(unasked)
    }

    pub fn not_in(&mut self, commit: &str) -> Result<()> {
        writeln!(self.names, "^{commit}").map_err(unasked)
    }

    /// Begins to read.
    pub fn groups(self, git: &Git) -> Result<Commits> {
        let Walk {
            list,
            mut diff,
            names,
        } = self;
        names
            .into_inner()
            .map_err(|error| unasked(error.into_error()))?;
        let (mut contents, asks) = Contents::start(git)?;
        let (send, groups) = sync_channel(AHEAD);
        let changed = diff.stdout()?;
        contents.asking = Some(spawn(move || read_and_ask(changed, &send, asks))?);
        Ok(Commits {
            contents,
            groups,
            list,
            diff,
        })
    }
}

/// Hands each group on, and then asks for what is in it: the other way round both sides could wait for each other.
fn read_and_ask(
    changed: BufReader<ChildStdout>,
    send: &SyncSender<Group>,
    mut asks: BufWriter<ChildStdin>,
) -> Result<()> {
    let mut groups = Groups::new(changed);
    while let Some(group) = groups.next()? {
        // Whoever does not take it any more has failed, and says so.
        if send.send(group.clone()).is_err() {
            return Ok(());
        }
        ask(&group, &mut asks).map_err(unasked)?;
    }
    Ok(())
}

fn ask(group: &Group, asks: &mut impl Write) -> io::Result<()> {
    writeln!(asks, "{}", group.commit)?;
    ask_for_blobs(group, asks)?;
    asks.flush()
}

fn ask_for_blobs(group: &Group, names: &mut impl Write) -> io::Result<()> {
    let mut blobs = group
        .changes
        .iter()
        .filter_map(|change| change.blob.as_ref());
    blobs.try_for_each(|blob| writeln!(names, "{blob}"))
}

/// Commits that are being read. For each its object is to be read, and the blob of each change that has one.
pub(super) struct Commits {
    contents: Contents,
    groups: Receiver<Group>,
    list: Process,
    diff: Process,
}

impl Commits {
    pub fn next(&mut self) -> Result<Option<Group>> {
        Ok(self.groups.recv().ok())
    }

    pub fn commit(&mut self) -> Result<CommitObject> {
        self.contents.commit()
    }

    pub fn blob(&mut self) -> Result<Blob> {
        self.contents.blob()
    }

    /// Did all of it come?
    pub fn finish(self) -> Result<()> {
        // What stands in front is the cause of what comes behind.
        self.list.finish()?;
        self.diff.finish()?;
        self.contents.finish()
    }
}

/// A blob's bytes.
pub(super) enum Blob {
    Bytes(Vec<u8>),
    /// It is longer than any document may be.
    TooLong(u64),
}

/// Objects, in the order in which they are asked for.
pub(super) struct Contents {
    process: Process,
    output: BufReader<ChildStdout>,
    asking: Option<JoinHandle<Result<()>>>,
}

impl Contents {
    fn start(git: &Git) -> Result<(Contents, BufWriter<ChildStdin>)> {
        let mut cat = git.command(&["cat-file", "--batch"]);
        cat.stdin(Stdio::piped());
        let mut process = Process::start("cat-file", &mut cat)?;
        let names = process.stdin()?;
        let output = process.stdout()?;
        let contents = Contents {
            process,
            output,
            asking: None,
        };
        Ok((contents, names))
    }

    fn commit(&mut self) -> Result<CommitObject> {
        match self.object("commit")? {
            Blob::Bytes(bytes) => Ok(CommitObject::parse(&bytes)),
            Blob::TooLong(_) => Ok(CommitObject::default()),
        }
    }

    pub fn blob(&mut self) -> Result<Blob> {
        self.object("blob")
    }

    fn object(&mut self, kind: &str) -> Result<Blob> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        if read.map_err(unread)? == 0 {
            return Err(self.process.failure());
        }
        let parts: Vec<&str> = line.trim_end().split(' ').collect();
        let len = match parts.as_slice() {
            [_, found, len] if *found == kind => len.parse::<u64>().ok(),
            _ => None,
        };
        let Some(len) = len else {
            let error = io::Error::other(format!("it has no such {kind}: {}", line.trim_end()));
            return Err(Error::io("read from the git repository", error));
        };
        let object = match usize::try_from(len) {
            Ok(whole) if len <= MAX_OBJECT_LEN => {
                let mut bytes = vec![0; whole];
                self.output.read_exact(&mut bytes).map_err(unread)?;
                Blob::Bytes(bytes)
            }
            _ => {
                let mut rest = (&mut self.output).take(len);
                io::copy(&mut rest, &mut io::sink()).map_err(unread)?;
                Blob::TooLong(len)
            }
        };
        self.output.read_exact(&mut [0]).map_err(unread)?;
        Ok(object)
    }

    pub fn finish(mut self) -> Result<()> {
        if let Some(asking) = self.asking.take() {
            let ended = || {
                Error::io(
                    "read from the git repository",
                    io::Error::other("a thread ended"),
                )
            };
            asking.join().map_err(|_| ended())??;
        }
        self.process.finish()
    }
}

/// Commits that another one does not contain.
pub(super) struct Strays {
    list: Process,
    names: BufWriter<ChildStdin>,
    /// Git took no more names: one of them is of no commit it has.
    refused: bool,
}

impl Strays {
    pub fn up_to(&mut self, commit: &str) -> Result<()> {
        self.refused |= writeln!(self.names, "{commit}").is_err();
        Ok(())
    }

    pub fn not_in(&mut self, commit: &str) -> Result<()> {
        self.up_to(&format!("^{commit}"))
    }

    /// Are there any? A commit that git does not know is one.
    pub fn any(mut self) -> Result<bool> {
        self.refused |= self.names.into_inner().is_err();
        let mut found = String::new();
        self.list
            .stdout()?
            .read_to_string(&mut found)
            .map_err(unread)?;
        Ok(self.refused || self.list.finish().is_err() || !found.is_empty())
    }
}

fn spawn(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<JoinHandle<Result<()>>> {
    let thread = std::thread::Builder::new().spawn(work);
    thread.map_err(|error| Error::io("start a thread", error))
}

fn unasked(error: io::Error) -> Error {
    Error::io("ask git", error)
}

fn unread(error: io::Error) -> Error {
    Error::io("read what git says", error)
}
