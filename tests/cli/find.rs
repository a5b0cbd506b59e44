//! `find`: versions by what is in them.

use serde_json::json;

use crate::support::{Place, assert_keys};

fn place() -> Place {
    let place = Place::with_archive();
    for (name, content) in [
        ("runs/1.json", r#"{"status":"ok","loss":0.5}"#),
        ("runs/1.json", r#"{"status":"failed","loss":0.75}"#),
        ("runs/2.json", r#"{"status":"failed","loss":1e300}"#),
        ("runs/2.json", r#"{"status":"ok","loss":9007199254740993}"#),
        (
            "runs/old/3.json",
            r#"{"status":"failed","sensors":[{"t":40},{"t":41.5}]}"#,
        ),
        ("plain.json", r#""failed""#),
    ] {
        place.write(name, content);
        place.run(&["save", name]).ok();
    }
    place
}

fn revs(place: &Place, arguments: &[&str]) -> Vec<String> {
    let call = place.run(&[&["find", "--json"], arguments].concat()).ok();
    call.lines()
        .iter()
        .map(|line| line["rev"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn newest_all_or_first() {
    let place = place();
    let failed = r#"@.status == "failed""#;
    assert_eq!(
        revs(&place, &[failed]),
        ["runs/1.json@2", "runs/old/3.json@1"]
    );
    assert_eq!(
        revs(&place, &[failed, "--all"]),
        ["runs/1.json@2", "runs/2.json@1", "runs/old/3.json@1"]
    );
    assert_eq!(
        revs(&place, &["$.status", "runs/1.json", "--all"]),
        ["runs/1.json@2", "runs/1.json@1"]
    );
    assert_eq!(
        revs(&place, &["$.status", "--first", "runs/2.json"]),
        ["runs/2.json@1"]
    );
    assert_eq!(
        revs(&place, &["@.loss > 0.6", "--first", "runs/1.json"]),
        ["runs/1.json@2"]
    );
    place.run(&["find", "$", "--all", "--first"]).exits(2);
}

#[test]
fn paths_folders_and_patterns() {
    let place = place();
    assert_eq!(revs(&place, &["$", "runs"]).len(), 3);
    assert_eq!(revs(&place, &["$", "runs/*.json"]).len(), 2);
    assert_eq!(revs(&place, &["$", "runs/**/*.json"]).len(), 3);
    assert_eq!(
        revs(&place, &["$", "plain.json", "runs/[12].json"]).len(),
        3
    );
    assert_eq!(revs(&place, &["$", ":/"]).len(), 4);
    let call = place
        .run_in("runs", &["find", "$", "*.json", "--json"])
        .ok();
    assert_eq!(call.lines()[0]["rev"], ":/runs/1.json@2");
    place
        .run(&["find", "$", "none*.json"])
        .exits(3)
        .says_what_to_try();
    place
        .run(&["find", "$", "runs/{1.json"])
        .exits(2)
        .says_what_to_try();
}

#[test]
fn nodes_have_pointers_and_every_digit() {
    let place = place();
    let line = place
        .run(&["find", "$.sensors[?@.t > 40].t", "--json"])
        .ok()
        .document();
    assert_keys(
        &line,
        &["path", "version", "time", "commit", "rev", "nodes"],
    );
    assert_eq!(
        line["nodes"],
        json!([{"pointer": "/sensors/1/t", "value": 41.5}])
    );
    let call = place.run(&["find", "$.loss", "runs/2.json", "--all"]).ok();
    assert!(
        call.text().contains("Z  9007199254740993\n"),
        "{}",
        call.text()
    );
    assert!(call.text().contains("Z  1e+300\n"), "{}", call.text());
    let call = place.run(&["find", "$..t", "--pointer"]).ok();
    let lines: Vec<&str> = call.text().lines().collect();
    assert!(
        lines[0].starts_with("runs/old/3.json@1  ") && lines[0].ends_with("Z  /sensors/0/t = 40")
    );
    assert!(lines[1].ends_with("Z  /sensors/1/t = 41.5"));
    assert!(
        place
            .run(&["find", "$..t"])
            .ok()
            .text()
            .ends_with("Z  40  (2 values)\n")
    );
}

#[test]
fn nothing_found_is_three_and_nonsense_is_two() {
    let place = place();
    place
        .run(&["find", "@.loss == 0.5", "runs"])
        .exits(3)
        .says_what_to_try()
        .mentions("try: backstory find '@.loss == 0.5' runs --all");
    place
        .run(&["find", "$.none", "--all"])
        .exits(3)
        .says_what_to_try();
    for text in ["", "status", "$.[", "@.a ==", "$.a &&"] {
        place.run(&["find", text]).exits(2).says_what_to_try();
    }
    let call = place.run(&["find", "--nonsense", "$"]).exits(2);
    call.says_what_to_try().mentions("--nonsense");
    // What is deleted matches no more, and its history does.
    place.run(&["delete", "plain.json"]).ok();
    place.run(&["find", "@ == 'failed'"]).exits(3);
    assert_eq!(revs(&place, &["@ == 'failed'", "--all"]), ["plain.json@1"]);
}
