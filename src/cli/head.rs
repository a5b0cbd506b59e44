//! `backstory head`

use super::context::Context;
use super::failure::Failure;
use super::json::Object;

/// Print the newest commit id
///
/// The id vouches for the whole history before it: kept elsewhere, it lets `backstory verify --head` prove later that
/// nothing was taken away or changed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory head
  backstory head > ~/backups/production.head")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let head = context.here()?.archive().head()?;
    if context.json() {
        let mut document = Object::new();
        document
            .text("commit", &head.commit.to_string())
            .number("seq", head.seq);
        context.out.line(&document.finish());
    } else {
        context.out.line(&head.commit.to_string());
    }
    Ok(super::DONE)
}
