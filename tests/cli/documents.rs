//! Documents in and out: what is loaded is what was saved.

use crate::support::Place;

const LAYOUT: &str = "{ \"b\" : 1.50,\n\t\"a\":[ ] }\n\n";

#[test]
fn load_gives_the_bytes_back_or_the_form_asked_for() {
    let place = Place::with_archive();
    place.write("a.json", LAYOUT);
    place.run(&["save", "a.json"]).ok();
    let load = |form: &[&str]| {
        let call = place.run(&[&["load", "a.json"], form].concat()).ok();
        call.text().to_owned()
    };
    assert_eq!(load(&[]), LAYOUT);
    assert_eq!(load(&["--source"]), LAYOUT);
    assert_eq!(load(&["--canonical"]), "{\"a\":[],\"b\":1.5}");
    assert_eq!(load(&["--compact"]), "{\"a\":[],\"b\":1.5}");
    assert_eq!(load(&["--pretty"]), "{\n  \"a\": [],\n  \"b\": 1.5\n}\n");
    assert_eq!(load(&["--pointer", "/b"]), "1.5\n");
    assert_eq!(load(&["--pointer", "/b", "--canonical"]), "1.5");
    assert_eq!(load(&["--pointer", ""]), load(&["--pretty"]));
    place
        .run(&["load", "a.json", "--pointer", "/c"])
        .exits(3)
        .says_what_to_try();
    place
        .run(&["load", "a.json", "--pointer", "c"])
        .exits(2)
        .says_what_to_try();
    place
        .run(&["load", "a.json", "--pretty", "--compact"])
        .exits(2);
}

#[test]
fn every_spelling_of_a_revision() {
    let place = Place::with_versions(&["\"one\"", "\"two\"", "\"three\""]);
    place.run(&["tag", "best", "config/a.json@2"]).ok();
    place.run(&["tag", "release"]).ok();
    place.write("config/a.json", "\"four\"");
    place.run(&["save", "config/a.json"]).ok();
    let id = place.run(&["hash", "-"]).exits(5);
    assert!(id.out.is_empty());
    let id = place.run_input(&["hash"], "\"two\"").ok();
    let prefix = format!("config/a.json@b3:{}", &id.text()[..8]);
    for (rev, content) in [
        ("config/a.json", "\"four\""),
        ("config/a.json@1", "\"one\""),
        ("config/a.json@-1", "\"three\""),
        ("config/a.json@~3", "\"one\""),
        ("config/a.json@latest", "\"four\""),
        ("config/a.json@best", "\"two\""),
        ("config/a.json@release", "\"three\""),
        ("config/a.json@2026-11-02", "\"two\""),
        ("config/a.json@2026-11-02T11:59:59Z", "\"one\""),
        ("config/a.json@2026-11-02T12:00:00Z", "\"two\""),
        (":/config/a.json@3", "\"three\""),
        ("./config/../config/a.json@3", "\"three\""),
        (&prefix, "\"two\""),
    ] {
        assert_eq!(place.run(&["load", rev]).ok().text(), content, "{rev}");
    }
    assert_eq!(
        place.run_in("config", &["load", "a.json@1"]).ok().text(),
        "\"one\""
    );
    for rev in [
        "config/a.json@5",
        "config/a.json@nothing",
        "config/a.json@2025-01-01",
        "b.json",
        "config/a.json@b3:00000000",
    ] {
        place.run(&["load", rev]).exits(3).says_what_to_try();
    }
    for rev in [
        "config/a.json@0",
        "config/a.json@",
        "@1",
        "config/a.json@-x",
    ] {
        place.run(&["load", rev]).exits(2).says_what_to_try();
    }
}

#[test]
fn an_argument_that_is_a_path_as_a_whole_is_that_path() {
    let place = Place::with_archive();
    place.write("a@2", "\"at\"");
    place.write("a", "\"plain\"");
    place.run(&["save", "a@2", "a"]).ok();
    assert_eq!(place.run(&["load", "a@2"]).ok().text(), "\"at\"");
    assert_eq!(place.run(&["load", "a@1"]).ok().text(), "\"plain\"");
    assert_eq!(place.run(&["load", "a@2@1"]).ok().text(), "\"at\"");
}

