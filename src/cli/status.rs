//! `backstory status`

use clap::ValueHint;

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::output::style;
use super::text::visible;
use crate::workspace::State;

/// Show archived paths whose file is not the newest version
///
/// A file is `modified` (other bytes), `missing`, or `invalid` (not a document that save would take). Exit code 1
/// where there is any. Paths that never came from a file are left out.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory status
  backstory status config
  backstory status --json config/production.json
  backstory status -0 | xargs -0 backstory rollback --to latest")]
pub(super) struct Args {
    /// Only these paths, or the paths below these folders
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    paths: Vec<String>,
    /// The paths alone, each ended by a NUL
    #[arg(long, short = '0', conflicts_with = "json")]
    null: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.workspace_for(&args.paths)?;
    let mut prefixes = Vec::new();
    for argument in &args.paths {
        prefixes.push(workspace.prefix_argument(argument)?);
    }
    if prefixes.is_empty() {
        prefixes.push(String::new());
    }
    let mut found = Vec::new();
    for prefix in &prefixes {
        match workspace.status(prefix) {
            Ok(files) => found.extend(files),
            Err(error) if error.is_not_found() => {
                context.report(Failure::from(error).about(prefix).hint("backstory ls"))
            }
            Err(error) => return Err(error.into()),
        }
    }
    found.retain(|file| file.state != State::Same);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    for file in &found {
        if args.null {
            let path = context.rev(&file.path);
            context.out.bytes(path.as_bytes());
            context.out.bytes(&[0]);
        } else if context.json() {
            let mut line = Object::new();
            line.text("path", &file.path)
                .text("state", &file.state.to_string())
                .number("version", file.version);
            context.out.line(&line.finish());
        } else {
            let state = context.out.paint(style::BAD, &format!("{:<8}", file.state));
            context.out.line(&format!(
                "{state}  {}@{}",
                visible(&file.path),
                file.version
            ));
        }
    }
    Ok(if found.is_empty() {
        super::DONE
    } else {
        super::FOUND
    })
}
