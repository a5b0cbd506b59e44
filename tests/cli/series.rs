//! Values over versions.

use std::fs;

use serde_json::Value;

use crate::support::{Place, assert_keys};

/// Three runs of which each has three versions, a rename and a deletion.
fn runs() -> Place {
    let place = Place::with_archive();
    let lines = [
        r#"{"path":"runs/1/metrics.json","doc":{"loss":0.50,"name":"a, b","by":{"x":1,"y":2}},"time":"2026-11-01T10:00:00Z"}"#,
        r#"{"path":"runs/2/metrics.json","doc":{"loss":3},"time":"2026-11-01T11:00:00Z"}"#,
        r#"{"path":"runs/1/metrics.json","doc":{"loss":9007199254740993,"name":null,"by":{"x":1}},"time":"2026-11-02T10:00:00Z"}"#,
        r#"{"path":"runs/1/metrics.json","doc":{"name":"c","by":{"z":0.1000000000000000055511151231257827}},"time":"2026-11-03T10:00:00Z"}"#,
        r#"{"path":"runs/1/config.json","doc":{"loss":"none"}}"#,
        r#"{"path":"runs/1/deep/metrics.json","doc":{"loss":7}}"#,
    ];
    place.run_input(&["save", "--jsonl"], lines.join("\n")).ok();
    place
}

#[test]
fn a_table_has_the_versions_oldest_first_and_every_digit() {
    let place = runs();
    let call = place
        .run(&["series", "runs/1/metrics.json", "/loss", "/name", "/by/z"])
        .ok();
    let lines: Vec<&str> = call.text().lines().collect();
    assert_eq!(
        lines[..4],
        [
            "version  time                             /loss  /name                                  /by/z",
            "      1  2026-11-01 10:00:00Z               0.5  \"a, b\"                                     -",
            "      2  2026-11-02 10:00:00Z  9007199254740993  null                                       -",
            "      3  2026-11-03 10:00:00Z                 -  \"c\"     0.1000000000000000055511151231257827",
        ]
    );
    assert_eq!(
        lines[4..],
        ["/loss  ▁█   min 0.5  max 9007199254740993  first 0.5  last 9007199254740993"]
    );
}

#[test]
fn json_leaves_out_what_is_absent() {
    let place = runs();
    let lines = place
        .run(&["series", "runs/1/metrics.json", "/loss", "/name", "--json"])
        .ok();
    assert!(
        lines
            .text()
            .contains(r#""values":{"/loss":9007199254740993,"/name":null}"#)
    );
    let lines = lines.lines();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert_keys(line, &["path", "version", "time", "commit", "values"]);
    }
    assert_eq!(lines[0]["time"], "2026-11-01T10:00:00Z");
    assert_eq!(lines[2]["values"], serde_json::json!({"/name": "c"}));
    let log = place.run(&["log", "runs/1/metrics.json", "--json"]).ok();
    assert_eq!(log.lines()[2]["commit"], lines[0]["commit"]);
}

#[test]
fn wildcards_in_paths_stay_in_their_folder() {
    let place = runs();
    let paths = |arguments: &[&str]| -> Vec<String> {
        let mut all = vec!["series"];
        all.extend(arguments);
        all.push("--json");
        let lines = place.run(&all).ok().lines();
        let mut paths: Vec<String> = lines
            .iter()
            .map(|line| line["path"].as_str().unwrap().to_owned())
            .collect();
        paths.dedup();
        paths
    };
    let (one, two, deep) = (
        "runs/1/metrics.json",
        "runs/2/metrics.json",
        "runs/1/deep/metrics.json",
    );
    assert_eq!(paths(&["runs/*/metrics.json", "/loss"]), [one, two]);
    assert_eq!(paths(&[":/runs/[12]/m*.json", "/loss"]), [one, two]);
    assert_eq!(paths(&["runs/**/metrics.json", "/loss"]), [deep, one, two]);
    assert_eq!(paths(&["/loss", two, "runs/*/metrics.json"]), [two, one]);
    fs::create_dir_all(place.path("runs/1")).unwrap();
    let below = place.run_in("runs/1", &["series", "*.json", "/loss", "--csv"]);
    assert_eq!(below.ok().text().lines().count(), 1 + 1 + 3);
    let call = place.run(&["series", "none/*.json", "/loss"]).exits(3);
    call.says_what_to_try().mentions("none/*.json");
    place
        .run(&["series", "runs/[1", "/loss"])
        .exits(2)
        .says_what_to_try();
}

