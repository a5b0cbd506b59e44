//! The history of a git repository, read through git's own plumbing.
//!
//! Commits are taken in topological order, each with the files that it changed. A merge brings what it has otherwise than
//! any of its parents: so the archive holds, once the newest commit is imported, what its tree holds. Which commits are
//! in the archive is read from the metadata of its commits, and git finds those that are not.

mod plumbing;
mod process;
mod raw;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::{Imported, Intake, Tell, Told, check_under, is_about_one, place};
use crate::archive::{Archive, CommitView, Document, Note, Save};
use crate::canon::NanMode;
use crate::error::{Error, Result};
use crate::path::join;
use crate::time::format_utc;
use plumbing::{Blob, Git, Walk};
use raw::{CommitObject, FileChange, Group};

/// The member of a commit's metadata that says where it comes from.
pub(super) const META: &str = "git";
/// Files that are looked at where nothing is said.
const DEFAULT_PATHS: &str = ":(icase,glob)**/*.json";

/// What to import from a git repository.
#[derive(Clone, Debug)]
pub struct GitImport {
    /// The repository, or a folder in its work tree.
    pub repository: PathBuf,
    /// Up to this commit: anything that `git rev-parse` takes.
    pub revision: String,
    /// Only commits that this one does not contain.
    pub since: Option<String>,
    /// Only files of these names: patterns as git's `:(glob)` has them. None: all `.json` files.
    pub paths: Vec<String>,
    /// Of a merge only what it brings to its first parent, as one commit.
    pub first_parent: bool,
    /// The folder of the archive that the files come under; empty for its root.
    pub under: String,
    /// What to do with numbers that JSON does not have; else what the path's newest version was saved with.
    pub nan: Option<NanMode>,
}

impl GitImport {
    /// All `.json` files in the history of the commit that is checked out.
    pub fn new(repository: impl Into<PathBuf>) -> GitImport {
        GitImport {
            repository: repository.into(),
            revision: "HEAD".to_owned(),
            since: None,
            paths: Vec::new(),
            first_parent: false,
            under: String::new(),
            nan: None,
        }
    }

    /// Imports what the archive does not have yet.
    ///
    /// # Errors
    /// `NotFound` where there is no repository or no such commit; `Io` where git cannot be run or fails, as it does on a
    /// damaged repository: what came before is imported then.
    pub fn run(&self, archive: &Archive, tell: Tell<'_>) -> Result<Imported> {
        check_under(&self.under)?;
        let git = Git::open(&self.repository)?;
        let tip = git.commit(&self.revision)?;
        let since = match &self.since {
            Some(revision) => Some(git.commit(revision)?),
            None => None,
        };
        let own_files = archive
            .root()
            .is_some_and(|root| self.under.is_empty() && git.is_work_tree(root));
        if git.is_shallow() {
            tell(Told::Note(format!(
                "{} is a shallow clone: what is older than it cannot be imported behind it later",
                self.repository.display()
            )));
        }
        let mut import = Import {
            options: self,
            scope: self.scope(),
            intake: Intake::new(archive, tell)?,
            archive,
            own_files,
        };
        let rewritten = import.new_commits(&git, &tip, since.as_deref())?;
        if rewritten {
            import.state_of(&git, &tip)?;
        }
        import.intake.finish()
    }

    fn pathspecs(&self) -> Vec<String> {
        match self.paths.is_empty() {
            true => vec![DEFAULT_PATHS.to_owned()],
            false => self
                .paths
                .iter()
                .map(|path| format!(":(glob){path}"))
                .collect(),
        }
    }

    /// What of a repository is imported, and whereto: another choice is another import.
    fn scope(&self) -> Map<String, Value> {
        let mut scope = Map::new();
        if !self.under.is_empty() {
            scope.insert("under".to_owned(), Value::from(self.under.as_str()));
        }
        if !self.paths.is_empty() {
            scope.insert("paths".to_owned(), Value::from(self.paths.clone()));
        }
        if self.first_parent {
            scope.insert("first_parent".to_owned(), Value::from(true));
        }
        scope
    }
}

/// An import that goes on.
struct Import<'i, 'a, 't> {
    options: &'i GitImport,
    scope: Map<String, Value>,
    intake: Intake<'a, 't>,
    archive: &'a Archive,
    /// The files of the repository are the files beside the archive.
    own_files: bool,
}

impl<'a> Import<'_, 'a, '_> {
    /// Imports the commits that are not in the archive. Does the state that this leads to need to be made that of the
    /// newest one? So it is where something was imported that this one does not contain, unless that was seen to before.
    fn new_commits(&mut self, git: &Git, tip: &str, since: Option<&str>) -> Result<bool> {
        let options = self.options;
        let mut walk = Walk::start(git, options.first_parent, &options.pathspecs())?;
        let mut strays = git.strays()?;
        walk.up_to(tip)?;
        strays.not_in(tip)?;
        if let Some(since) = since {
            walk.not_in(since)?;
        }
        let mut last = None;
        for commit in self.archive.commits()? {
            if let Some(done) = imported_from(&commit?, &self.scope) {
                walk.not_in(&done)?;
                strays.up_to(&done)?;
                last.get_or_insert(done);
            }
        }
        let strays = match &last {
            Some(_) => strays.any()?,
            None => false,
        };
        let mut moved = !last.is_some_and(|last| git.contains(tip, &last));
        let mut groups = walk.groups(git)?;
        while let Some(group) = groups.next()? {
            moved = true;
            let object = groups.commit()?;
            self.take(&group, &object, &mut || groups.blob())?;
        }
        groups.finish()?;
        self.intake.flush()?;
        Ok(strays && moved)
    }

