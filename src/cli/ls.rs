//! `backstory ls`

use clap::ValueHint;

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::output::style;
use super::text::{clock, short, visible};
use crate::time::format_utc;

/// List the paths in the archive
///
/// One line a path, with its newest version. Deleted paths are listed too, and marked: their history is still there.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory ls
  backstory ls config
  backstory ls :/ --json
  backstory ls -0 results | xargs -0 -n 1 backstory load --pointer /loss")]
pub(super) struct Args {
    /// Only this path and the paths below it
    #[arg(value_name = "PREFIX", value_hint = ValueHint::AnyPath)]
    prefix: Option<String>,
    /// The paths alone, each ended by a NUL; deleted ones are left out
    #[arg(long, short = '0', conflicts_with = "json")]
    null: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.workspace_for(args.prefix.as_slice())?;
    let prefix = match &args.prefix {
        Some(argument) => workspace.prefix_argument(argument)?,
        None => String::new(),
    };
    let versions = workspace.archive().list(&prefix)?;
    if versions.is_empty() && !prefix.is_empty() {
        return Err(
            Failure::not_found(format!("no such path in the archive: {prefix}"))
                .about(&prefix)
                .hint("backstory ls"),
        );
    }
    for version in versions {
        if args.null {
            if !version.is_deleted() {
                let path = context.rev(&version.path);
                context.out.bytes(path.as_bytes());
                context.out.bytes(&[0]);
            }
        } else if context.json() {
            let mut line = Object::new();
            line.text("path", &version.path)
                .number("version", version.version)
                .optional("id", version.id)
                .text("time", &format_utc(version.time))
                .boolean("deleted", version.is_deleted());
            context.out.line(&line.finish());
        } else {
            let id = version.id.map_or_else(|| "deleted ".to_owned(), short);
            let color = if version.is_deleted() {
                style::DIM
            } else {
                style::ID
            };
            let id = context.out.paint(color, &id);
            let rev = context.out.paint(style::NAME, &visible(&version.rev()));
            context
                .out
                .line(&format!("{}  {id}  {rev}", clock(version.time)));
        }
    }
    Ok(super::DONE)
}
