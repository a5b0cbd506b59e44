//! `backstory export`

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{ValueEnum, ValueHint};

use super::arguments::moment_until;
use super::context::Context;
use super::failure::Failure;
use super::globs::Wanted;
use super::json::Object;
use super::output::Output;
use super::progress;
use super::text::{count, quote};
use crate::error::Error;
use crate::export::{DEFAULT_BRANCH, Export, Jsonl, Tell, Told};
use crate::storage::files;
use crate::storage::output::OutputFile;
use crate::workspace::ARCHIVE_FOLDER;

/// Take histories and states out of the archive
///
/// jsonl, git and sqlite hold every version; tar and dir hold the files of one moment, byte for byte. A file or folder
/// gets its name once it is whole. What damage has taken is told of and left out. A bundle holds commits as they are.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory export -o history.jsonl
  backstory export --newest 'results/*.json' | jq .document.loss
  backstory export --format sqlite -o history.db && sqlite3 history.db 'SELECT * FROM changes'
  backstory export --format tar --at 2026-11-01 -o november.tar
  backstory export --format dir --at 2026-11-01 -o november
  backstory export --bundle tuesday.bundle --since 41d0e7aa
  git init copy && backstory export --format git | git -C copy fast-import")]
pub(super) struct Args {
    /// Only these paths: a path, a folder, or a pattern with *, ** and ?
    #[arg(value_name = "PATH-GLOB", value_hint = ValueHint::AnyPath)]
    globs: Vec<String>,
    /// As what
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    format: Format,
    /// To this file (of dir: folder) instead of standard output
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    output: Option<PathBuf>,
    /// As it was at this time; a date is its last moment, in UTC
    #[arg(long, value_name = "TIME", value_parser = moment_until)]
    at: Option<i64>,
    /// With jsonl: only the newest version of each path
    #[arg(long)]
    newest: bool,
    /// With jsonl and sqlite: also the bytes as they were saved, where no form of the document gives them back
    #[arg(long)]
    source: bool,
    /// With git: the branch
    #[arg(long, value_name = "NAME", default_value = DEFAULT_BRANCH)]
    branch: String,
    /// Instead: the commits behind --since, for a copy of the archive that cannot be reached; `import bundle` takes them
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["globs", "format", "output", "at", "newest", "source", "branch", "force"]
    )]
    bundle: Option<PathBuf>,
    /// With --bundle: the last commit that the other copy has, by its id or first digits [default: none]
    #[arg(long, value_name = "COMMIT", requires = "bundle")]
    since: Option<String>,
    /// Replace a file that is there; write into a folder that is not empty
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each version
    Jsonl,
    /// The files of one moment
    Tar,
    /// A stream for git fast-import
    Git,
    /// A database with the tables versions and changes
    Sqlite,
    /// The files of one moment, in a folder
    Dir,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    if let Some(file) = &args.bundle {
        return super::bundle::create(file, args.since.as_deref(), context);
    }
    check(args)?;
    let workspace = context.workspace_for(&args.globs)?;
    let wanted = Wanted::all(&args.globs, &workspace)?;
    let mut export = Export::new(workspace.archive()).only(|path| Wanted::any_has(&wanted, path));
    if let Some(at) = args.at {
        export = export.at(at);
    }
    let target = args
        .output
        .as_ref()
        .filter(|file| file.as_os_str() != "-")
        .map(|file| context.cwd.join(file));
    let own_folder = workspace.root().join(ARCHIVE_FOLDER);
    if let Some(target) = target
        .as_ref()
        .filter(|target| files::is_inside(&own_folder, target))
    {
        let message = format!("{} belongs to the archive itself", target.display());
        return Err(Failure::usage(message));
    }
    let bar = progress::versions(context);
    let mut left_out = Vec::new();
    let mut tell = |told: Told| match told {
        Told::Written(written) => bar.reached(written),
        Told::LeftOut { rev, error } => left_out.push((rev, error)),
    };
    let done = match &target {
        Some(target) => to_target(&export, target, args, &mut tell),
        None => to_stdout(&export, args, context, &mut tell),
    };
    bar.finish();
    let count_left_out = left_out.len() as u64;
    for (rev, error) in left_out {
        report(&rev, error, context);
    }
    let written = match done {
        // Whoever read standard output has seen enough, or its trouble is told of at the end.
        Err(_) if context.out.ended() => return Ok(super::DONE),
        done => done.map_err(|error| failure(error, args))?,
    };
    if let Some(file) = &args.output
        && target.is_some()
    {
        let name = file.display().to_string();
        if context.json() {
            let mut document = Object::new();
            let format = args.format.to_possible_value();
            document
                .text(
                    "format",
                    format.as_ref().map_or("", |format| format.get_name()),
                )
                .text("file", &name)
                .number("written", written)
                .number("left_out", count_left_out);
            context.out.line(&document.finish());
        } else {
            let what = match args.format {
                Format::Tar | Format::Dir => "file",
                Format::Jsonl | Format::Git | Format::Sqlite => "version",
            };
            context.say(&format!("exported {} to {name}", count(written, what)));
        }
    }
    Ok(super::DONE)
}

