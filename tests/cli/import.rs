//! `import` of JSON lines, archives, folders and MLflow's file store; at the same time, twice, and from bad sources.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::support::Place;

/// Of imports that run at once none brings a version twice: one comes through, or they stop each other and the next goes on.
#[test]
fn imports_at_the_same_time_bring_nothing_twice() {
    let source = Place::with_archive();
    let lines: String = (0..3000)
        .map(|n| {
            format!(
                "{{\"path\":\"d/{}\",\"doc\":{n},\"message\":\"{n}\"}}\n",
                n % 20
            )
        })
        .collect();
    source
        .run_input(&["save", "--jsonl", "--batch", "1000"], lines)
        .ok();
    source.run(&["export", "-o", "all.jsonl"]).ok();
    let file = source.path("all.jsonl").to_str().unwrap().to_owned();
    let root = source.root().to_str().unwrap().to_owned();
    for call in [["import", "jsonl", &file], ["import", "archive", &root]] {
        let place = Place::with_archive();
        let children: Vec<_> = (0..4)
            .map(|_| place.command(&call).spawn().unwrap())
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let code = output.status.code().unwrap();
            assert!(code == 0 || code == 4, "{output:?}");
        }
        place.run(&call).ok();
        let lines = place.run(&["export"]).ok().lines();
        assert_eq!(lines.len(), 3000);
        for (n, line) in lines.iter().enumerate() {
            assert_eq!(line["document"], n);
        }
        place.run(&["verify"]).ok();
    }
}

