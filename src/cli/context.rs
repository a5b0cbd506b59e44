//! What every command has at hand: its archive, its output and the common options.

use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use super::arguments::Globals;
use super::environment::Environment;
use super::failure::Failure;
use super::json::Object;
use super::output::{Output, style};
use super::text::{quote, short, visible};
use crate::archive::{self, Archive, Change, OpenOptions, Status};
use crate::revision;
use crate::storage::files;
use crate::workspace::{self, Place, Workspace, find_archive, place_for, start_folder};

/// The state of one call.
pub(super) struct Context {
    pub out: Output,
    pub environment: Environment,
    /// The current directory.
    pub cwd: PathBuf,
    globals: Globals,
    /// The call, the program's name in front.
    pub command_line: Vec<String>,
    /// The call as a shell takes it.
    call: Vec<String>,
    opened: Option<Archive>,
    /// The current directory is a folder below the root of the archive.
    below_root: bool,
    worst: u8,
}

impl Context {
    pub fn new(
        globals: Globals,
        environment: Environment,
        arguments: &[OsString],
    ) -> Result<Context, Failure> {
        let cwd = std::env::current_dir().map_err(|error| {
            Failure::io(format!("there is no current directory: {error}")).hint("cd")
        })?;
        let color = match globals.color {
            clap::ColorChoice::Always => true,
            clap::ColorChoice::Never => false,
            clap::ColorChoice::Auto => {
                anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
            }
        };
        let call = arguments
            .iter()
            .skip(1)
            .map(|argument| quote(&argument.to_string_lossy()).into_owned())
            .collect();
        let command_line = arguments.iter().map(|argument| argument.to_string_lossy());
        let out = Output::new(color && !globals.json);
        Ok(Context {
            command_line: command_line.map(String::from).collect(),
            out,
            environment,
            cwd,
            globals,
            call,
            opened: None,
            below_root: false,
            worst: super::DONE,
        })
    }

    pub fn json(&self) -> bool {
        self.globals.json
    }

    /// Are people watching who want to see that something goes on?
    pub fn shows_progress(&self) -> bool {
        !self.globals.quiet && !self.globals.json && std::io::stderr().is_terminal()
    }

    /// Prints a failure and goes on; the exit code is that of the worst.
    pub fn report(&mut self, failure: Failure) {
        self.out.flush();
        self.worst = self.worst.max(failure.exit());
        self.with_default_hint(failure).print(self.globals.json);
    }

    /// A message for people on standard error.
    pub fn notice(&self, text: &str) {
        if !self.globals.quiet {
            self.warn(text);
        }
    }

    /// A message that is never left out.
    pub fn warn(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        // Whoever closed standard error does not want to know.
        let _ = writeln!(stderr, "{}", visible(text));
    }

    /// A line that says what was done: the output of a command that only does things.
    pub fn say(&mut self, text: &str) {
        if !self.globals.quiet && !self.globals.json {
            self.out.line(text);
        }
    }

    /// Prints what became of a path.
    pub fn change(&mut self, change: &Change) {
        if self.json() {
            let rev = self.rev(&change.rev());
            self.out.line(&change_json(change, &rev));
            return;
        }
        let status = change.status.to_string();
        let color = if change.status == Status::Unchanged {
            style::DIM
        } else {
            style::GOOD
        };
        let mut line = format!(
            "{} {}",
            self.out.paint(color, &status),
            visible(&change.rev())
        );
        if let Some(id) = change.id {
            line.push_str(&format!("  {}", self.out.paint(style::ID, &short(id))));
        }
        self.say(&line);
    }

    /// The same call once more.
    pub fn again(&self) -> String {
        format!("backstory {}", self.call.join(" "))
    }

    /// Microseconds since the Unix epoch, now.
    pub fn now(&self) -> i64 {
        archive::now()
    }

    /// Now, to the second: part of the names of files that are moved aside.
    pub fn stamp(&self) -> i64 {
        let now = self.now();
        now - now.rem_euclid(1_000_000)
    }

    /// Reads a file, or standard input for `-`; returns what to call it, and its bytes.
    pub fn read_input(&self, file: &Path) -> Result<(String, Vec<u8>), Failure> {
        if file.as_os_str() != "-" {
            let name = file.display().to_string();
            let bytes = files::read_if_there(&self.cwd.join(file))
                .map_err(|error| Failure::from(error).about(&name))?;
            return match bytes {
                Some(bytes) => Ok((name, bytes)),
                None => Err(no_such_file(&name, file)),
            };
        }
        let mut bytes = Vec::new();
        match std::io::stdin().lock().read_to_end(&mut bytes) {
            Ok(_) => Ok(("standard input".to_owned(), bytes)),
            Err(error) => Err(Failure::io(format!(
                "could not read standard input: {error}"
            ))),
        }
    }

    /// The folder of the archive that was named, by option or environment.
    pub fn named_archive(&self) -> Option<PathBuf> {
        let named = self
            .globals
            .archive
            .as_ref()
            .or(self.environment.archive.as_ref());
        named.map(|folder| self.cwd.join(folder))
    }

    /// Opens the archive for a call without files.
    pub fn here(&mut self) -> Result<Workspace, Failure> {
        self.workspace_for::<&str>(&[])
    }

    /// The folder of the archive for a call without files, which need not be one that can be opened.
    pub fn folder(&self) -> Result<PathBuf, Failure> {
        if let Some(folder) = self.named_archive() {
            return Ok(folder);
        }
        match place_for(std::slice::from_ref(&self.cwd))? {
            Place::Archive(folder) => Ok(folder),
            Place::Nowhere(_) => Err(Failure::no_archive(format!(
                "there is no archive here or above {}",
                self.cwd.display()
            ))),
        }
    }