#[test]
fn a_path_whose_name_has_a_star_is_that_path() {
    let place = runs();
    place
        .run_input(&["save", "-", "--as", "runs/*"], "{\"loss\":8}")
        .ok();
    let lines = place.run(&["series", "runs/*", "/loss", "--json"]).ok();
    assert_eq!(lines.document()["values"]["/loss"], 8);
}

#[test]
fn wildcards_in_pointers_make_columns() {
    let place = runs();
    let call = place
        .run(&["series", "runs/1/metrics.json", "/by/*", "--csv"])
        .ok();
    let lines: Vec<&str> = call.text().lines().collect();
    assert_eq!(lines[0], "path,version,time,commit,/by/x,/by/y,/by/z");
    assert!(lines[1].starts_with("runs/1/metrics.json,1,2026-11-01T10:00:00Z,"));
    assert!(lines[1].ends_with(",1,2,") && lines[2].ends_with(",1,,"));
    assert!(lines[3].ends_with(",,,0.1000000000000000055511151231257827"));
}

#[test]
fn csv_has_the_text_of_strings() {
    let place = runs();
    let call = place
        .run(&["series", "runs/1/metrics.json", "/name", "--csv"])
        .ok();
    let ends: Vec<&str> = call
        .text()
        .lines()
        .map(|l| l.split_at(l.len() - 8).1)
        .collect();
    assert_eq!(ends[0], "it,/name");
    assert!(ends[1].ends_with("\"a, b\"") && ends[2].ends_with(",null") && ends[3].ends_with(",c"));
}