    /// Imports the tree of a commit: where history was rewritten, what was imported before does not lead to it.
    fn state_of(&mut self, git: &Git, tip: &str) -> Result<()> {
        let (tree, object, mut contents) = git.tree(tip, &self.options.pathspecs())?;
        let mut gone = BTreeSet::new();
        for version in self.archive.list(&self.options.under)? {
            let meta = version.meta.get(META).and_then(Value::as_object);
            if !version.is_deleted() && meta.is_some_and(|meta| same_scope(meta, &self.scope)) {
                gone.insert(version.path);
            }
        }
        for group in tree {
            for change in &group.changes {
                if let Ok(name) = std::str::from_utf8(&change.path) {
                    gone.remove(&join(&self.options.under, name));
                }
            }
            self.take(&group, &object, &mut || contents.blob())?;
        }
        contents.finish()?;
        let mut save = self.archive.save();
        save.note(self.note(tip, &object, Map::new()));
        for path in gone {
            save.delete(&path)?;
        }
        self.intake.push(save, 0)
    }

    /// Takes a commit.
    fn take(
        &mut self,
        group: &Group,
        object: &CommitObject,
        blob: &mut dyn FnMut() -> Result<Blob>,
    ) -> Result<()> {
        let mut save = self.archive.save();
        let mut renamed = Map::new();
        let mut len = 0;
        for change in group.changes.iter().filter(|change| change.blob.is_some()) {
            let content = blob()?;
            let added = self.add(&mut save, change, content, &mut renamed);
            match added {
                Ok(added) => len += added,
                Err(error) if is_about_one(&error) => {
                    let name = String::from_utf8_lossy(&change.path).into_owned();
                    self.intake.leave_out(name, &group.commit, error);
                }
                Err(error) => return Err(error),
            }
        }
        for change in group.changes.iter().filter(|change| change.blob.is_none()) {
            // What has no path in the archive cannot end there.
            if let Ok(path) = self.place(&change.path)
                && !save.has(&path)
            {
                save.delete(&path)?;
            }
        }
        save.note(self.note(&group.commit, object, renamed));
        self.intake.push(save, len)
    }

    fn add(
        &self,
        save: &mut Save<'a>,
        change: &FileChange,
        content: Blob,
        renamed: &mut Map<String, Value>,
    ) -> Result<usize> {
        let path = self.place(&change.path)?;
        let bytes = match content {
            Blob::Bytes(bytes) => bytes,
            Blob::TooLong(len) => {
                return Err(Error::invalid(format!("a file of {len} bytes is too long")));
            }
        };
        let len = bytes.len();
        let mut document = Document::source(bytes);
        if self.own_files {
            document = document.file();
        }
        if let Some(nan) = self.options.nan {
            document = document.nan(nan);
        }
        let from = change.from.as_ref().and_then(|from| self.place(from).ok());
        match from.filter(|from| !save.has(from)) {
            Some(from) => {
                save.add_moved(&from, &path, document)?;
                renamed.insert(path, Value::from(from));
            }
            None => {
                save.add(&path, document)?;
            }
        }
        Ok(len)
    }

    fn place(&self, name: &[u8]) -> Result<String> {
        match std::str::from_utf8(name) {
            Ok(name) => place(&self.options.under, name),
            Err(_) => Err(Error::invalid(format!(
                "{:?} is no path: it is not UTF-8",
                String::from_utf8_lossy(name)
            ))),
        }
    }

    fn note(&self, commit: &str, object: &CommitObject, renamed: Map<String, Value>) -> Note {
        let mut from = self.scope.clone();
        from.insert("commit".to_owned(), Value::from(commit));
        if !renamed.is_empty() {
            from.insert("renamed".to_owned(), Value::from(renamed));
        }
        if object.authored != object.committed {
            let authored = format_utc(object.authored);
            from.insert("authored".to_owned(), Value::from(authored));
        }
        Note {
            message: (!object.message.is_empty()).then(|| object.message.clone()),
            author: (!object.author.is_empty()).then(|| object.author.clone()),
            meta: Map::from_iter([(META.to_owned(), Value::Object(from))]),
            time: Some(object.committed),
        }
    }
}

/// The git commit that this one was imported from, by an import of this scope.
fn imported_from(commit: &CommitView, scope: &Map<String, Value>) -> Option<String> {
    let from = commit.meta.get(META)?.as_object()?;
    let id = from.get("commit")?.as_str()?;
    (same_scope(from, scope) && raw::is_object_name(id)).then(|| id.to_owned())
}

fn same_scope(from: &Map<String, Value>, scope: &Map<String, Value>) -> bool {
    let mut names = ["under", "paths", "first_parent"].iter();
    names.all(|name| from.get(*name) == scope.get(*name))
}
