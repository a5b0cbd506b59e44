//! `backstory save`

use std::path::{Path, PathBuf};

use clap::ValueHint;

use super::arguments::{Nan, NoteArgs};
use super::collect::collect;
use super::context::Context;
use super::failure::Failure;
use super::text::{count, quote};
use super::{progress, save_jsonl};
use crate::archive::Document;
use crate::canon::{NanMode, canonicalize_with};
use crate::error::Error;
use crate::provenance::{META_KEY, Provenance, git_state};
use crate::storage::files;
use crate::workspace::{ARCHIVE_FOLDER, Place, Workspace, find_archive, place_for, start_folder};

/// Archive files, all in one commit
///
/// A folder stands for the .json files below it; ignore files there are honoured. `-` is standard input and needs
/// --as. Content equal to the newest version makes no new one and is called `unchanged`. Where there is no archive,
/// one is made at the root of the project: the nearest folder above the file with .git, pyproject.toml, package.json
/// or Cargo.toml, else the file's own.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory save config/production.json -m 'raise the timeout'
  backstory save config metrics.json --author ops --meta run=42
  backstory save results --provenance
  curl -s https://example.org/sensors | backstory save - --as sensors.json
  backstory save --jsonl --batch 1000 < readings.jsonl
  find results -name '*.json' -newer mark -print0 | backstory save --from-file - --null

With --jsonl, each line of standard input is {\"path\":…,\"doc\":…}, and may have time, message, author and meta. Every
line is a commit of its own; with --batch N there is one every N lines (more where lines differ in time, message,
author or metadata, or a path comes twice). Paths are relative to the archive's root.")]
pub(super) struct Args {
    /// Files and folders to save; - is standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["jsonl", "from_file"], value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Save also the files that this file names, one a line; - is standard input
    #[arg(long, value_name = "LIST", value_hint = ValueHint::FilePath, conflicts_with = "jsonl")]
    pub from_file: Option<PathBuf>,
    /// With --from-file: each name ends with a NUL, not with its line
    #[arg(long, short = '0', requires = "from_file")]
    pub null: bool,
    /// Save under this path
    #[arg(long = "as", value_name = "PATH")]
    pub as_path: Option<String>,
    #[command(flatten)]
    pub note: NoteArgs,
    /// Only if the newest version is N; otherwise exit 4
    #[arg(long, value_name = "N", conflicts_with = "if_absent")]
    pub if_version: Option<u64>,
    /// Only if the path is not there yet; otherwise exit 4
    #[arg(long)]
    pub if_absent: bool,
    /// What becomes of NaN, Infinity and -Infinity [default: as in the newest version, else reject]
    #[arg(long, value_name = "MODE")]
    pub nan: Option<Nan>,
    /// Save what is valid even if something is not; still exit 5
    #[arg(long)]
    pub keep_going: bool,
    /// Make no version where only the layout has changed
    #[arg(long)]
    pub ignore_format: bool,
    /// Do not make an archive where there is none; exit 3
    #[arg(long)]
    pub no_init: bool,
    /// Save also what ignore files leave out
    #[arg(long)]
    pub no_ignore: bool,
    /// Keep with the commit where it comes from: git commit, command line without secrets, host and user
    #[arg(long)]
    pub provenance: bool,
    /// Read one document a line from standard input
    #[arg(long, conflicts_with_all = ["files", "as_path", "if_version", "if_absent", "provenance"])]
    pub jsonl: bool,
    /// With --jsonl: put N lines on disk at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
}

/// One document to save.
struct Input {
    /// As the person named it.
    name: PathBuf,
    bytes: Vec<u8>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    if args.jsonl {
        return save_jsonl::run(args, context);
    }
    check(args)?;
    let files = given(args, context)?;
    let named = expand(&files, args, context)?;
    let place = place(&files, &named, args, context)?;
    let (inputs, mut failed) = read(&named, context);
    if matches!(place, Place::Nowhere(_))
        && !args.no_init
        && !worth_an_archive(&inputs, failed, args)
    {
        report_invalid(&inputs, args, context);
        return Ok(super::DONE);
    }
    let workspace = open(&place, args.no_init, context)?;
    let mut batch = workspace.archive().batch();
    let mut save = workspace.archive().save();
    let mut note = args.note.note(context);
    if args.provenance {
        let value = provenance(&workspace, context).to_value();
        note.meta.insert(META_KEY.to_owned(), value);
    }
    save.note(note).ignore_format(args.ignore_format);
    if let Some(version) = args.if_version {
        save.if_version(version);
    }
    if args.if_absent {
        save.if_absent();
    }
    let bar = progress::files(inputs.len() as u64, context);
    for input in inputs {
        let (path, from_file) = path_of(&input.name, args, &workspace)?;
        let mut document = Document::source(input.bytes);
        if from_file {
            document = document.file();
        }
        if let Some(nan) = args.nan {
            document = document.nan(nan.into());
        }
        match save.add(&path, document) {
            Ok(_) => batch.begin(&mut save),
            Err(error @ Error::InvalidDocument { .. }) => {
                failed = true;
                context.report(invalid(error, &input.name, args));
            }
            Err(error) => return Err(error.into()),
        }
        bar.advance(1);
    }
    bar.finish();
    if failed && !args.keep_going {
        return Ok(super::DONE);
    }
    if save.is_empty() {
        return Ok(super::DONE);
    }
    batch.push(save);
    for change in batch.commit()?.into_iter().flatten() {
        context.change(&change);
    }
    Ok(super::DONE)
}

/// Where this call comes from; git is asked where it was made, then at the root of the archive.
fn provenance(workspace: &Workspace, context: &Context) -> Provenance {
    let folders = [context.cwd.as_path(), workspace.root()];
    let mut provenance = Provenance::of_command(&context.command_line);
    provenance.git = folders.into_iter().find_map(git_state);
    provenance.host = context.environment.host();
    provenance.user = context.environment.user.clone();
    provenance
}

fn check(args: &Args) -> Result<(), Failure> {
    if args.batch.is_some() {
        return Err(Failure::usage("--batch is for --jsonl")
            .hint("backstory save --jsonl --batch N < LINES"));
    }
    let stdin = args.files.iter().any(|file| is_stdin(file));
    if stdin && args.from_file.as_deref().is_some_and(is_stdin) {
        return Err(Failure::usage("standard input is the list already")
            .hint("backstory save --from-file LIST - --as PATH"));
    }
    if args.as_path.is_some() && args.from_file.is_some() {
        return Err(Failure::usage(
            "--as names one path, and a list names several files",
        ));
    }
    if args.as_path.is_some() && args.files.len() != 1 {
        return Err(
            Failure::usage("--as names one path, and there are several files")
                .hint("backstory save FILE --as PATH, once for each file"),
        );
    }
    if stdin && args.as_path.is_none() {
        return Err(Failure::usage("standard input has no name of its own")
            .hint("backstory save - --as PATH"));
    }
    Ok(())
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The files as they were named, with `:/` standing for the root of the archive.
fn given(args: &Args, context: &Context) -> Result<Vec<PathBuf>, Failure> {
    let root = context
        .named_archive()
        .or_else(|| find_archive(&context.cwd));
    let mut named = args.files.clone();
    if let Some(list) = &args.from_file {
        let (name, bytes) = context.read_input(list)?;
        named.extend(names_in(&bytes, args.null));
        if named.is_empty() {
            return Err(
                Failure::not_found(format!("{name} names no file")).hint("backstory save FILE")
            );
        }
        if named.iter().any(|file| is_stdin(file)) {
            return Err(Failure::usage(format!(
                "{name} names standard input, which is no file"
            )));
        }
    }
    let given = named.iter().map(|file| {
        match (
            file.to_str().and_then(|name| name.strip_prefix(":/")),
            &root,
        ) {
            (Some(path), Some(root)) => root.join(path),
            _ => file.clone(),
        }
    });
    Ok(given.collect())
}

/// The names in a list.
fn names_in(list: &[u8], null: bool) -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let end = if null { 0 } else { b'\n' };
    let names = list.split(|byte| *byte == end).map(|name| match null {
        true => name,
        false => name.strip_suffix(b"\r").unwrap_or(name),
    });
    let names = names.filter(|name| !name.is_empty());
    names
        .map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name)))
        .collect()
}

