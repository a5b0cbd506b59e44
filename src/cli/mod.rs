//! The command line: one file per command, each its arguments and `run`. What a library user would miss is not here
//! but in [`workspace`](crate::workspace) and below.

mod apply;
mod arguments;
mod blame;
mod bundle;
mod candidates;
mod canon;
mod clone;
mod collect;
mod compact;
mod completions;
mod context;
mod delete;
mod diff;
mod diff_args;
mod environment;
mod export;
mod failure;
mod find;
mod globs;
mod hash;
mod head;
mod identify;
mod import;
mod init;
mod json;
mod load;
mod log;
mod ls;
mod man;
mod merge_file;
mod mv;
mod output;
mod profile;
mod progress;
mod pull;
mod push;
mod redo;
mod reindex;
mod repair;
mod restore;
mod restored;
mod rollback;
mod save;
mod save_jsonl;
mod series;
mod sql;
mod stats;
mod status;
mod table;
mod tag;
mod text;
mod transferred;
mod undelete;
mod undo;
mod verify;
mod watch;

use std::ffi::OsString;

use clap::{Args as _, CommandFactory, FromArgMatches, Parser, Subcommand};

use arguments::Globals;
use context::Context;
use environment::Environment;
use failure::Failure;

/// Exit code of a call that did what was asked.
const DONE: u8 = 0;
/// Exit code of a comparison that found differences, or a check that found something.
const FOUND: u8 = 1;

/// Keeps every version of every JSON document you save, and can prove it.
#[derive(Parser)]
#[command(
    name = "backstory",
    version,
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = "Examples:
  backstory save config/production.json -m 'raise the timeout'
  backstory log config/production.json
  backstory diff config/production.json@-1
  backstory rollback config/production.json

A REV is PATH, PATH@3, PATH@-1 (one before the newest), PATH@TAG, PATH@2026-11-01, PATH@b3:9f2c
or PATH@latest. The archive is --archive DIR, else BACKSTORY_ARCHIVE, else the nearest .backstory
above the file.

Exit codes: 0 done, 1 differences or findings, 2 usage, 3 not found, 4 conflict, 5 not a document,
6 corrupt or unsupported archive, 7 input or output failed, 8 busy.")]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Save(save::Args),
    Load(load::Args),
    Log(log::Args),
    Series(series::Args),
    Diff(diff::Args),
    Profile(profile::Args),
    Blame(blame::Args),
    Apply(apply::Args),
    MergeFile(merge_file::Args),
    Rollback(rollback::Args),
    Undo(undo::Args),
    Redo(redo::Args),
    Status(status::Args),
    Watch(watch::Args),
    Identify(identify::Args),
    Find(find::Args),
    Sql(sql::Args),
    Ls(ls::Args),
    Mv(mv::Args),
    Delete(delete::Args),
    Undelete(undelete::Args),
    Tag(tag::Args),
    Stats(stats::Args),
    Head(head::Args),
    Verify(verify::Args),
    Canon(canon::Args),
    Hash(hash::Args),
    Reindex(reindex::Args),
    Compact(compact::Args),
    Repair(repair::Args),
    Import(import::Args),
    Export(export::Args),
    Restore(restore::Args),
    Push(push::Args),
    Pull(pull::Args),
    Clone(clone::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs one call of the command and returns its exit code. The first argument is the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    fail_at_size_limits();
    let environment = Environment::read();
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &arguments),
    };
    let mut context = match Context::new(cli.globals, environment, &arguments) {
        Ok(context) => context,
        Err(failure) => {
            failure.print(failure::asked_for_json(&arguments));
            return failure.exit();
        }
    };
    let result = dispatch(&cli.command, &mut context);
    context.finish(result)
}

/// A file that grows beyond `ulimit -f` is an error like any other, not the end of the process.
fn fail_at_size_limits() {
    #[cfg(unix)]
    {
        use signal_hook::{consts::SIGXFSZ, flag};
        // Where the handler cannot be set it stays as it is.
        let _ = flag::register(SIGXFSZ, std::sync::Arc::default());
    }
}

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    if let Some(cli) = parse_alone(arguments) {
        return Ok(cli);
    }
    let matches = Cli::command().try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Parses a call with nothing but its own command known: to build all commands takes longer than most of them run.
/// `None` where that does not do, because of help or a mistake.
fn parse_alone(arguments: &[OsString]) -> Option<Cli> {
    let name = arguments.iter().skip(1).find(|argument| {
        let text = argument.as_encoded_bytes();
        !text.starts_with(b"-")
    })?;
    let alone = Globals::augment_args(clap::Command::new("backstory"))
        .subcommand_required(true)
        .subcommand(command_alone(name.to_str()?)?);
    let matches = alone.try_get_matches_from(arguments).ok()?;
    Cli::from_arg_matches(&matches).ok()
}

