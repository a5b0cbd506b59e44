//! `backstory profile`

use super::context::Context;
use super::diff_args::DiffArgs;
use super::failure::Failure;
use super::json::Object;
use super::output::style;
use super::text::{quote, visible};
use crate::archive::DiffProfile;

/// Keep in the archive what `diff` is to leave out for certain paths
///
/// PATTERN is relative to the archive's root: * stands for any part of a name, ** for any folders. From then on
/// `diff` of such a path leaves out what the profile says, and counts it; --exact sets the profile aside. All profiles
/// that fit a path count together. A profile with the same pattern is replaced.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory profile 'runs/*/metrics.json' --ignore /started --rel-tolerance 1e-6
  backstory profile 'hosts.json' --key /hosts=name
  backstory profile --list
  backstory profile --delete hosts.json")]
pub(super) struct Args {
    /// Which paths
    #[arg(
        value_name = "PATTERN",
        required_unless_present = "list",
        conflicts_with = "list"
    )]
    pattern: Option<String>,
    /// List all profiles
    #[arg(long, short)]
    list: bool,
    /// Forget the profile of this pattern
    #[arg(long, short, conflicts_with = "list")]
    delete: bool,
    #[command(flatten)]
    what: DiffArgs,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.workspace_for(&[] as &[String])?;
    let archive = workspace.archive();
    let Some(pattern) = &args.pattern else {
        for profile in archive.diff_profiles()? {
            print(&profile, context);
        }
        return Ok(super::DONE);
    };
    if args.delete {
        archive
            .delete_diff_profile(pattern)
            .map_err(|error| Failure::from(error).hint("backstory profile --list"))?;
        context.say(&format!("forgot the profile of {}", visible(pattern)));
        return Ok(super::DONE);
    }
    let options = args.what.options();
    if options.is_default() {
        return Err(
            Failure::usage("the profile would leave nothing out").hint(format!(
                "backstory profile {} --ignore /started",
                quote(pattern)
            )),
        );
    }
    let profile = DiffProfile {
        paths: pattern.clone(),
        options,
    };
    archive.set_diff_profile(profile.clone())?;
    print(&profile, context);
    Ok(super::DONE)
}

fn print(profile: &DiffProfile, context: &mut Context) {
    let options = &profile.options;
    if context.json() {
        let mut line = Object::new();
        line.text("paths", &profile.paths);
        let list = |values: Vec<String>| format!("[{}]", values.join(","));
        let ignore = options.ignore.iter().map(|at| {
            let mut text = Vec::new();
            crate::escape::write_string(&mut text, at.as_str());
            String::from_utf8_lossy(&text).into_owned()
        });
        line.raw("ignore", &list(ignore.collect()));
        let tolerances = options.tolerances.iter().map(|tolerance| {
            let mut object = Object::new();
            object
                .optional_text("at", tolerance.at.as_ref().map(|at| at.as_str()))
                .raw("absolute", &tolerance.absolute.to_string())
                .raw("relative", &tolerance.relative.to_string());
            object.finish()
        });
        line.raw("tolerances", &list(tolerances.collect()));
        let keys = options.keys.iter().map(|(at, member)| {
            let mut object = Object::new();
            object.text("at", at.as_str()).text("member", member);
            object.finish()
        });
        line.raw("keys", &list(keys.collect()));
        let line = line.finish();
        context.out.line(&line);
        return;
    }
    let mut line = context
        .out
        .paint(style::NAME, &visible(&profile.paths))
        .to_string();
    for at in &options.ignore {
        line.push_str(&format!("  --ignore {}", quote(&visible(at.as_str()))));
    }
    for tolerance in &options.tolerances {
        let at = tolerance
            .at
            .as_ref()
            .map_or(String::new(), |at| format!("{}=", at.as_str()));
        for (name, value) in [
            ("tolerance", tolerance.absolute),
            ("rel-tolerance", tolerance.relative),
        ] {
            if value > 0.0 {
                line.push_str(&format!(
                    "  --{name} {}",
                    quote(&visible(&format!("{at}{value}")))
                ));
            }
        }
    }
    for (at, member) in &options.keys {
        line.push_str(&format!(
            "  --key {}",
            quote(&visible(&format!("{}={member}", at.as_str())))
        ));
    }
    context.out.line(&line);
}