/// The files that are meant: folders are replaced by what is in them, and nothing is named twice.
fn expand(given: &[PathBuf], args: &Args, context: &mut Context) -> Result<Vec<PathBuf>, Failure> {
    let mut named: Vec<PathBuf> = Vec::new();
    let mut left_out = 0;
    let mut folders = false;
    for file in given {
        if is_stdin(file) || !files::is_folder(&context.cwd.join(file)) {
            named.push(file.clone());
            continue;
        }
        if args.as_path.is_some() {
            return Err(Failure::usage(format!(
                "{} is a folder, and --as names one path",
                file.display()
            )));
        }
        folders = true;
        let found = collect(&context.cwd.join(file), args.no_ignore)?;
        left_out += found.left_out;
        named.extend(found.files);
    }
    let mut seen = std::collections::HashSet::new();
    let cwd = context.cwd.clone();
    named.retain(|file| {
        seen.insert(files::resolve_folder(&cwd.join(file)).unwrap_or_else(|_| cwd.join(file)))
    });
    if left_out > 0 {
        context.notice(&format!(
            "note: ignore files left out {} (--no-ignore saves them too)",
            count(left_out as u64, ".json file")
        ));
    }
    if folders && named.is_empty() {
        return Err(
            Failure::not_found("there is no .json file to save").hint(match left_out {
                0 => "backstory save FILE".to_owned(),
                _ => format!(
                    "backstory save --no-ignore {}",
                    quote(&given[0].to_string_lossy())
                ),
            }),
        );
    }
    Ok(named)
}

