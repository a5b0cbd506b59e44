//! `diff` as a patch and with options, `apply` and `merge-file`.

use std::process::Command;

use super::support::Place;

const OLD: &str = "{\n  \"hosts\": [\n    {\"name\": \"a\", \"load\": 1},\n    {\"name\": \"b\", \"load\": 2}\n  ],\n  \"started\": 1,\n  \"timeout\": 30\n}\n";
const NEW: &str = "{\n  \"hosts\": [\n    {\"name\": \"new\", \"load\": 9},\n    {\"name\": \"a\", \"load\": 1.0001},\n    {\"name\": \"b\", \"load\": 2}\n  ],\n  \"started\": 2,\n  \"timeout\": 60\n}\n";

fn place() -> Place {
    Place::with_versions(&[OLD, NEW])
}

#[test]
fn a_patch_leads_from_one_version_to_the_next() {
    let place = place();
    let patch = place
        .run(&["diff", "config/a.json@1", "@2", "--format", "patch"])
        .exits(1);
    assert_eq!(
        patch.text(),
        concat!(
            r#"[{"op":"replace","path":"/hosts/0/load","value":1.0001},{"op":"replace","path":"/started","value":2},"#,
            r#"{"op":"replace","path":"/timeout","value":60},{"op":"add","path":"/hosts/0","value":{"load":9,"name":"new"}}]"#,
            "\n"
        )
    );
    place.write("b.json", OLD);
    place.run(&["save", "b.json"]).ok();
    let saved = place
        .run_input(&["apply", "b.json", "-", "--json"], &patch.out)
        .ok();
    assert_eq!(saved.document()["rev"], "b.json@2");
    let same = place.run(&["diff", "config/a.json@2", "b.json@2"]).ok();
    assert_eq!(same.text(), "no difference\n");
    // The file is written too, as it was written before.
    assert!(place.read("b.json").starts_with("{\n  \"hosts\": [\n"));
    assert!(!place.run(&["status"]).ok().text().contains("b.json"));
}

#[test]
fn an_element_that_moved_is_one_line_and_one_operation() {
    let place = Place::with_versions(&[
        r#"{"hosts":[{"name":"a"},{"name":"b"},{"name":"c"}]}"#,
        r#"{"hosts":[{"name":"c","up":true},{"name":"a"},{"name":"b"}]}"#,
    ]);
    let call = place.run(&["diff", "config/a.json@1", "@2"]).exits(1);
    assert_eq!(
        call.text(),
        "> /hosts/0  {\"name\":\"c\",\"up\":true}  (was /hosts/2)\n+ /hosts/0/up  true\n1 added, 1 moved\n"
    );
    let patch = place
        .run(&["diff", "config/a.json@1", "@2", "--format", "patch"])
        .exits(1);
    assert_eq!(
        patch.text(),
        concat!(
            r#"[{"from":"/hosts/2","op":"move","path":"/hosts/0"},"#,
            r#"{"op":"add","path":"/hosts/0/up","value":true}]"#,
            "\n"
        )
    );
    let document = place
        .run(&["diff", "config/a.json@1", "@2", "--json"])
        .exits(1)
        .document();
    assert_eq!(document["changes"][0]["op"], "moved");
    assert_eq!(document["changes"][0]["old_path"], "/hosts/2");
    assert_eq!(document["summary"]["moved"], 1);
    let stat = place
        .run(&["diff", "config/a.json@1", "@2", "--stat"])
        .exits(1);
    assert_eq!(stat.text(), "0 changed, 1 added, 0 removed, 1 moved\n");
}

