//! `backstory stats`

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::text::{grouped, size};

/// Show how much is in the archive, and what it takes
///
/// The size of the documents is that of all versions laid out side by side, in canonical form.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory stats
  backstory stats --json")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let stats = context.here()?.archive().stats()?;
    if context.json() {
        let mut document = Object::new();
        document
            .number("paths", stats.paths)
            .number("versions", stats.versions)
            .number("commits", stats.commits)
            .number("objects", stats.objects)
            .number("log_bytes", stats.log_bytes)
            .number("index_bytes", stats.index_bytes)
            .number("document_bytes", stats.document_bytes);
        context.out.line(&document.finish());
        return Ok(super::DONE);
    }
    let rows = [
        ("paths", grouped(stats.paths)),
        ("versions", grouped(stats.versions)),
        ("commits", grouped(stats.commits)),
        ("objects", grouped(stats.objects)),
        ("documents", size(stats.document_bytes)),
        ("log", log_size(stats.log_bytes, stats.document_bytes)),
        ("index", size(stats.index_bytes)),
    ];
    for (name, value) in rows {
        context.out.line(&format!("{name:<10} {value}"));
    }
    Ok(super::DONE)
}

fn log_size(log: u64, documents: u64) -> String {
    if log == 0 || documents <= log {
        return size(log);
    }
    format!(
        "{} (1/{:.0} of the documents)",
        size(log),
        documents as f64 / log as f64
    )
}