fn check(args: &Args) -> Result<(), Failure> {
    let to_file = args
        .output
        .as_ref()
        .is_some_and(|file| file.as_os_str() != "-");
    let name = |format: Format| match format {
        Format::Jsonl => "jsonl",
        Format::Tar => "tar",
        Format::Git => "git",
        Format::Sqlite => "sqlite",
        Format::Dir => "dir",
    };
    let format = name(args.format);
    if args.newest && args.format != Format::Jsonl {
        return Err(Failure::usage("--newest is for --format jsonl"));
    }
    if args.source && !matches!(args.format, Format::Jsonl | Format::Sqlite) {
        return Err(Failure::usage("--source is for --format jsonl and sqlite"));
    }
    let needs_file = matches!(args.format, Format::Sqlite | Format::Dir);
    let unreadable = matches!(args.format, Format::Tar) && io::stdout().is_terminal();
    if !to_file && (needs_file || unreadable) {
        return Err(
            Failure::usage(format!("--format {format} does not go to standard output"))
                .hint(format!("backstory export --format {format} -o FILE")),
        );
    }
    Ok(())
}

fn to_target(
    export: &Export<'_>,
    target: &Path,
    args: &Args,
    tell: Tell<'_>,
) -> Result<u64, Error> {
    match args.format {
        Format::Sqlite => export.sqlite(target, args.force, args.source, tell),
        Format::Dir => export.folder(target, args.force, tell),
        Format::Jsonl | Format::Tar | Format::Git => {
            let mut file = OutputFile::create(target, args.force)?;
            let written = to_stream(export, args, &mut file, tell)?;
            file.finish()?;
            Ok(written)
        }
    }
}

fn to_stdout(
    export: &Export<'_>,
    args: &Args,
    context: &mut Context,
    tell: Tell<'_>,
) -> Result<u64, Error> {
    to_stream(export, args, &mut Stdout(&mut context.out), tell)
}

fn to_stream(
    export: &Export<'_>,
    args: &Args,
    out: &mut dyn Write,
    tell: Tell<'_>,
) -> Result<u64, Error> {
    match args.format {
        Format::Tar => export.tar(out, tell),
        Format::Git => export.git(&args.branch, out, tell),
        _ => {
            let options = Jsonl {
                newest: args.newest,
                source: args.source,
            };
            export.jsonl(&options, out, tell)
        }
    }
}

/// Standard output, which ends the export where nobody reads it any more.
struct Stdout<'o>(&'o mut Output);

impl Write for Stdout<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bytes(bytes);
        match self.0.ended() {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush();
        Ok(())
    }
}

fn failure(error: Error, args: &Args) -> Failure {
    let there = args.output.as_ref().filter(|_| !args.force);
    let is_usage = error.kind() == crate::error::ErrorKind::Usage;
    let failure = Failure::from(error);
    match there {
        Some(file) if is_usage => {
            let file = quote(&file.to_string_lossy()).into_owned();
            failure
                .hint_else(|| format!("another FILE, or --force to write to {file} all the same"))
        }
        _ => failure,
    }
}

/// Damage is damage; a path that cannot be a file is no document that can be put there.
fn report(rev: &str, error: Error, context: &mut Context) {
    let message = error.to_string();
    let failure = match error.is_corrupt() {
        true => Failure::from(error),
        false => Failure::invalid_document(message),
    };
    let hint = format!("backstory load {}", quote(&context.rev(rev)));
    context.report(failure.about(rev).hint_else(|| hint));
}
