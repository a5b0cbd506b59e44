//! Questions in SQL.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Place, assert_keys, with_lost_version};

/// Forty versions of four paths, by two authors.
fn measured() -> Place {
    let place = Place::with_archive();
    let lines: Vec<String> = (0..40)
        .map(|n| {
            let author = if n % 3 == 0 { "ops" } else { "qa" };
            json!({
                "path": format!("runs/{}.json", n % 4), "doc": {"metrics": {"accuracy": f64::from(n) / 8.0}, "n": n},
                "author": author, "message": format!("run {n}, \"x\""), "meta": {"seed": n},
                "time": format!("2026-11-01T10:{n:02}:00Z"),
            })
            .to_string()
        })
        .collect();
    place.run_input(&["save", "--jsonl"], lines.join("\n")).ok();
    place.run(&["tag", "best", "runs/1.json@3"]).ok();
    place.run(&["tag", "release-1"]).ok();
    place.run(&["delete", "runs/3.json"]).ok();
    place
}

fn rows(place: &Place, query: &str) -> Vec<Value> {
    place.run(&["sql", query, "--json"]).ok().lines()
}

#[test]
fn an_answer_is_what_log_and_load_say() {
    let place = measured();
    // The same by other commands: the sum of the accuracy and the number of versions of each author.
    let mut expected: BTreeMap<String, (f64, u64)> = BTreeMap::new();
    for version in place.run(&["log", "--json"]).ok().lines() {
        if version["id"].is_null() {
            continue;
        }
        let rev = version["rev"].as_str().unwrap();
        let document: Value = serde_json::from_str(place.run(&["load", rev]).ok().text()).unwrap();
        let author = version["author"].as_str().unwrap().to_owned();
        let (sum, count) = expected.entry(author).or_default();
        *sum += document["metrics"]["accuracy"].as_f64().unwrap();
        *count += 1;
    }
    let query = "SELECT author, sum(doc(id)->>'$.metrics.accuracy') AS total, count(*) AS n
        FROM versions WHERE id IS NOT NULL GROUP BY author ORDER BY author";
    let found: BTreeMap<String, (f64, u64)> = rows(&place, query)
        .iter()
        .map(|row| {
            let (total, n) = (row["total"].as_f64().unwrap(), row["n"].as_u64().unwrap());
            (row["author"].as_str().unwrap().to_owned(), (total, n))
        })
        .collect();
    assert_eq!(found, expected);
    assert_eq!(found.len(), 2);
}

#[test]
fn versions_are_those_of_the_log() {
    let place = measured();
    let columns =
        "path, version, id, commit_id AS 'commit', seq, time, recorded, author, op, message, meta";
    let asked = rows(
        &place,
        &format!("SELECT {columns} FROM versions ORDER BY seq DESC"),
    );
    let mut logged = place.run(&["log", "--json"]).ok().lines();
    for version in &mut logged {
        let object = version.as_object_mut().unwrap();
        object.remove("rev");
        object.remove("source");
        object["meta"] = Value::String(object["meta"].to_string());
    }
    assert_eq!(asked, logged);
    assert_eq!(asked[0]["op"], "delete");
    let meta = rows(
        &place,
        "SELECT meta->>'$.seed' AS seed FROM versions WHERE message LIKE 'run 7,%'",
    );
    assert_eq!(meta, [json!({"seed": 7})]);
}

#[test]
fn commits_paths_and_tags() {
    let place = measured();
    let head = place.run(&["head", "--json"]).ok().document();
    let newest = &rows(&place, "SELECT * FROM commits ORDER BY seq DESC LIMIT 1")[0];
    assert_keys(
        newest,
        &["id", "seq", "time", "recorded", "author", "message", "meta"],
    );
    assert_eq!(newest["id"], head["commit"]);
    // Those that only set tags count too.
    assert_eq!(
        rows(&place, "SELECT count(*) AS n FROM commits"),
        [json!({"n": 43})]
    );
    let mut listed = place.run(&["ls", "--json"]).ok().lines();
    for line in &mut listed {
        line["deleted"] = json!(u8::from(line["deleted"] == true));
    }
    assert_eq!(rows(&place, "SELECT * FROM paths ORDER BY path"), listed);
    let mut tags = place.run(&["tag", "--list", "--json"]).ok().lines();
    for tag in &mut tags {
        let commit = tag.as_object_mut().unwrap().remove("commit").unwrap();
        tag["commit_id"] = commit;
    }
    assert_eq!(rows(&place, "SELECT * FROM tags ORDER BY name"), tags);
    let joined = "SELECT t.name, v.seq FROM tags t JOIN versions v USING (path, version)";
    assert_eq!(rows(&place, joined), [json!({"name": "best", "seq": 10})]);
}