/// Which archive the files belong to.
fn place(
    given: &[PathBuf],
    named: &[PathBuf],
    args: &Args,
    context: &Context,
) -> Result<Place, Failure> {
    if let Some(folder) = context.named_archive() {
        return Ok(Place::Archive(folder));
    }
    let mut starts = Vec::new();
    for file in given {
        let start = if is_stdin(file) {
            context.cwd.clone()
        } else {
            start_folder(&context.cwd, file)
        };
        // A file that has a path of its own choosing need not be near an archive.
        if args.as_path.is_some() && find_archive(&start).is_none() {
            starts.push(context.cwd.clone());
        } else {
            starts.push(start);
        }
    }
    // Below a folder there may be an archive of its own.
    let mut inner: Vec<PathBuf> = named
        .iter()
        .filter(|file| !is_stdin(file))
        .map(|file| start_folder(&context.cwd, file))
        .collect();
    inner.sort();
    inner.dedup();
    inner.retain(|folder| find_archive(folder).is_some());
    if args.as_path.is_none() {
        starts.extend(inner);
    }
    Ok(place_for(&starts)?)
}

/// Reads everything; what cannot be read is reported.
fn read(named: &[PathBuf], context: &mut Context) -> (Vec<Input>, bool) {
    let mut inputs = Vec::new();
    let mut failed = false;
    for file in named {
        match context.read_input(file) {
            Ok((_, bytes)) => inputs.push(Input {
                name: file.clone(),
                bytes,
            }),
            Err(failure) => {
                failed = true;
                context.report(failure);
            }
        }
    }
    (inputs, failed)
}

/// No archive is made for nothing: there has to be something that will be saved.
fn worth_an_archive(inputs: &[Input], failed: bool, args: &Args) -> bool {
    let valid = inputs
        .iter()
        .filter(|input| canonicalize_with(&input.bytes, new_nan(args)).is_ok())
        .count();
    if args.keep_going {
        valid > 0
    } else {
        !failed && valid == inputs.len()
    }
}

/// Reports every file that is not a document, where nothing will be saved.
fn report_invalid(inputs: &[Input], args: &Args, context: &mut Context) {
    for input in inputs {
        if let Err(source) = canonicalize_with(&input.bytes, new_nan(args)) {
            let path = input.name.display().to_string();
            context.report(invalid(
                Error::InvalidDocument { path, source },
                &input.name,
                args,
            ));
        }
    }
}

/// What a path without versions does with NaN.
fn new_nan(args: &Args) -> NanMode {
    args.nan.map_or(NanMode::Reject, NanMode::from)
}

/// A document that is not accepted, with what to type about the file as it was named.
fn invalid(error: Error, name: &Path, args: &Args) -> Failure {
    let non_finite = matches!(
        &error,
        Error::InvalidDocument { source, .. } if matches!(source.kind, crate::canon::CanonErrorKind::NonFinite(_))
    );
    let line = match &error {
        Error::InvalidDocument { source, .. } => source.line,
        _ => 0,
    };
    let file = quote(&name.to_string_lossy()).into_owned();
    let as_path = args
        .as_path
        .as_ref()
        .map(|path| format!(" --as {}", quote(path)))
        .unwrap_or_default();
    Failure::from(error).hint(match non_finite {
        true => format!("backstory save {file}{as_path} --nan tag"),
        false => format!("backstory save {file}{as_path}   (once line {line} is corrected)"),
    })
}

/// Opens the archive, or makes it and says so.
pub(super) fn open(
    place: &Place,
    no_init: bool,
    context: &mut Context,
) -> Result<Workspace, Failure> {
    match place {
        Place::Archive(folder) => context.open(folder),
        Place::Nowhere(folder) if no_init => Err(Failure::no_archive(format!(
            "there is no archive in or above {}",
            folder.display()
        ))),
        Place::Nowhere(folder) => {
            let (workspace, made) = context.open_or_create(folder)?;
            if made {
                context.notice(&format!(
                    "note: made an archive in {}",
                    folder.join(ARCHIVE_FOLDER).display()
                ));
            }
            Ok(workspace)
        }
    }
}

/// The path to save a file under, and whether it is the file of that path.
fn path_of(name: &Path, args: &Args, workspace: &Workspace) -> Result<(String, bool), Failure> {
    match &args.as_path {
        Some(path) => {
            let path = workspace.path_argument(path)?;
            let own = !is_stdin(name) && workspace.is_file_of(name, &path);
            Ok((path, own))
        }
        None => {
            let path = workspace.path_of_file(name).map_err(|error| {
                let file = name.to_string_lossy();
                Failure::from(error).hint(format!("backstory save {} --as PATH", quote(&file)))
            })?;
            Ok((path, true))
        }
    }
}
