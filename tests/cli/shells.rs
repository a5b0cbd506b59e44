//! Completions, manual pages, and lists that end with NUL.

use std::fs;
use std::process::Command;

use super::support::{Place, finish};

fn filled() -> Place {
    let place = Place::with_archive();
    for (name, count) in [
        ("config/a.json", 3),
        ("config/b c.json", 1),
        ("results/run.json", 2),
    ] {
        for n in 0..count {
            place.write(name, &n.to_string());
            place.run(&["save", name]).ok();
        }
    }
    place.run(&["tag", "paper-v1"]).ok();
    place.run(&["tag", "best", "config/a.json@2"]).ok();
    place
}

/// What bash would put in the place of the last word of a line.
fn bash(place: &Place, folder: &str, line: &str) -> Vec<String> {
    let script = r#"
set -u +o histexpand
cd "$2"
source <(backstory completions bash)
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
# As readline takes a line apart: at spaces, and at these.
COMP_WORDS=()
rest="$1" word=
while [[ -n $rest ]]; do
    char="${rest:0:1}" rest="${rest:1}"
    case "$char" in
        ' ') [[ -n $word ]] && COMP_WORDS+=("$word"); word= ;;
        @ | : | =) [[ -n $word ]] && COMP_WORDS+=("$word"); COMP_WORDS+=("$char"); word= ;;
        *) word+="$char" ;;
    esac
done
[[ -n $word || $1 == *' ' ]] && COMP_WORDS+=("$word")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
name=$(complete -p backstory | sed 's/.*-F \([^ ]*\).*/\1/')
"$name" backstory "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_backstory"));
    let mut path = binary.parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command
        .args(["--noprofile", "--norc", "-c", script, "bash", line, folder])
        .current_dir(place.root())
        .env("PATH", path)
        .env("HOME", place.path("../home"));
    let call = finish(&mut command).ok();
    let mut words: Vec<String> = call.text().lines().map(str::to_owned).collect();
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn bash_completes_what_the_archive_knows() {
    let place = filled();
    let check = |folder: &str, line: &str, expected: &[&str]| {
        assert_eq!(bash(&place, folder, line), expected, "{line:?} in {folder}");
    };
    check(".", "backstory load ", &["config/", "results/"]);
    check(".", "backstory load con", &["config/"]);
    check(
        ".",
        "backstory load config/",
        &["config/a.json", "config/b\\ c.json"],
    );
    check(
        ".",
        "backstory --quiet log results/r",
        &["results/run.json"],
    );
    // Bash replaces what stands behind the last @ or :.
    check(
        ".",
        "backstory load config/a.json@",
        &["3", "2", "1", "best", "paper-v1"],
    );
    check(".", "backstory load config/a.json@b", &["best"]);
    check(".", "backstory load :/config/a", &["/config/a.json"]);
    check("config", "backstory diff a", &["a.json"]);
    check("config", "backstory diff a.json@1 :/res", &["/results/"]);
    check(".", "backstory tag --delete p", &["paper-v1"]);
    check(
        ".",
        "backstory --archive config/.. rollback res",
        &["results/"],
    );
    // Where it knows nothing the shell's own way stays, and so do options and commands.
    check(".", "backstory save ", &[]);
    assert!(bash(&place, ".", "backstory roll").contains(&"rollback".to_owned()));
    assert!(bash(&place, ".", "backstory load --poi").contains(&"--pointer".to_owned()));
    let commits = bash(&place, ".", "backstory undo ");
    assert_eq!(commits.len(), 8);
    let head = place.run(&["head"]).ok();
    assert!(head.text().starts_with(&commits[0]), "{commits:?}");
}

