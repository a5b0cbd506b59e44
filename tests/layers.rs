//! Each file of the library imports from the layers above it only, and `storage/` alone touches files.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers, topmost first; modules of one row do not import each other unless they are the same.
const LAYERS: &[&[&str]] = &[
    &["wire", "escape", "id", "path", "time", "provenance"],
    &["canon", "pointer"],
    &["layout"],
    &["error", "commit", "revision", "diff"],
    &["storage"],
    &["log"],
    &["index"],
    &["archive"],
    &[
        "verify",
        "workspace",
        "blame",
        "find",
        "series",
        "sql",
        "import",
        "export",
    ],
    &["repair", "remote"],
    &["cli", "fuzzing"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its module and its text, but for files of tests.
fn modules() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let first = path
                .strip_prefix(&root)
                .unwrap()
                .components()
                .next()
                .unwrap();
            let module = first
                .as_os_str()
                .to_str()
                .unwrap()
                .trim_end_matches(".rs")
                .to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (path, module, text)
        })
        .filter(|(_, module, _)| module != "lib" && module != "main")
        .filter(|(path, ..)| !path.ends_with("tests.rs"))
        .collect()
}

/// The code in front of the tests at the end of a file.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

#[test]
fn no_import_goes_up_a_layer() {
    let mut wrong = Vec::new();
    let mut imports = 0;
    for (path, module, text) in modules() {
        let here =
            layer(&module).unwrap_or_else(|| panic!("{} belongs to no layer", path.display()));
        for line in code(&text)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for part in line.split("crate::").skip(1) {
                let name: String = part
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                let Some(there) = layer(&name) else { continue };
                imports += 1;
                if there > here || (there == here && name != module) {
                    wrong.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(imports > 100, "only {imports} imports seen");
    assert!(
        wrong.is_empty(),
        "imports that go up or sideways:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn only_storage_touches_files_and_nothing_prints_below_the_command_line() {
    let mut wrong = Vec::new();
    for (path, module, text) in modules() {
        for line in code(&text)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            let forbidden: &[&str] = match module.as_str() {
                "storage" => &["println!", "eprintln!", "std::env", "process::exit"],
                "cli" => &["println!", "std::fs", "process::exit"],
                _ => &[
                    "std::fs",
                    "println!",
                    "eprintln!",
                    "std::env",
                    "process::exit",
                ],
            };
            for word in forbidden {
                if line.contains(word) {
                    wrong.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn constants_of_the_format_stand_in_one_place() {
    let mut wrong = Vec::new();
    for (path, _, text) in modules() {
        if path.ends_with("log/format.rs") || path.ends_with("src/path.rs") {
            continue;
        }
        for line in code(&text)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            if ["\".backstory\"", "\"MANIFEST\"", "\"archive.json\""]
                .iter()
                .any(|word| line.contains(word))
            {
                wrong.push(format!("{}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