    /// Opens the archive that these path or REV arguments are about.
    pub fn workspace_for<T: AsRef<str>>(&mut self, arguments: &[T]) -> Result<Workspace, Failure> {
        if let Some(folder) = self.named_archive() {
            return self.open(&folder);
        }
        let mut starts: Vec<PathBuf> = arguments
            .iter()
            .map(|argument| self.start_of(argument.as_ref()))
            .collect();
        starts.retain(|start| find_archive(start).is_some());
        if starts.is_empty() {
            starts.push(self.cwd.clone());
        }
        match place_for(&starts)? {
            Place::Archive(folder) => self.open(&folder),
            Place::Nowhere(_) => Err(Failure::no_archive(format!(
                "there is no archive here or above {}",
                self.cwd.display()
            ))),
        }
    }

    /// Where to look for an archive from, for a path or REV argument.
    fn start_of(&self, argument: &str) -> PathBuf {
        if argument.starts_with(":/") || argument == "-" {
            return self.cwd.clone();
        }
        let file = if files::is_there(&self.cwd.join(argument)) {
            argument
        } else {
            revision::split(argument).0
        };
        if file.is_empty() {
            self.cwd.clone()
        } else {
            start_folder(&self.cwd, Path::new(file))
        }
    }

    /// Opens the archive in a folder.
    pub fn open(&mut self, folder: &Path) -> Result<Workspace, Failure> {
        let archive = Archive::open_with(folder, &self.options())?;
        self.use_archive(archive)
    }

    /// Opens the archive in a folder, or makes one there; says whether it was made.
    pub fn open_or_create(&mut self, folder: &Path) -> Result<(Workspace, bool), Failure> {
        let (archive, made) = Archive::open_or_create(folder, &self.options())?;
        Ok((self.use_archive(archive)?, made))
    }

    /// A revision as it can be pasted where this call was made: names in output count from the root, those in
    /// arguments from the current directory.
    pub fn rev(&self, rev: &str) -> String {
        if self.below_root {
            format!(":/{rev}")
        } else {
            rev.to_owned()
        }
    }

    pub fn options(&self) -> OpenOptions {
        OpenOptions {
            wait: self.globals.wait,
            index: self.environment.index_place(),
            ..OpenOptions::default()
        }
    }

    /// How to open an archive beside that of the call.
    pub fn options_for_another(&self) -> OpenOptions {
        OpenOptions {
            index: self.environment.index_place_of_another(),
            ..self.options()
        }
    }

    fn use_archive(&mut self, archive: Archive) -> Result<Workspace, Failure> {
        self.opened = Some(archive.clone());
        self.pass_on_notices();
        let workspace = workspace::Workspace::new(archive, &self.cwd)?;
        let root = workspace.root();
        self.below_root = self.cwd != root && self.cwd.starts_with(root);
        Ok(workspace)
    }

    fn pass_on_notices(&self) {
        for text in self.opened.iter().flat_map(Archive::take_notices) {
            self.notice(&format!("note: {text}"));
        }
    }

    /// Ends the call: what is left to print, and the exit code.
    pub fn finish(mut self, result: Result<u8, Failure>) -> u8 {
        self.out.flush();
        self.pass_on_notices();
        let mut exit = self.worst;
        match result {
            Ok(code) => exit = exit.max(code),
            Err(failure) => {
                exit = exit.max(failure.exit());
                self.with_default_hint(failure).print(self.globals.json);
            }
        }
        if let Some(error) = self.out.take_error() {
            let failure = Failure::io(format!("could not write to standard output: {error}"));
            exit = exit.max(failure.exit());
            self.with_default_hint(failure).print(self.globals.json);
        }
        exit
    }

    /// Every error ends with what to type next.
    fn with_default_hint(&self, failure: Failure) -> Failure {
        let call = self.call.join(" ");
        let command = self.command().unwrap_or_default();
        match failure.exit() {
            2 => failure.hint_else(|| format!("backstory {command} --help")),
            3 => failure.hint_else(|| "backstory ls".to_owned()),
            4 => failure.hint_else(|| "backstory log -n 5".to_owned()),
            7 => failure
                .hint_else(|| format!("backstory {call}   (again, once the cause is put right)")),
            8 => failure.hint_else(|| format!("backstory --wait 300 {call}")),
            _ => failure.hint_else(|| format!("backstory {command} --help")),
        }
    }

    fn command(&self) -> Option<&str> {
        use clap::CommandFactory;
        let commands = super::Cli::command();
        self.call
            .iter()
            .find(|word| {
                commands
                    .get_subcommands()
                    .any(|command| command.get_name() == word.as_str())
            })
            .map(String::as_str)
    }
}

fn no_such_file(name: &str, file: &Path) -> Failure {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Failure::not_found(format!("no such file: {name}"))
        .about(name)
        .hint(format!("ls {}", quote(&folder.to_string_lossy())))
}

/// The line that `save`, `rollback`, `undo`, `redo`, `delete`, `undelete` and `mv` print for a path.
fn change_json(change: &Change, rev: &str) -> String {
    let mut line = Object::new();
    line.text("path", &change.path)
        .number("version", change.version)
        .optional("id", change.id)
        .text("commit", &change.commit.to_string())
        .text("status", &change.status.to_string())
        .text("rev", rev);
    line.finish()
}