#[test]
fn a_profile_is_the_default_until_it_is_set_aside() {
    let place = place();
    let all = place.run(&["diff", "config/a.json@1", "@2"]).exits(1);
    assert!(all.text().contains("/started"));
    let set = [
        "profile",
        "config/*.json",
        "--ignore",
        "/started",
        "--rel-tolerance",
        "/hosts=0.01",
    ];
    let call = place.run(&set).ok();
    let line = "config/*.json  --ignore /started  --rel-tolerance /hosts=0.01\n";
    assert_eq!(call.text(), line);
    assert_eq!(place.run(&["profile", "--list"]).ok().text(), line);
    let profile = place.run(&["profile", "-l", "--json"]).ok().document();
    assert_eq!(
        profile,
        serde_json::json!({
            "paths": "config/*.json",
            "ignore": ["/started"],
            "tolerances": [{"at": "/hosts", "absolute": 0, "relative": 0.01}],
            "keys": [],
        })
    );

    let call = place.run(&["diff", "config/a.json@1", "@2"]).exits(1);
    assert!(!call.text().contains("/started") && !call.text().contains("/hosts/1"));
    assert!(call.err.contains("2 differences left out") && call.err.contains("--exact"));
    let document = place
        .run(&["diff", "config/a.json@1", "@2", "--json"])
        .exits(1)
        .document();
    assert_eq!(document["hidden"], 2);
    let exact = place
        .run(&["diff", "config/a.json@1", "@2", "--exact"])
        .exits(1);
    assert_eq!(exact.text(), all.text());
    // Flags come on top, and a patch says everything.
    let call = place
        .run(&["diff", "config/a.json@1", "@2", "--ignore", "/timeout"])
        .exits(1);
    assert_eq!(call.text().lines().count(), 2);
    let patch = place
        .run(&["diff", "config/a.json@1", "@2", "--format", "patch"])
        .exits(1);
    assert!(patch.text().contains("/started"));
    // Another path has no profile.
    place.write("b.json", OLD);
    place.run(&["save", "b.json"]).ok();
    let call = place.run(&["diff", "config/a.json@2", "b.json"]).exits(1);
    assert!(call.text().contains("/started"));

    place.run(&["profile", "config/a.json"]).exits(2);
    place.run(&["profile", "--delete", "x"]).exits(3);
    place.run(&["profile", "--delete", "config/*.json"]).ok();
    assert_eq!(place.run(&["profile", "--list"]).ok().text(), "");
    place.run(&["verify"]).ok();
}

#[test]
fn what_stands_around_a_change() {
    let place = place();
    let call = place
        .run(&[
            "diff",
            "config/a.json@1",
            "@2",
            "-C",
            "1",
            "--ignore",
            "/hosts",
        ])
        .exits(1);
    assert_eq!(
        call.text(),
        "~ /started  1 → 2  (+1, +100 %)\n~ /timeout  30 → 60  (+30, +100 %)\n2 changed\n"
    );
    let call = place
        .run(&["diff", "config/a.json@1", "@2", "--context", "2"])
        .exits(1);
    assert!(call.text().contains("\n  /hosts/1/name  \"a\"\n"));
}

#[test]
fn two_paths_are_compared_as_archived_and_the_files_mentioned() {
    let place = place();
    place.write("b.json", OLD);
    place.run(&["save", "b.json"]).ok();
    let call = place.run(&["diff", "config/a.json@2", "b.json"]).exits(1);
    assert!(!call.err.contains("note"), "{}", call.err);
    place.write("b.json", NEW);
    let call = place.run(&["diff", "config/a.json@2", "b.json"]).exits(1);
    assert!(
        call.err.contains("the file b.json is not what is compared"),
        "{}",
        call.err
    );
}

#[test]
fn a_merge_patch() {
    let place = Place::with_versions(&["{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":3}", "{\"a\":null}"]);
    let patch = place
        .run(&["diff", "config/a.json@1", "@2", "--format", "merge"])
        .exits(1);
    assert_eq!(patch.text(), "{\"b\":null,\"c\":3}\n");
    let failed = place
        .run(&["diff", "config/a.json@2", "@3", "--format", "merge"])
        .exits(5);
    assert!(
        failed.err.contains("/a") && failed.err.contains("--format patch"),
        "{}",
        failed.err
    );
    let same = place
        .run(&["diff", "config/a.json@2", "@2", "--format", "merge"])
        .ok();
    assert_eq!(same.text(), "{}\n");
}

#[test]
fn what_is_left_out_is_counted() {
    let place = place();
    let revs = ["diff", "config/a.json@1", "@2"];
    let call = |more: &[&str]| place.run(&[&revs[..], more].concat());
    let shown = call(&["--ignore", "/started", "--rel-tolerance", "0.001"]).exits(1);
    assert!(!shown.text().contains("started") && !shown.text().contains("1.0001"));
    assert!(
        shown.err.contains("2 differences left out"),
        "{}",
        shown.err
    );
    let json = call(&["--tolerance", "/hosts=0.01", "--format", "json"]).exits(1);
    assert_eq!(json.document()["hidden"], 1);
    assert_eq!(
        call(&["--format", "json"])
            .exits(1)
            .document()
            .get("hidden"),
        None
    );
    let stat = call(&["--stat"]).exits(1);
    assert_eq!(stat.text(), "3 changed, 1 added, 0 removed\n");
    call(&[
        "--ignore", "/started", "--ignore", "/timeout", "--ignore", "/hosts",
    ])
    .ok();
    call(&["--ignore", "started"]).exits(2);
    call(&["--tolerance", "-1"]).exits(2);
    call(&["--ignore", "/a", "--format", "patch"]).exits(2);
}