#[test]
fn documents_by_id_and_by_revision() {
    let place = Place::with_versions(&["{\"a\": 9007199254740993, \"b\": 1.50}", "[1]"]);
    let id = blake3::hash(br#"{"a":9007199254740993,"b":1.5}"#).to_hex();
    for name in [
        id.as_str(),
        &format!("b3:{id}"),
        "config/a.json@1",
        "config/a.json@-1",
        "config/a.json@2026-11-01",
        &format!("config/a.json@b3:{}", &id[..8]),
    ] {
        let query = format!("SELECT doc('{name}') AS d, doc('{name}')->'$.a' AS a");
        let row = &rows(&place, &query)[0];
        assert_eq!(row["d"], r#"{"a":9007199254740993,"b":1.5}"#, "{name}");
        assert_eq!(row["a"], "9007199254740993");
    }
    let row = &rows(&place, "SELECT doc('config/a.json') AS d, doc(NULL) AS n")[0];
    assert_eq!(row, &json!({"d": "[1]", "n": null}));
    place.run(&["delete", "config/a.json"]).ok();
    let row = &rows(&place, "SELECT doc('config/a.json') AS d")[0];
    assert_eq!(row, &json!({ "d": null }));
    for (query, code) in [
        ("SELECT doc('config/none.json@1')", 3),
        ("SELECT doc('config/a.json@99')", 3),
        (&format!("SELECT doc('{}')", "0".repeat(64)), 3),
        ("SELECT doc('config/a.json@')", 2),
        ("SELECT doc(7)", 2),
        ("SELECT doc()", 2),
    ] {
        place.run(&["sql", query]).exits(code).says_what_to_try();
    }
}

#[test]
fn tables_csv_and_standard_input() {
    let place = measured();
    let query =
        "SELECT version, message, NULL AS none FROM versions WHERE path = 'runs/1.json' LIMIT 2";
    let table = place.run(&["sql", query]).ok();
    assert_eq!(
        table.text(),
        "version  message     none\n      1  run 1, \"x\"  NULL\n      2  run 5, \"x\"  NULL\n"
    );
    let csv = place.run_input(&["sql", "-", "--csv"], query).ok();
    assert_eq!(
        csv.text(),
        "version,message,none\n1,\"run 1, \"\"x\"\"\",\n2,\"run 5, \"\"x\"\"\",\n"
    );
    let odd = "SELECT 1 AS a, 2 AS a, x'00ff' AS b, 0.5 AS c, 9e999 AS d, 'a\nb' AS e";
    let call = place.run(&["sql", odd, "--json"]).ok();
    assert_eq!(
        call.text(),
        "{\"a\":1,\"a:1\":2,\"b\":\"00ff\",\"c\":0.5,\"d\":9e999,\"e\":\"a\\nb\"}\n"
    );
    let none = place
        .run(&["sql", "SELECT path FROM paths WHERE 0; -- nothing"])
        .ok();
    assert_eq!(none.text(), "path\n");
    assert_eq!(
        place
            .run(&["sql", "--json", "SELECT 1 WHERE 0"])
            .ok()
            .text(),
        ""
    );
    place.run(&["sql", "SELECT 1", "--csv", "--json"]).exits(2);
    place.run_input(&["sql", "-"], b"SELECT '\xff'").exits(2);
}

#[test]
fn mistakes_name_the_views() {
    let place = measured();
    let call = place.run(&["sql", "SELECT loss FROM versions"]).exits(2);
    call.says_what_to_try()
        .mentions("no such column: loss")
        .mentions("paths, versions, commits and tags");
    let call = place.run(&["sql", "SELEC 1", "--json"]).exits(2);
    assert_eq!(call.errors()[0]["kind"], "usage");
    for query in [
        "",
        "  -- nothing",
        "SELECT ?",
        "SELECT 1; SELECT 2",
        ";;SELECT 1;;SELECT 2",
    ] {
        place.run(&["sql", query]).exits(2).says_what_to_try();
    }
    let many = "SELECT 1;".repeat(100_000);
    place
        .run_input(&["sql", "-"], many)
        .exits(2)
        .mentions("one statement");
}

/// Every file with its bytes, but for what opening an index may touch.
fn everything(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap().to_owned();
        if path.is_dir() {
            everything(&path, found);
        } else if !name.ends_with("-shm") && !name.ends_with("-wal") {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
}

#[test]
fn nothing_but_reading_is_possible() {
    let place = measured();
    rows(&place, "SELECT 1 FROM versions");
    let mut before = BTreeMap::new();
    everything(&place.root(), &mut before);
    let other = place.path("other.sqlite");
    let other = other.to_str().unwrap();
    let index = place.path(".backstory/index.sqlite");
    let index = index.to_str().unwrap();
    let attacks = [
        "INSERT INTO tags VALUES ('x', 'y', 1, 'z')".to_owned(),
        "INSERT INTO paths SELECT * FROM paths".to_owned(),
        "UPDATE commits SET author = 'x'".to_owned(),
        "DELETE FROM version_rows".to_owned(),
        "REPLACE INTO tags VALUES ('x', 'y', 1, 'z')".to_owned(),
        "WITH x AS (SELECT 1) DELETE FROM tags".to_owned(),
        "DELETE FROM tags RETURNING name".to_owned(),
        "CREATE TABLE x(y)".to_owned(),
        "CREATE TEMP TABLE x AS SELECT * FROM versions".to_owned(),
        "CREATE VIEW x AS SELECT 1".to_owned(),
        "CREATE TEMP TRIGGER x AFTER INSERT ON tags BEGIN SELECT 1; END".to_owned(),
        "CREATE VIRTUAL TABLE x USING fts5(y)".to_owned(),
        "CREATE INDEX x ON tags(path)".to_owned(),
        "DROP TABLE tags".to_owned(),
        "DROP VIEW versions".to_owned(),
        "ALTER TABLE tags RENAME TO x".to_owned(),
        "REINDEX".to_owned(),
        "ANALYZE".to_owned(),
        "VACUUM".to_owned(),
        format!("VACUUM INTO '{other}'"),
        format!("ATTACH '{other}' AS x"),
        format!("ATTACH '{index}' AS x"),
        "DETACH main".to_owned(),
        "PRAGMA journal_mode = WAL".to_owned(),
        "PRAGMA journal_mode".to_owned(),
        "PRAGMA query_only = OFF".to_owned(),
        "PRAGMA writable_schema = ON".to_owned(),
        format!("PRAGMA temp_store_directory = '{other}'"),
        "SELECT * FROM pragma_query_only".to_owned(),
        "EXPLAIN PRAGMA query_only = OFF".to_owned(),
        "BEGIN".to_owned(),
        "BEGIN IMMEDIATE".to_owned(),
        "COMMIT".to_owned(),
        "SAVEPOINT x".to_owned(),
        "SELECT load_extension('x')".to_owned(),
        format!("SELECT writefile('{other}', 'x')"),
        format!("SELECT readfile('{index}')"),
        "SELECT fts3_tokenizer('simple')".to_owned(),
        "SELECT edit('x')".to_owned(),
        "SELECT 1; DROP TABLE tags".to_owned(),
        "SELECT 1; PRAGMA query_only = OFF; DELETE FROM tags".to_owned(),
        "EXPLAIN DELETE FROM tags".to_owned(),
        format!(".backup {other}"),
    ];
    for attack in &attacks {
        let call = place.run(&["sql", attack]);
        assert_eq!(call.code, 2, "{attack}: {} {}", call.text(), call.err);
        call.says_what_to_try();
    }
    let mut after = BTreeMap::new();
    everything(&place.root(), &mut after);
    assert!(before.keys().eq(after.keys()), "{:?}", after.keys());
    assert!(before == after);
    place.run(&["verify"]).ok();
}

#[test]
fn what_reads_is_allowed() {
    let place = measured();
    for query in [
        "VALUES (1), (2)",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5) SELECT sum(x) FROM n",
        "SELECT value FROM json_each(doc('runs/1.json'))",
        "SELECT p.path, j.fullkey FROM paths p, json_tree(doc(p.id)) j WHERE NOT p.deleted",
        "SELECT row_number() OVER (ORDER BY time) FROM commits",
        "SELECT * FROM pragma_table_info('versions')",
        "SELECT name FROM sqlite_schema",
        "EXPLAIN QUERY PLAN SELECT * FROM versions",
        "SELECT strftime('%Y', time) AS year, avg(doc(id)->>'$.n') FROM versions GROUP BY year",
    ] {
        let call = place.run(&["sql", query]).ok();
        assert!(call.text().lines().count() > 1, "{query}");
    }
}

#[test]
fn a_lost_document_is_named() {
    let place = with_lost_version();
    let query = "SELECT version, doc(id)->>'$.n' AS n FROM versions WHERE path = 'a.json'";
    let lost = rows(
        &place,
        "SELECT id FROM versions WHERE path = 'a.json' AND version = 2",
    );
    let call = place.run(&["sql", query]).exits(6).says_what_to_try();
    call.mentions(lost[0]["id"].as_str().unwrap());
    let query = format!("{query} AND version <> 2");
    assert_eq!(rows(&place, &query).len(), 2);
}