#[test]
fn only_some_versions() {
    let place = runs();
    let versions = |arguments: &[&str]| -> Vec<u64> {
        let mut all = vec!["series", "runs/1/metrics.json", "/by/x", "/name", "--json"];
        all.extend(arguments);
        let lines = place.run(&all).ok().lines();
        lines
            .iter()
            .map(|l| l["version"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(versions(&["--last", "2"]), [2, 3]);
    assert_eq!(versions(&["--since", "2026-11-02"]), [2, 3]);
    assert_eq!(versions(&["--until", "2026-11-02"]), [1, 2]);
    assert_eq!(versions(&["--until", "2026-11-02T09:00:00Z"]), [1]);
    assert_eq!(versions(&["--since", "2027-01-01"]), [0; 0]);
    let call = place.run(&[
        "series",
        "runs/1/metrics.json",
        "/by/x",
        "--changes",
        "--json",
    ]);
    let lines = call.ok().lines();
    let changed: Vec<&Value> = lines.iter().map(|line| &line["version"]).collect();
    assert_eq!(changed, [1, 3]);
}

#[test]
fn a_rename_is_followed_and_an_end_has_no_values() {
    let place = Place::with_versions(&["{\"n\":1}", "{\"n\":2}"]);
    place.run(&["mv", "config/a.json", "config/b.json"]).ok();
    place.write("config/b.json", "{\"n\":3}");
    place.run(&["save", "config/b.json"]).ok();
    place.run(&["delete", "config/b.json"]).ok();
    let lines = place.run(&["series", "config/*.json", "/n", "--json"]).ok();
    let lines = lines.lines();
    let points: Vec<(&str, u64, Option<u64>)> = lines
        .iter()
        .map(|line| {
            (
                line["path"].as_str().unwrap(),
                line["version"].as_u64().unwrap(),
                line["values"]["/n"].as_u64(),
            )
        })
        .collect();
    let (a, b) = ("config/a.json", "config/b.json");
    assert_eq!(
        points,
        [
            (a, 1, Some(1)),
            (a, 2, Some(2)),
            (b, 1, Some(2)),
            (b, 2, Some(3)),
            (b, 3, None)
        ]
    );
    let table = place.run(&["series", "config/b.json", "/n"]).ok();
    assert!(
        table.text().contains("config/a.json@2  "),
        "{}",
        table.text()
    );
}

#[test]
fn numbers_that_json_does_not_have() {
    let place = Place::with_archive();
    for text in ["{\"loss\":NaN}", "{\"loss\":-Infinity}", "{\"loss\":0.25}"] {
        place.write("a.json", text);
        place.run(&["save", "a.json", "--nan", "tag"]).ok();
    }
    let call = place.run(&["series", "a.json", "/loss", "--csv"]).ok();
    let last = |line: &str| line.rsplit(',').next().unwrap().to_owned();
    let values: Vec<String> = call.text().lines().skip(1).map(last).collect();
    assert_eq!(values, ["NaN", "-Infinity", "0.25"]);
    let lines = place.run(&["series", "a.json", "/loss", "--json"]).ok();
    assert_eq!(lines.lines()[0]["values"]["/loss"]["$number"], "NaN");
}

#[test]
fn a_document_that_is_a_number() {
    let place = Place::with_archive();
    place.write("t.json", "21.50");
    place.run(&["save", "t.json"]).ok();
    let call = place.run(&["series", "t.json", ""]).ok();
    assert!(
        call.text()
            .starts_with("version  time                  (document)\n")
    );
    assert!(call.text().ends_with("        21.5\n"), "{}", call.text());
}

#[test]
fn mistakes_say_what_there_is() {
    let place = runs();
    let path = "runs/1/metrics.json";
    let call = place.run(&["series", path]).exits(2).says_what_to_try();
    call.mentions("/by/z")
        .mentions("series :/runs/1/metrics.json /by/z");
    let call = place.run(&["series", path, "/los"]).exits(3);
    call.says_what_to_try().mentions("/los;").mentions("/name");
    let call = place.run(&["series", path, "/by/zz", "/loss"]).exits(3);
    assert_eq!(call.text(), "");
    call.mentions("/by/zz; near it there is /by/z");
    place
        .run(&["series", "/loss"])
        .exits(2)
        .mentions("needs a path");
    place
        .run(&["series", path, "/a~"])
        .exits(2)
        .says_what_to_try();
    place
        .run(&["series", path, "/loss", "--csv", "--json"])
        .exits(2);
    let call = place.run(&["series", path, "/los", "--json"]).exits(3);
    assert_eq!(call.errors()[0]["kind"], "not-found");
    // Some paths have it.
    place.run(&["series", "runs/*/*.json", "/by/x"]).ok();
}

#[test]
fn a_chart_names_its_lines_and_axes() {
    let place = runs();
    let arguments = [
        "series",
        "runs/*/metrics.json",
        "/loss",
        "/by/x",
        "--plot",
        "a.svg",
    ];
    let call = place.run(&arguments).ok();
    assert_eq!(call.text(), "wrote a.svg: 3 lines, 4 versions\n");
    let svg = place.read("a.svg");
    for part in [
        "<svg",
        "runs/1/metrics.json /by/x",
        "runs/2/metrics.json /loss",
        "version",
        "</svg>",
    ] {
        assert!(svg.contains(part), "{part} is not in the chart");
    }
    let call = place.run(&[&arguments[..], &["--x", "time", "--csv", "--last", "3"]].concat());
    assert!(
        call.ok()
            .text()
            .lines()
            .all(|line| line.matches(',').count() == 5)
    );
    let svg = place.read("a.svg");
    assert!(
        svg.contains("time (UTC)") && svg.contains("11-02 00:00"),
        "{svg}"
    );
    place
        .run(&["series", "runs/1/metrics.json", "/loss", "--plot", "a.png"])
        .exits(2);
    place
        .run(&["series", "runs/1/metrics.json", "/name", "--plot", "b.svg"])
        .exits(2);
    assert!(!place.exists("b.svg") && !place.exists("a.png"));
}

#[test]
fn a_chart_never_costs_what_is_on_disk() {
    let place = runs();
    place.write("x.svg", "1");
    place.run(&["save", "x.svg"]).ok();
    place.write("x.svg", "2");
    place
        .run(&["series", "runs/2/metrics.json", "/loss", "--plot", "x.svg"])
        .ok();
    assert!(place.read("x.svg").starts_with("<svg"));
    assert_eq!(place.run(&["load", "x.svg"]).ok().text(), "2");
    let inside = ".backstory/x.svg";
    place
        .run(&["series", "runs/2/metrics.json", "/loss", "--plot", inside])
        .exits(2);
}

#[test]
fn what_damage_left_is_still_shown() {
    let place = crate::support::with_lost_version();
    let call = place.run(&["series", "a.json", "/n", "--json"]).exits(6);
    let versions: Vec<u64> = call
        .lines()
        .iter()
        .map(|line| line["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, [1, 3]);
    assert_eq!(call.errors()[0]["kind"], "corrupt");
}