#[test]
fn a_patch_that_does_not_fit_changes_nothing() {
    let place = place();
    place.write(
        "bad.patch",
        "[{\"op\":\"add\",\"path\":\"/x\",\"value\":1},{\"op\":\"remove\",\"path\":\"/y\"}]",
    );
    let failed = place.run(&["apply", "config/a.json", "bad.patch"]).exits(2);
    assert!(failed.err.contains("operation 2"), "{}", failed.err);
    place
        .run_input(&["apply", "config/a.json", "-"], "{")
        .exits(5);
    place
        .run_input(&["apply", "nowhere.json", "-"], "{}")
        .exits(3);
    place
        .run_input(
            &["apply", "config/a.json", "-", "--if-version", "1"],
            "{\"x\":1}",
        )
        .exits(4);
    place.write("config/a.json", "{\"not\": \"saved\"}");
    let failed = place
        .run_input(&["apply", "config/a.json", "-"], "{\"x\":1}")
        .exits(4);
    assert!(failed.err.contains("backstory save"), "{}", failed.err);
    assert_eq!(
        place
            .run(&["log", "config/a.json", "--json"])
            .ok()
            .lines()
            .len(),
        2
    );
    assert_eq!(place.read("config/a.json"), "{\"not\": \"saved\"}");
    place
        .run_input(
            &["apply", "config/a.json", "-", "--archive-only"],
            "{\"x\":1}",
        )
        .ok();
    assert_eq!(place.read("config/a.json"), "{\"not\": \"saved\"}");
}

#[test]
fn merging_three_documents() {
    let place = Place::new();
    place.write("base.json", "{\n    \"a\": 1,\n    \"b\": 1.0\n}\n");
    place.write("ours.json", "{\n    \"a\": 2,\n    \"b\": 1.0\n}\n");
    place.write("theirs.json", "{\"a\":1,\"b\":2,\"c\":[]}");
    let merged = place
        .run(&["merge-file", "base.json", "ours.json", "theirs.json"])
        .ok();
    assert_eq!(
        merged.text(),
        "{\n    \"a\": 2,\n    \"b\": 2.0,\n    \"c\": []\n}\n"
    );
    place.write("theirs.json", "{\"a\":3}");
    let call = [
        "merge-file",
        "base.json",
        "ours.json",
        "theirs.json",
        "-o",
        "out.json",
    ];
    let conflict = place.run(&call).exits(1);
    assert!(
        conflict
            .err
            .contains("conflict at /a: base 1, ours 2, theirs 3"),
        "{}",
        conflict.err
    );
    assert_eq!(place.read("out.json"), "{\n    \"a\": 2\n}\n");
    let json = place
        .run(&[&call[..4], &["--json"]].concat())
        .exits(1)
        .document();
    assert_eq!(json["clean"], false);
    assert_eq!(json["conflicts"][0]["pointer"], "/a");
    assert_eq!(json["merged"], serde_json::json!({"a": 2}));
    place
        .run(&["merge-file", "base.json", "nowhere.json", "theirs.json"])
        .exits(3);
    place.write("theirs.json", "{");
    place.run(&call).exits(5);
}

#[test]
fn as_a_merge_driver_of_git() {
    let place = Place::new();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=ops", "-c", "user.email=ops@example.org"])
            .args(arguments)
            .current_dir(place.root());
        command.output()
    };
    if git(&["--version"]).is_err() {
        println!("left out: git is not here");
        return;
    }
    let run = |arguments: &[&str]| {
        let output = git(arguments).unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["init", "-q", "-b", "main"]);
    let binary = env!("CARGO_BIN_EXE_backstory");
    run(&[
        "config",
        "merge.json.driver",
        &format!("{binary} merge-file %O %A %B -o %A"),
    ]);
    run(&[
        "config",
        "diff.json.command",
        &format!("sh -c '{binary} diff --no-index \"$2\" \"$5\" || true' --"),
    ]);
    place.write(".gitattributes", "*.json merge=json diff=json\n");
    place.write("a.json", "{\"x\": 1, \"y\": 1}\n");
    run(&["add", "-A"]);
    run(&["commit", "-qm", "base"]);
    run(&["checkout", "-qb", "side"]);
    // Neighbours on one line: a merge by lines has a conflict.
    place.write("a.json", "{\"x\": 1, \"y\": 2}\n");
    run(&["commit", "-qam", "theirs"]);
    run(&["checkout", "-q", "main"]);
    place.write("a.json", "{\"x\": 2, \"y\": 1}\n");
    let shown = run(&["diff"]);
    assert!(shown.contains("/x") && !shown.contains("/y"), "{shown}");
    run(&["commit", "-qam", "ours"]);
    run(&["merge", "-q", "side", "-m", "both"]);
    assert_eq!(place.read("a.json"), "{\"x\": 2, \"y\": 2}\n");
}
