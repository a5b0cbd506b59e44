//! `backstory find`

use clap::ValueHint;

use super::context::Context;
use super::failure::Failure;
use super::globs::Wanted;
use super::json::{Object, array};
use super::output::style;
use super::text::{clock, count, cut, quote, visible};
use crate::find::{Found, Node, Query, Which, find};
use crate::time::format_utc;

/// Longest value that is shown whole, in characters.
const VALUE_LIMIT: usize = 72;

/// Find the documents that a JSONPath query selects something in
///
/// EXPR is a query (RFC 9535) such as $.runs[?@.loss < 0.1], or a filter on the whole document such as
/// @.status == "failed". Numbers are compared as doubles. Exit code 3 where nothing matches.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory find '$.database.password'
  backstory find '@.status == \"failed\"' 'results/*.json'
  backstory find '@.timeout > 30' config/production.json --first
  backstory find '$.sensors[?@.t > 40]' --all --pointer
  backstory find '$..token' --json")]
pub(super) struct Args {
    /// A JSONPath query, or a filter on the whole document
    #[arg(value_name = "EXPR")]
    expr: String,
    /// Only these paths: a path, a folder, or a pattern with *, ** and ?
    #[arg(value_name = "PATH-GLOB", value_hint = ValueHint::AnyPath)]
    globs: Vec<String>,
    /// Every version and not only the newest, newest first
    #[arg(long, conflicts_with = "first")]
    all: bool,
    /// The oldest version of each path that matches
    #[arg(long)]
    first: bool,
    /// A line for each value that was selected, with its JSON Pointer
    #[arg(long)]
    pointer: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let query = Query::parse(&args.expr).map_err(|error| {
        Failure::usage(error.to_string()).hint("backstory find '@.status == \"failed\"'")
    })?;
    let workspace = context.workspace_for(&args.globs)?;
    let wanted = Wanted::all(&args.globs, &workspace)?;
    let archive = workspace.archive();
    let which = match (args.all, args.first) {
        (true, _) => Which::All,
        (_, true) => Which::First,
        _ => Which::Newest,
    };
    let is_wanted = |path: &str| Wanted::any_has(&wanted, path);
    let mut matches = 0_u64;
    let mut failures = 0_u64;
    for found in find(archive, &query, which, is_wanted)? {
        match found {
            Ok(found) => {
                matches += 1;
                print(&found, args.pointer, context);
            }
            // The others can be searched all the same.
            Err(error) => {
                failures += 1;
                context.report(error.into());
            }
        }
        if context.out.ended() {
            break;
        }
    }
    if matches == 0 && failures == 0 {
        let expr = quote(&args.expr).into_owned();
        let mut words = vec!["backstory find".to_owned(), expr];
        words.extend(args.globs.iter().map(|glob| quote(glob).into_owned()));
        let failure = Failure::not_found(match which {
            Which::Newest => "no newest version matches",
            Which::All | Which::First => "no version matches",
        });
        return Err(match which {
            Which::Newest => failure.hint(format!("{} --all", words.join(" "))),
            Which::All | Which::First => failure,
        });
    }
    Ok(super::DONE)
}

fn print(found: &Found, pointers: bool, context: &mut Context) {
    let version = &found.version;
    if context.json() {
        let nodes = found.nodes.iter().map(|node| {
            let mut object = Object::new();
            object
                .text("pointer", node.pointer.as_str())
                .raw("value", &node.value);
            object.finish()
        });
        let mut line = Object::new();
        line.text("path", &version.path)
            .number("version", version.version)
            .text("time", &format_utc(version.time))
            .text("commit", &version.commit.to_string())
            .text("rev", &context.rev(&version.rev()))
            .raw("nodes", &array(nodes));
        context.out.line(&line.finish());
        return;
    }
    let rev = context.out.paint(style::NAME, &visible(&version.rev()));
    let start = format!("{rev}  {}", clock(version.time));
    let value = |node: &Node| cut(&visible(&node.value), VALUE_LIMIT);
    if pointers {
        for node in &found.nodes {
            let pointer = match node.pointer.is_root() {
                true => "(whole document)".into(),
                false => visible(node.pointer.as_str()),
            };
            let pointer = context.out.paint(style::ID, &pointer);
            context
                .out
                .line(&format!("{start}  {pointer} = {}", value(node)));
        }
    } else if let Some(node) = found.nodes.first() {
        let mut line = format!("{start}  {}", value(node));
        if found.nodes.len() > 1 {
            let more = count(found.nodes.len() as u64, "value");
            line.push_str(&context.out.paint(style::DIM, &format!("  ({more})")));
        }
        context.out.line(&line);
    }
}
