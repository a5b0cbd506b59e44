//! `backstory watch`

mod events;
mod files;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueHint;

use super::arguments::{Nan, NoteArgs};
use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::text::{count, visible};
use crate::archive::{Archive, Document, OpenOptions, Status};
use crate::canon::NanMode;
use crate::error::{Error, ErrorKind};
use crate::storage::files as disk;
use crate::workspace::Workspace;
use events::{Events, Told};
use files::{Files, Root};

/// A signal to end is looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Other writers are waited for this long at a time.
const WAIT: Duration = Duration::from_millis(500);
/// After a failure it is tried again this much later.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Save files as they change
///
/// Watches files, and folders for the .json files below them (ignore files there are honoured); without PATH the whole
/// folder of the archive. A file is saved once it has been quiet for a moment and is valid JSON, all that changed
/// together in one commit; what is half-written is waited for. On start what changed meanwhile is saved. A file that
/// goes is told of and its history stays. Ends with Ctrl-C or SIGTERM, after a last look.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory watch
  backstory watch config results --debounce 2000 -m 'saved by watch'
  backstory watch metrics.json --json")]
pub(super) struct Args {
    /// Files and folders [default: the folder of the archive]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    paths: Vec<String>,
    /// How long files must be quiet before they are saved
    #[arg(long, value_name = "MS", default_value = "500", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    debounce: u64,
    /// Look at the files every MS instead of waiting to be told by the system
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    poll: Option<u64>,
    #[command(flatten)]
    note: NoteArgs,
    /// What becomes of NaN, Infinity and -Infinity [default: as in the newest version, else reject]
    #[arg(long, value_name = "MODE")]
    nan: Option<Nan>,
    /// Watch also what ignore files leave out
    #[arg(long)]
    no_ignore: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stop.clone())
            .map_err(|error| Failure::io(format!("could not watch for signals: {error}")))?;
    }
    let workspace = context.workspace_for(&args.paths)?;
    let roots = roots(args, &workspace)?;
    let folder = workspace.root().to_owned();
    let debounce = Duration::from_millis(args.debounce);
    let mut watch = Watch {
        args,
        options: OpenOptions {
            wait: WAIT,
            ..context.options()
        },
        workspace: Some(workspace),
        events: Events::begin(&roots, args.poll.map(Duration::from_millis), context),
        files: Files::new(folder.clone(), roots, args.no_ignore, debounce),
        folder,
        not_before: None,
        failed: None,
    };
    watch.files.look_everywhere()?;
    watch.know_archived()?;
    // That handle waits for other writers longer than a signal may.
    watch.workspace = None;
    watch.save(context, true);
    context.notice(&format!(
        "watching {} in {}; Ctrl-C ends it",
        count(watch.files.len() as u64, "file"),
        watch.folder.display()
    ));
    while !stop.load(Ordering::SeqCst) {
        let pause = watch
            .files
            .due_in()
            .map_or(LOOK_EVERY, |due| due.min(LOOK_EVERY));
        match watch.events.wait(pause.max(Duration::from_millis(1))) {
            Told::Nothing => {}
            Told::Changed(paths) => watch.files.changed(&paths),
            Told::Look => watch.files.look_now(),
        }
        if let Some(note) = watch.events.take_note() {
            context.notice(&note);
        }
        let wait = watch
            .not_before
            .is_some_and(|moment| Instant::now() < moment);
        if !wait && watch.files.due_in() == Some(Duration::ZERO) {
            watch.save(context, false);
        }
    }
    // What is on disk now, be it quiet or not.
    watch.files.look_later();
    watch.save(context, true);
    match watch.failed.take() {
        Some(failure) if watch.files.has_changed() => Err(failure),
        _ => {
            context.notice("stopped");
            Ok(super::DONE)
        }
    }
}

/// The files and folders to watch, by the names that their paths have in the archive.
fn roots(args: &Args, workspace: &Workspace) -> Result<Vec<Root>, Failure> {
    if args.paths.is_empty() {
        return Ok(vec![Root::folder(workspace.root().to_owned())]);
    }
    let mut roots = Vec::new();
    for argument in &args.paths {
        let path = workspace.root().join(workspace.prefix_argument(argument)?);
        roots.push(match disk::kind(&path)? {
            disk::Kind::Folder => Root::folder(path),
            disk::Kind::File => Root::file(path),
            disk::Kind::Missing if workspace_has(workspace, &path)? => Root::file(path),
            _ => {
                return Err(
                    Failure::not_found(format!("no such file or folder: {argument}"))
                        .about(argument)
                        .hint("backstory watch FOLDER   (files that come there are found)"),
                );
            }
        });
    }
    Ok(roots)
}

fn workspace_has(workspace: &Workspace, file: &Path) -> Result<bool, Failure> {
    let path = workspace.path_of_file(file)?;
    Ok(workspace.archive().path_exists(&path)?)
}

struct Watch<'a> {
    args: &'a Args,
    options: OpenOptions,
    /// The folder that holds `.backstory`.
    folder: PathBuf,
    /// None where it is to be opened again.
    workspace: Option<Workspace>,
    events: Events,
    files: Files,
    /// After a failure.
    not_before: Option<Instant>,
    /// Why the last attempt failed.
    failed: Option<Failure>,
}