fn command_alone(name: &str) -> Option<clap::Command> {
    macro_rules! commands {
        ($($command:ident)*) => {
            match name {
                $(stringify!($command) => {
                    $command::Args::augment_args(clap::Command::new(stringify!($command)))
                })*
                "merge-file" => merge_file::Args::augment_args(clap::Command::new("merge-file")),
                _ => return None,
            }
        };
    }
    Some(commands!(
        init save load log series diff profile blame apply rollback undo redo status watch identify find
        sql ls mv delete undelete tag stats head verify canon hash reindex compact repair import export
        restore push pull clone completions man
    ))
}

/// Help and version are answers; everything else is an error of usage.
fn refuse(error: &clap::Error, arguments: &[OsString]) -> u8 {
    if !error.use_stderr() {
        // A closed pipe ends quietly.
        let _ = error.print();
        return DONE;
    }
    let json = failure::asked_for_json(arguments);
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !json {
        let _ = error.print();
    } else {
        Failure::from_clap(error, arguments).print(json);
    }
    failure::USAGE
}

fn dispatch(command: &Command, context: &mut Context) -> Result<u8, Failure> {
    match command {
        Command::Init(args) => init::run(args, context),
        Command::Save(args) => save::run(args, context),
        Command::Load(args) => load::run(args, context),
        Command::Log(args) => log::run(args, context),
        Command::Series(args) => series::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Profile(args) => profile::run(args, context),
        Command::Blame(args) => blame::run(args, context),
        Command::Apply(args) => apply::run(args, context),
        Command::MergeFile(args) => merge_file::run(args, context),
        Command::Rollback(args) => rollback::run(args, context),
        Command::Undo(args) => undo::run(args, context),
        Command::Redo(args) => redo::run(args, context),
        Command::Status(args) => status::run(args, context),
        Command::Watch(args) => watch::run(args, context),
        Command::Identify(args) => identify::run(args, context),
        Command::Find(args) => find::run(args, context),
        Command::Sql(args) => sql::run(args, context),
        Command::Ls(args) => ls::run(args, context),
        Command::Mv(args) => mv::run(args, context),
        Command::Delete(args) => delete::run(args, context),
        Command::Undelete(args) => undelete::run(args, context),
        Command::Tag(args) => tag::run(args, context),
        Command::Stats(args) => stats::run(args, context),
        Command::Head(args) => head::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Canon(args) => canon::run(args, context),
        Command::Hash(args) => hash::run(args, context),
        Command::Reindex(args) => reindex::run(args, context),
        Command::Compact(args) => compact::run(args, context),
        Command::Repair(args) => repair::run(args, context),
        Command::Import(args) => import::run(args, context),
        Command::Export(args) => export::run(args, context),
        Command::Restore(args) => restore::run(args, context),
        Command::Push(args) => push::run(args, context),
        Command::Pull(args) => pull::run(args, context),
        Command::Clone(args) => clone::run(args, context),
        Command::Completions(args) => completions::run(args, context),
        Command::Man(args) => man::run(args, context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("Examples:\n  "), "{}", command.get_name());
        }
    }

    #[test]
    fn each_command_can_be_parsed_alone() {
        let all = Cli::command();
        for command in all.get_subcommands() {
            let name = command.get_name();
            let alone = command_alone(name).unwrap_or_else(|| panic!("{name} is not known"));
            let ids = |command: &clap::Command| -> Vec<String> {
                command
                    .get_arguments()
                    .map(|a| a.get_id().to_string())
                    .collect()
            };
            assert_eq!(ids(command), ids(&alone), "{name}");
        }
    }

    #[test]
    fn what_is_parsed_alone_is_parsed_the_same() {
        let call = |text: &str| -> Vec<OsString> {
            ["backstory"]
                .into_iter()
                .chain(text.split(' '))
                .map(OsString::from)
                .collect()
        };
        let good = [
            "save a.json -m x --json",
            "--archive save load a@1 -o b",
            "--quiet log",
            "tag --list",
        ];
        for text in good {
            assert!(
                parse_alone(&call(text)).is_some() || text.starts_with("--archive"),
                "{text}"
            );
            assert!(parse(&call(text)).is_ok(), "{text}");
        }
        for text in [
            "save --help",
            "help save",
            "save --nonsense",
            "nonsense",
            "--version",
        ] {
            assert!(parse_alone(&call(text)).is_none(), "{text}");
            assert!(parse(&call(text)).is_err(), "{text}");
        }
    }
}
