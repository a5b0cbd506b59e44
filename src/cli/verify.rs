//! `backstory verify`

use super::context::Context;
use super::failure::Failure;
use super::json::{Object, array};
use super::output::style;
use super::text::{count, short, visible};
use super::{DONE, FOUND, progress};
use crate::id::CommitId;
use crate::time::format_utc;
use crate::verify::{Finding, FindingKind, Loss, Report, VerifyOptions, verify};

/// Check every record, hash and link of the archive
///
/// Reads the whole log and trusts nothing else, then compares the index with it. Exit code 1 where anything is found.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory verify
  backstory verify --quick
  backstory verify --head \"$(cat ~/backups/production.head)\"")]
pub(super) struct Args {
    /// Everything but the documents themselves
    #[arg(long)]
    quick: bool,
    /// Also that this commit is in the history
    #[arg(long, value_name = "COMMIT", value_parser = commit_id)]
    head: Option<CommitId>,
}

fn commit_id(text: &str) -> Result<CommitId, String> {
    text.trim()
        .parse()
        .map_err(|error: crate::id::ParseIdError| error.to_string())
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let bar = progress::commits(context);
    let advance = |done, total| bar.set(done, total);
    let options = VerifyOptions {
        quick: args.quick,
        head: args.head,
        progress: Some(&advance),
    };
    let report = verify(workspace.archive(), &options);
    bar.finish();
    let report = report?;
    if context.json() {
        context.out.line(&report_json(&report));
    } else {
        print(&report, args.quick, context);
    }
    Ok(if report.ok { DONE } else { FOUND })
}

fn print(report: &Report, quick: bool, context: &mut Context) {
    print_findings(report, context);
    for loss in &report.losses {
        let line = loss_text(loss);
        let kind = context.out.paint(style::DIM, "noted-loss");
        context.say(&format!("{kind}  {}", visible(&line)));
    }
    let checked = format!(
        "{}, {}, newest commit {}",
        count(report.commits, "commit"),
        count(report.objects, "object"),
        short(report.head)
    );
    match (report.ok, quick) {
        (true, false) => context.say(&format!("sound: {checked}")),
        (true, true) => context.say(&format!("sound, documents not read: {checked}")),
        (false, _) => context.say(&format!(
            "{}: {checked}",
            count(report.findings.len() as u64, "finding")
        )),
    }
    let mends = |finding: &Finding| {
        !matches!(
            finding.kind,
            FindingKind::WrongIndex | FindingKind::ShortenedHistory | FindingKind::MissingHead
        )
    };
    if report.findings.iter().any(mends) {
        context.notice(
            "try: a copy of .backstory that is whole, or else `backstory repair`, which keeps all that can be read",
        );
    }
}

pub(super) fn print_findings(report: &Report, context: &mut Context) {
    for finding in &report.findings {
        let line = finding_text(finding);
        let kind = context.out.paint(style::BAD, &finding.kind.to_string());
        context.out.line(&format!("{kind}  {}", visible(&line)));
    }
}

fn loss_text(loss: &Loss) -> String {
    let mut text = format!("{}: ", format_utc(loss.noted));
    match loss.commits {
        Some((first, last)) if first == last => text.push_str(&format!("commit {first}")),
        Some((first, last)) => text.push_str(&format!("commits {first} to {last}")),
        None => text.push_str("no commit"),
    }
    if !loss.versions.is_empty() {
        text.push_str(&format!("; {}", revs(&loss.versions)));
    }
    text
}

fn finding_text(finding: &Finding) -> String {
    let mut text = String::new();
    if let Some(segment) = &finding.segment {
        text.push_str(segment);
        if let Some(offset) = finding.offset {
            text.push_str(&format!(" at byte {offset}"));
        }
        text.push_str(": ");
    }
    text.push_str(&finding.message);
    if !finding.affects.is_empty() {
        text.push_str(&format!("; affects {}", revs(&finding.affects)));
    }
    text
}

fn revs(versions: &[(String, u64)]) -> String {
    let revs: Vec<String> = versions
        .iter()
        .map(|(path, version)| format!("{path}@{version}"))
        .collect();
    revs.join(", ")
}

pub(super) fn versions_json<'a>(versions: impl IntoIterator<Item = &'a (String, u64)>) -> String {
    array(versions.into_iter().map(|(path, version)| {
        let mut object = Object::new();
        object.text("path", path).number("version", *version);
        object.finish()
    }))
}

pub(super) fn report_json(report: &Report) -> String {
    let findings = report.findings.iter().map(|finding| {
        let mut object = Object::new();
        object
            .text("kind", &finding.kind.to_string())
            .optional_text("segment", finding.segment.as_deref())
            .optional_number("offset", finding.offset)
            .text("message", &finding.message)
            .raw("affects", &versions_json(&finding.affects));
        object.finish()
    });
    let losses = report.losses.iter().map(|loss| {
        let mut object = Object::new();
        object
            .text("noted", &format_utc(loss.noted))
            .optional_number("first_commit", loss.commits.map(|(first, _)| first))
            .optional_number("last_commit", loss.commits.map(|(_, last)| last))
            .raw("versions", &versions_json(&loss.versions));
        object.finish()
    });
    let mut document = Object::new();
    document
        .boolean("ok", report.ok)
        .number("commits", report.commits)
        .number("objects", report.objects)
        .text("head", &report.head.to_string())
        .raw("findings", &array(findings));
    if !report.losses.is_empty() {
        document.raw("losses", &array(losses));
    }
    document.finish()
}
