//! Bundles: commits in one file, as `export --bundle` writes them and `import bundle` takes them.

use std::path::Path;

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::text::{count, short, size};
use super::{DONE, progress, transferred};
use crate::remote::{TransferOptions, apply_bundle, write_bundle};

/// Writes the commits behind `since` into a file.
pub(super) fn create(
    file: &Path,
    since: Option<&str>,
    context: &mut Context,
) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let archive = workspace.archive();
    let since = since
        .map(|since| archive.find_commit(since.trim()))
        .transpose()?;
    let path = context.cwd.join(file);
    let bar = progress::commits(context);
    let advance = |done, total| bar.set(done, total);
    let notice = |text: &str| context.notice(&format!("note: {text}"));
    let options = TransferOptions {
        open: context.options_for_another(),
        progress: Some(&advance),
        notice: Some(&notice),
    };
    let bundle = write_bundle(archive, &path, since.as_ref(), &options);
    bar.finish();
    let bundle = bundle?;
    if context.json() {
        let mut line = Object::new();
        line.text("file", &path.to_string_lossy())
            .number("commits", bundle.commits())
            .number("bytes", bundle.len)
            .text("after", &bundle.after.commit.to_string())
            .text("commit", &bundle.head.commit.to_string())
            .number("seq", bundle.head.seq);
        context.out.line(&line.finish());
    } else {
        let (commits, len) = (count(bundle.commits(), "commit"), size(bundle.len));
        let newest = short(bundle.head.commit);
        context.say(&format!(
            "{}: {commits}, {len}, up to commit {newest}",
            file.display()
        ));
    }
    Ok(DONE)
}

/// Brings the commits of a file to the archive.
pub(super) fn apply(file: &Path, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let path = context.cwd.join(file);
    let bar = progress::commits(context);
    let advance = |done, total| bar.set(done, total);
    let notice = |text: &str| context.notice(&format!("note: {text}"));
    let options = TransferOptions {
        open: context.options_for_another(),
        progress: Some(&advance),
        notice: Some(&notice),
    };
    let done = apply_bundle(workspace.archive(), &path, &options);
    bar.finish();
    transferred::print(context, &done?, "brought", file);
    Ok(DONE)
}