#[test]
fn names_that_differ_in_case_or_nest_live_side_by_side() {
    let place = Place::with_archive();
    for (path, content) in [("a", "1"), ("A", "2"), ("a/b", "3")] {
        place.run_input(&["save", "-", "--as", path], content).ok();
    }
    for (path, content) in [("a", "1"), ("A", "2"), ("a/b", "3")] {
        assert_eq!(place.run(&["load", path, "--compact"]).ok().text(), content);
    }
    let listed: Vec<String> = place
        .run(&["ls", "a", "--json"])
        .ok()
        .lines()
        .iter()
        .map(|line| line["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, ["a", "a/b"]);
}

#[test]
fn canon_and_hash_need_no_archive() {
    let place = Place::new();
    place.write("a.json", LAYOUT);
    assert_eq!(
        place.run(&["canon", "a.json"]).ok().text(),
        "{\"a\":[],\"b\":1.5}"
    );
    assert_eq!(
        place.run_input(&["canon"], "9007199254740993").ok().text(),
        "9007199254740993"
    );
    let id = place.run(&["hash", "a.json"]).ok().text().trim().to_owned();
    assert_eq!(id, blake3::hash(b"{\"a\":[],\"b\":1.5}").to_hex().as_str());
    place
        .run_input(&["canon"], "{\"a\":1,\"a\":2}")
        .exits(5)
        .says_what_to_try();
    place.run_input(&["canon", "--nan", "tag"], "[NaN]").ok();
    place
        .run(&["hash", "none.json"])
        .exits(3)
        .says_what_to_try();
}

#[test]
fn the_id_is_the_hash_of_the_canonical_form() {
    let place = Place::with_versions(&[LAYOUT]);
    let canonical = place
        .run(&["load", "config/a.json", "--canonical"])
        .ok()
        .out;
    let id = place.run(&["log", "--json"]).ok().document()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(id, blake3::hash(&canonical).to_hex().as_str());
}

#[test]
fn nan_is_refused_or_kept() {
    let place = Place::with_archive();
    place.write("metrics.json", "{\"loss\": NaN, \"top\": [-Infinity]}");
    let refused = place.run(&["save", "metrics.json", "--json"]).exits(5);
    assert_eq!(refused.errors()[0]["pointer"], "/loss");
    place
        .run(&["save", "metrics.json"])
        .exits(5)
        .says_what_to_try()
        .mentions("--nan tag");
    place.run(&["save", "metrics.json", "--nan", "tag"]).ok();
    let load = |form| {
        place
            .run(&["load", "metrics.json", form])
            .ok()
            .text()
            .to_owned()
    };
    assert_eq!(load("--source"), "{\"loss\": NaN, \"top\": [-Infinity]}");
    assert_eq!(load("--compact"), "{\"loss\":NaN,\"top\":[-Infinity]}");
    assert!(load("--canonical").contains("{\"$number\":\"NaN\"}"));
    // From then on the path takes them.
    place.write("metrics.json", "{\"loss\": Infinity}");
    place.run(&["save", "metrics.json"]).ok();
    // A genuine object of that shape stays what it is.
    place.write("tags.json", "{\"$number\":\"NaN\"}");
    place.run(&["save", "tags.json"]).ok();
    assert_eq!(
        place.run(&["load", "tags.json", "--compact"]).ok().text(),
        "{\"$number\":\"NaN\"}"
    );
}

#[test]
fn identify_tells_bytes_from_documents() {
    let place = Place::with_versions(&["{\"a\":1}", "{ \"a\": 1 }", "{\"a\":2}"]);
    place.write("which.json", "{ \"a\": 1 }");
    let found = place
        .run(&["identify", "which.json", "--json"])
        .ok()
        .lines();
    let found: Vec<_> = found
        .iter()
        .map(|line| {
            (
                line["version"].as_u64().unwrap(),
                line["same"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [(2, "bytes"), (1, "document")]);
    let text = place
        .run(&["identify", "which.json"])
        .ok()
        .text()
        .to_owned();
    assert!(
        text.contains("same bytes") && text.contains("same document"),
        "{text}"
    );
    assert_eq!(
        place
            .run_input(&["identify", "-", "--json"], "{\"a\":2}")
            .ok()
            .lines()
            .len(),
        1
    );
    place.write("which.json", "{\"a\":9}");
    place
        .run(&["identify", "which.json"])
        .exits(3)
        .says_what_to_try();
    place.write("which.json", "{\"a\"");
    place
        .run(&["identify", "which.json"])
        .exits(5)
        .says_what_to_try();
}

#[test]
fn diff_tells_by_its_exit_code() {
    let place = Place::with_versions(&["{\"accuracy\":0.91}", "{\"accuracy\":0.925}"]);
    place.run(&["diff", "config/a.json@1", "@1"]).ok();
    let call = place.run(&["diff", "config/a.json@1", "@2"]).exits(1);
    assert!(
        call.text().contains("/accuracy") && call.text().contains("0.015"),
        "{}",
        call.text()
    );
    place.run(&["diff", "config/a.json"]).ok();
    place.run(&["diff", "config/a.json@1"]).exits(1);
    place.write("config/a.json", "{\"accuracy\":");
    place
        .run(&["diff", "config/a.json"])
        .exits(5)
        .says_what_to_try();
    std::fs::remove_file(place.path("config/a.json")).unwrap();
    place
        .run(&["diff", "config/a.json"])
        .exits(3)
        .says_what_to_try();
    place.run(&["diff", "config/a.json@1", "@7"]).exits(3);
    place.write("x.json", "{\"a\":1,\"b\":2}");
    place.write("y.json", "{ \"b\":2, \"a\":1}");
    place.run(&["diff", "--no-index", "x.json", "y.json"]).ok();
    place.run(&["diff", "--no-index", "x.json"]).exits(2);
    place
        .run(&["diff", "config/a.json@1", "--format", "yaml"])
        .exits(2);
    let call = place
        .run_input(
            &["diff", "--no-index", "x.json", "-", "--json"],
            "{\"a\":1}",
        )
        .exits(1);
    assert_eq!(call.document()["summary"]["removed"], 1);
}