#[test]
fn lines_that_are_none_are_listed_and_the_rest_is_imported() {
    let place = Place::with_archive();
    let lines = concat!(
        r#"{"path":"sensors/a","time":"2026-11-01T10:00:00Z","document":{"t":21.50},"author":"qa"}"#,
        "\n",
        r#"{"path":"../x","time":"2026-11-01T10:00:00Z","document":1}"#,
        "\n\n",
        r#"{"path":"/etc/x","time":"2026-11-01T10:00:00Z","document":1}"#,
        "\n",
        r#"{"path":".git/config","time":"2026-11-01T10:00:00Z","document":1}"#,
        "\n",
        r#"{"path":"sensors/a","document":1}"#,
        "\n",
        r#"{"path":"sensors/a","time":"2026-11-01T11:00:00Z","deleted":true}"#,
        "\n",
        r#"{"path":"sensors/a","time":"2026-11-01T12:00:00Z","document":{"t":21.50}}"#,
        "\n",
        r#"{"path":"cut","time":"2026-11-01T12:00:00Z","docu"#,
    );
    let call = place
        .run_input(&["import", "jsonl", "-", "--json"], lines)
        .exits(5);
    assert_eq!(
        call.document(),
        json!({"source":"-","commits":3,"versions":3,"already":0,"left_out":5})
    );
    let places: Vec<String> = call
        .errors()
        .iter()
        .map(|error| {
            error["message"]
                .as_str()
                .unwrap()
                .split(':')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(places, ["line 2", "line 4", "line 5", "line 6", "line 9"]);
    let again = place
        .run_input(&["import", "jsonl", "-", "--json"], lines)
        .exits(5);
    assert_eq!(
        (&again.document()["versions"], &again.document()["already"]),
        (&json!(0), &json!(3))
    );
    let log = place.run(&["log", "sensors/a", "--json"]).ok().lines();
    assert_eq!(
        (log.len(), &log[2]["author"], &log[1]["op"]),
        (3, &json!("qa"), &json!("delete"))
    );
}

#[test]
fn archives_of_many_jobs_become_one() {
    let place = Place::with_archive();
    for job in 0..5 {
        let folder = format!("jobs/{job}");
        fs::create_dir_all(place.path(&folder)).unwrap();
        place.run(&["init", &folder]).ok();
        for version in 0..=job {
            place.write(
                &format!("{folder}/metrics.json"),
                &format!("{{\"job\": {job}, \"v\": {version}}}"),
            );
            place
                .run_in(&folder, &["save", "metrics.json", "-m", "done"])
                .ok();
        }
    }
    for round in 0..2 {
        for job in 0..5 {
            let (source, under) = (format!("jobs/{job}"), format!("all/{job}"));
            let call = place
                .run(&["import", "archive", &source, "--under", &under, "--json"])
                .ok();
            let expected = if round == 0 { job + 1 } else { 0 };
            assert_eq!(call.document()["versions"], expected);
        }
    }
    let log = place
        .run(&["log", "all/4/metrics.json", "--json"])
        .ok()
        .lines();
    let own = place.run_in("jobs/4", &["log", "--json"]).ok().lines();
    assert_eq!((log.len(), own.len()), (5, 5));
    for (copy, own) in log.iter().zip(&own) {
        assert_eq!(copy["origin"]["commit"], own["commit"]);
        assert_eq!(copy["origin"]["recorded"], own["recorded"]);
        for member in ["id", "source", "version", "time", "message", "author"] {
            assert_eq!(copy[member], own[member]);
        }
    }
    // A named index is that of the one archive.
    let index = place.path("other.sqlite");
    let with_index = |call: &[&str]| {
        let index = index.to_str().unwrap();
        place.run_with("BACKSTORY_INDEX", index, call).ok()
    };
    with_index(&["log"]);
    let import = with_index(&["import", "archive", "jobs/1", "--under", "more"]);
    let log = with_index(&["log", "more/metrics.json", "--json"]);
    assert_eq!((import.err.as_str(), log.err.as_str()), ("", ""));
    assert_eq!(log.lines().len(), 2);
    place
        .run(&["import", "archive", ".", "--under", "self"])
        .ok();
    place.run(&["verify"]).ok();
}

#[test]
fn a_folder_comes_with_the_times_of_its_files() {
    let place = Place::with_archive();
    for (name, text, seconds) in [
        ("in/runs/1/metrics.json", "{\"loss\": 0.5}", 1_600_000_000),
        ("in/runs/2/metrics.json", "{\"loss\": 0.25}", 1_500_000_000),
        ("in/runs/2/broken.json", "{", 1_500_000_000),
        ("in/.git/x.json", "1", 0),
        ("in/notes.txt", "1", 0),
    ] {
        place.write(name, text);
        let file = fs::File::options()
            .write(true)
            .open(place.path(name))
            .unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
    }
    let import = |code| {
        place
            .run(&["import", "dir", "in", "--json"])
            .exits(code)
            .document()
    };
    let first = import(5);
    assert_eq!(
        (&first["versions"], &first["left_out"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(import(5)["versions"], 0);
    let log = place.run(&["log", "--json"]).ok().lines();
    assert_eq!(log[0]["rev"], "runs/1/metrics.json@1");
    assert_eq!(log[0]["time"], "2020-09-13T12:26:40Z");
    assert_eq!(log[1]["time"], "2017-07-14T02:40:00Z");
    fs::remove_file(place.path("in/runs/2/broken.json")).unwrap();
    place.write("in/runs/1/metrics.json", "{\"loss\": 0.125}");
    assert_eq!(import(0)["versions"], 1);
    let some = [
        "import",
        "dir",
        "in",
        "--path",
        "runs/*/metrics.json",
        "--under",
        "x",
        "--json",
    ];
    assert_eq!(place.run(&some).ok().document()["versions"], 2);
}

#[test]
fn runs_of_mlflow_become_documents() {
    let place = Place::with_archive();
    let run = "mlruns/7/0123456789abcdef";
    place.write(
        "mlruns/7/meta.yaml",
        "artifact_location: file:///x\nexperiment_id: '7'\nname: \"night: runs\"\n",
    );
    place.write("mlruns/.trash/keep", "");
    place.write(&format!("{run}/meta.yaml"), "run_id: 0123456789abcdef\nrun_name: calm-sea\nstatus: 3\nstart_time: 1700000000000\nend_time: 1700000100000\nuser_id: ops\n");
    place.write(&format!("{run}/params/lr"), "0.01");
    place.write(&format!("{run}/params/model/depth"), "3");
    place.write(&format!("{run}/tags/mlflow.runName"), "calm-sea");
    place.write(
        &format!("{run}/metrics/loss"),
        "1700000000000 0.5 0\n1700000050000 nan 1\n1700000100000 0.1 2\n",
    );
    place.write("mlruns/7/fedcba/meta.yaml", "status: 1\n");
    place.write("mlruns/7/fedcba/metrics/loss", "nonsense\n");
    let import = || {
        place
            .run(&["import", "dir", "mlruns", "--under", "ml", "--json"])
            .exits(5)
    };
    let call = import();
    assert_eq!(
        (&call.document()["versions"], call.errors().len()),
        (&json!(1), 1)
    );
    assert_eq!(import().document()["versions"], 0);
    place
        .run(&["import", "dir", "mlruns", "-m", "mine"])
        .exits(2)
        .says_what_to_try();
    let line = place.run(&["log", "--json"]).ok().document();
    assert_eq!(line["path"], "ml/7/0123456789abcdef.json");
    assert_eq!(
        (&line["time"], &line["author"]),
        (&json!("2023-11-14T22:15:00Z"), &json!("ops"))
    );
    let text = place
        .run(&["load", "ml/7/0123456789abcdef.json", "--compact"])
        .ok();
    assert_eq!(
        text.text(),
        "{\"end_time\":1700000100000,\"experiment\":\"night: runs\",\"experiment_id\":\"7\",\"history\":{\"loss\":[[0,0.5,1700000000000],[1,NaN,1700000050000],[2,0.1,1700000100000]]},\"metrics\":{\"loss\":0.1},\"name\":\"calm-sea\",\"params\":{\"lr\":\"0.01\",\"model/depth\":\"3\"},\"run_id\":\"0123456789abcdef\",\"start_time\":1700000000000,\"status\":\"FINISHED\",\"tags\":{\"mlflow.runName\":\"calm-sea\"}}"
    );
}