/// What became of reading one file.
enum Read {
    Bytes(Vec<u8>),
    Missing,
    /// It is written right now.
    Busy,
}

impl Watch<'_> {
    /// Takes note of the archived files below the folders: that they are missing is worth a line.
    fn know_archived(&mut self) -> Result<(), Failure> {
        let Some(workspace) = &self.workspace else {
            return Ok(());
        };
        for version in workspace.archive().list("")? {
            if version.file && !version.is_deleted() {
                self.files.know(&workspace.file_of(&version.path));
            }
        }
        Ok(())
    }

    /// Saves what has changed. `all`: also what is not quiet yet.
    fn save(&mut self, context: &mut Context, all: bool) {
        let result = self.try_save(context, all);
        context.out.flush();
        let notices = self.workspace.iter();
        for text in notices.flat_map(|workspace| workspace.archive().take_notices()) {
            context.notice(&format!("note: {text}"));
        }
        match result {
            Ok(()) => {
                if self.failed.take().is_some() {
                    context.notice("going on");
                }
                self.not_before = None;
            }
            Err(error) => {
                let busy = error.kind() == ErrorKind::Busy;
                // A handle that failed to write writes no more.
                if !busy {
                    self.workspace = None;
                }
                self.not_before = Some(Instant::now() + TRY_AGAIN);
                let failure = Failure::from(error);
                // Said once, and not with each attempt.
                if self.failed.is_none() {
                    match busy {
                        true => {
                            context.notice("another process is writing to this archive; waiting")
                        }
                        false => failure.print(context.json()),
                    }
                }
                self.failed = Some(failure);
            }
        }
    }

    fn try_save(&mut self, context: &mut Context, all: bool) -> Result<(), Error> {
        self.files.look_if_asked();
        let due = self.files.due(all);
        if due.is_empty() {
            return Ok(());
        }
        let workspace = match self.workspace.take() {
            Some(workspace) => workspace,
            None => Workspace::new(
                Archive::open_with(&self.folder, &self.options)?,
                &self.folder,
            )?,
        };
        let workspace = &*self.workspace.insert(workspace);
        let mut save = workspace.archive().save();
        save.note(self.args.note.note(context));
        let mut taken = Vec::new();
        for file in due {
            let before = disk::stamp(&file);
            let read = match read(&file)? {
                Read::Bytes(_) if disk::stamp(&file) != before => Read::Busy,
                read => read,
            };
            let bytes = match read {
                Read::Bytes(bytes) => bytes,
                Read::Missing => {
                    missing(workspace, &file, &mut self.files, context)?;
                    continue;
                }
                Read::Busy => {
                    self.files.changed(std::slice::from_ref(&file));
                    continue;
                }
            };
            let path = match workspace.path_of_file(&file) {
                Ok(path) => path,
                Err(error) => {
                    self.files.done(&file, before);
                    context.notice(&format!("note: {error}"));
                    continue;
                }
            };
            let mut document = Document::source(bytes).file();
            if let Some(nan) = self.args.nan {
                document = document.nan(NanMode::from(nan));
            }
            match save.add(&path, document) {
                Ok(_) => taken.push((file, before)),
                Err(Error::InvalidDocument { source, .. }) => {
                    // Half-written, mostly: whoever writes it will go on.
                    if self.files.is_invalid(&file, before) {
                        invalid(&path, &source, context);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        for change in save.commit()? {
            if change.status != Status::Unchanged {
                context.change(&change);
            }
        }
        for (file, stamp) in taken {
            self.files.done(&file, stamp);
        }
        Ok(())
    }
}

fn read(file: &Path) -> Result<Read, Error> {
    match disk::kind(file) {
        Ok(disk::Kind::File) => {}
        Ok(_) => return Ok(Read::Missing),
        Err(_) => return Ok(Read::Busy),
    }
    Ok(match disk::read_if_there(file) {
        Ok(Some(bytes)) => Read::Bytes(bytes),
        Ok(None) => Read::Missing,
        // It may be read later.
        Err(_) => Read::Busy,
    })
}

/// Says that a file is gone, where it was archived.
fn missing(
    workspace: &Workspace,
    file: &Path,
    files: &mut Files,
    context: &mut Context,
) -> Result<(), Error> {
    files.done(file, None);
    let Ok(path) = workspace.path_of_file(file) else {
        return Ok(());
    };
    let newest = workspace.archive().newest(&path)?;
    if let Some(newest) = newest.filter(|newest| !newest.is_deleted() && newest.file) {
        if context.json() {
            let mut line = Object::new();
            line.text("path", &path)
                .text("status", "missing")
                .number("version", newest.version);
            context.out.line(&line.finish());
        } else {
            let name = visible(&path).into_owned();
            context.say(&format!(
                "missing {name}: its history stays; `backstory delete :/{name}` ends it"
            ));
        }
    }
    Ok(())
}

/// Says that a file is no document, which it may become.
fn invalid(path: &str, error: &crate::canon::CanonError, context: &mut Context) {
    if context.json() {
        let mut line = Object::new();
        line.text("path", path)
            .text("status", "invalid")
            .text("message", &error.to_string())
            .number("line", error.line as u64)
            .number("column", error.column as u64);
        context.out.line(&line.finish());
    } else {
        let name = visible(path).into_owned();
        context.notice(&format!("waiting for {name} to be a document: {error}"));
    }
}