#[test]
fn scripts_for_other_shells_ask_the_archive_too() {
    let place = Place::new();
    for shell in ["zsh", "fish"] {
        let script = place.run(&["completions", shell]).ok();
        assert!(
            script.text().contains("backstory completions --candidates"),
            "{shell}"
        );
    }
    let zsh = place.run(&["completions", "zsh"]).ok();
    let defined = |name: &str| zsh.text().matches(&format!("\n{name}() {{")).count();
    assert_eq!(
        (defined("_backstory"), defined("_backstory_static")),
        (1, 1)
    );
    // Without an archive there is nothing to offer, and nothing is said.
    let call = place.run(&["completions", "--candidates", "load", ""]).ok();
    assert!(call.out.is_empty() && call.err.is_empty());
    place.run(&["completions"]).exits(2).says_what_to_try();
}

#[test]
fn manual_pages_are_printed_and_written() {
    let place = Place::new();
    let page = place.run(&["man", "rollback"]).ok();
    assert!(
        page.text().contains(".TH backstory-rollback 1"),
        "{}",
        page.text()
    );
    assert!(page.text().contains("backstory rollback "));
    place.run(&["man", "nonsense"]).exits(2).says_what_to_try();
    let written = place.run(&["man", "--to", "man1"]).ok();
    let files = place.names("man1", "backstory");
    assert_eq!(written.text().lines().count(), files.len());
    assert!(files.contains(&"backstory.1".to_owned()), "{files:?}");
    assert!(files.contains(&"backstory-save.1".to_owned()), "{files:?}");
    let help = place.run(&["--help"]).ok();
    let commands = help
        .text()
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(
            files.contains(&format!("backstory-{name}.1")),
            "{name} {files:?}"
        );
    }
}

#[test]
fn lists_that_end_with_nul_take_every_name() {
    let place = Place::with_archive();
    let odd = "config/a \"b\" ö.json";
    place.write(odd, "1");
    place.write("config/c.json", "2");
    place.write("gone.json", "3");
    place
        .run_input(
            &["save", "--from-file", "-", "-0"],
            format!("{odd}\0gone.json\0config/c.json\0"),
        )
        .ok();
    place.run(&["delete", "gone.json"]).ok();
    assert_eq!(
        place.run(&["ls", "-0"]).ok().text(),
        format!("{odd}\0config/c.json\0")
    );
    assert_eq!(
        place.run_in("config", &["ls", "-0"]).ok().text(),
        format!(":/{odd}\0:/config/c.json\0")
    );
    place.write(odd, "4");
    fs::remove_file(place.path("config/c.json")).unwrap();
    let changed = place.run(&["status", "--null"]).exits(1);
    assert_eq!(changed.text(), format!("{odd}\0config/c.json\0"));
    // And back in.
    place.write("config/c.json", "5");
    place.write("list", &format!("{odd}\r\n\nconfig/c.json\n"));
    let call = place.run(&["save", "--from-file", "list", "--json"]).ok();
    assert_eq!(call.lines().len(), 2);
    assert_eq!(place.run(&["load", "config/c.json"]).ok().text(), "5");
    place.write("empty", "\n");
    place
        .run(&["save", "--from-file", "empty"])
        .exits(3)
        .says_what_to_try();
    place
        .run(&["save", "-0", "a.json"])
        .exits(2)
        .says_what_to_try();
    place
        .run_input(&["save", "--from-file", "-", "-", "--as", "x"], "")
        .exits(2);
}

#[test]
fn pipelines_work_with_other_tools() {
    let place = Place::with_archive();
    let binary = env!("CARGO_BIN_EXE_backstory");
    let script = format!(
        "printf '{{\"loss\": 0.5}}' | '{binary}' save - --as metrics.json && '{binary}' load metrics.json | tr -d ' ' && '{binary}' ls -0 | xargs -0 -n 1 '{binary}' load --pointer /loss"
    );
    let mut command = Command::new("bash");
    command
        .args(["-o", "pipefail", "-c", &script])
        .current_dir(place.root())
        .env("HOME", place.path("../home"));
    let call = finish(&mut command).ok();
    assert!(
        call.text().ends_with("{\"loss\":0.5}0.5\n"),
        "{}",
        call.text()
    );
}
