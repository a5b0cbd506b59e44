//! `backstory init`

use std::path::{Path, PathBuf};

use clap::ValueHint;

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::text::quote;
use crate::archive::Archive;
use crate::storage::files;
use crate::workspace::{ARCHIVE_FOLDER, find_git_work_tree};

/// Make an archive
///
/// Makes the folder .backstory in DIR, the current directory if none is named. `save` makes one by itself at the
/// root of the project, so this is for the cases where it should be elsewhere.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory init
  backstory init ~/experiments")]
pub(super) struct Args {
    /// The folder that will hold .backstory; it is made if it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let folder = match (&args.dir, context.named_archive()) {
        (Some(dir), _) => context.cwd.join(dir),
        (None, Some(named)) => named,
        (None, None) => context.cwd.clone(),
    };
    files::create_folder(&folder)?;
    let archive = Archive::create(&folder).map_err(|error| {
        Failure::from(error).hint(format!(
            "backstory --archive {} ls",
            quote(&folder.to_string_lossy())
        ))
    })?;
    let root = files::resolve(&folder).unwrap_or(folder);
    if context.json() {
        let mut line = Object::new();
        line.text("root", &root.to_string_lossy())
            .text("archive", &root.join(ARCHIVE_FOLDER).to_string_lossy())
            .text("id", &archive.id().to_string());
        context.out.line(&line.finish());
    } else {
        context.say(&format!("made {}", root.join(ARCHIVE_FOLDER).display()));
    }
    warn_of_git_clean(&root, context);
    Ok(super::DONE)
}

fn warn_of_git_clean(root: &Path, context: &Context) {
    if let Some(tree) = find_git_work_tree(root) {
        context.notice(&format!(
            "warning: {} is a git work tree: `git clean -fd` would remove {ARCHIVE_FOLDER}, and -fdx even where \
             .gitignore names it; pass `-e {ARCHIVE_FOLDER}` to git clean, or keep the archive elsewhere: \
             backstory init DIR",
            tree.display()
        ));
    }
}
