//! Values over versions and questions in SQL, from the library.

use std::ops::ControlFlow;

use backstory::pointer::Pointer;
use backstory::series::{Places, SeriesQuery, near, scalars};
use backstory::sql::{Query, Value};
use backstory::{Archive, Document, ErrorKind, Note};

fn archive(versions: u64) -> Archive {
    let archive = Archive::in_memory().unwrap();
    let mut batch = archive.batch();
    for n in 0..versions {
        let document = format!("{{\"n\":{n},\"list\":[{{\"x\":{n}}},{{\"y\":-1.50}}]}}");
        let note = Note {
            author: Some("ops".to_owned()),
            time: Some(i64::try_from(n).unwrap() * 1_000_000),
            ..Note::default()
        };
        let mut save = archive.save();
        save.note(note);
        save.add("a.json", Document::source(document)).unwrap();
        save.add(
            &format!("other/{}.json", n % 5),
            Document::value(n.to_string()),
        )
        .unwrap();
        batch.push(save);
    }
    batch.commit().unwrap();
    archive
}

fn places(texts: &[&str]) -> Vec<Places> {
    texts.iter().map(|t| Places::parse(t).unwrap()).collect()
}

#[test]
fn points_come_oldest_first_and_are_exact() {
    let archive = archive(700);
    let query = SeriesQuery::new("a.json", places(&["/n", "/list/*/y", "/none"]));
    let points = archive.series(query).unwrap();
    assert_eq!(points.len(), 700);
    assert_eq!(points.newest_document().unwrap().version, 700);
    for (n, point) in (0..).zip(points) {
        let point = point.unwrap();
        assert_eq!(point.version.version, n + 1);
        assert_eq!(point.value("/n"), Some(n.to_string().as_str()));
        assert_eq!(point.value("/list/1/y"), Some("-1.5"));
        assert_eq!(point.values.len(), 2);
        assert_eq!(point.values[0].number(), Some(n as f64));
        assert_eq!(
            point.values[1].pointer,
            Pointer::parse("/list/1/y").unwrap()
        );
    }
}

#[test]
fn a_series_can_be_narrowed() {
    let archive = archive(20);
    let numbers = |last: Option<usize>, since: Option<i64>, until: Option<i64>| -> Vec<u64> {
        let mut query = SeriesQuery::new("a.json", places(&["/n"]));
        (query.last, query.since, query.until) = (last, since, until);
        let points = archive.series(query).unwrap();
        points.map(|point| point.unwrap().version.version).collect()
    };
    assert_eq!(numbers(Some(2), None, None), [19, 20]);
    assert_eq!(numbers(None, Some(18_000_000), None), [19, 20]);
    assert_eq!(numbers(Some(1), None, Some(4_000_000)), [5]);
    let none = archive.series(SeriesQuery::new("none", places(&["/n"])));
    assert_eq!(none.err().unwrap().kind(), ErrorKind::NotFound);
}

#[test]
fn what_is_near_a_place() {
    let document = br#"{"list":[{"x":1},{"y":2}],"n":3}"#;
    let names = |found: Vec<Pointer>| found.iter().map(Pointer::to_string).collect::<Vec<_>>();
    let at = Places::parse("/list/*/z").unwrap();
    assert_eq!(names(near(document, &at, 3)), ["/list/0/x"]);
    assert_eq!(
        names(scalars(document, 9)),
        ["/n", "/list/0/x", "/list/1/y"]
    );
}

#[test]
fn commits_are_walked_over_pages() {
    let archive = archive(700);
    archive.tag_archive("end", 700).commit().unwrap();
    let commits: Vec<_> = archive.commits().unwrap().map(Result::unwrap).collect();
    assert_eq!(commits.len(), 701);
    assert!(commits.iter().rev().map(|c| c.seq).eq(1..=701));
    assert_eq!(commits[0].tags, ["end"]);
    assert_eq!(commits[1].changes.len(), 2);
    assert_eq!(commits[1].author.as_deref(), Some("ops"));
    assert!(archive.take_notices().is_empty());
    assert_eq!(Archive::in_memory().unwrap().commits().unwrap().count(), 0);
}

#[test]
fn an_object_has_a_version() {
    let archive = archive(20);
    let newest = archive.newest("other/3.json").unwrap().unwrap();
    let found = archive.find_object(&newest.id.unwrap()).unwrap();
    assert_eq!(found, newest);
    let none = archive.find_object(&backstory::ObjectId::of(b"none"));
    assert_eq!(none.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_answer_can_be_broken_off_and_asked_again() {
    let archive = archive(50);
    let query = Query::new(
        &archive,
        "SELECT version, doc(id)->>'$.n', NULL FROM versions WHERE path = 'a.json'",
    )
    .unwrap();
    assert_eq!(query.columns().len(), 3);
    let mut seen = 0;
    let broken = query.for_each(|_| {
        seen += 1;
        match seen {
            7 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    broken.unwrap();
    assert_eq!(seen, 7);
    let rows = query.rows().unwrap();
    assert_eq!(rows.len(), 50);
    for (n, row) in (0..).zip(rows) {
        assert_eq!(row, [Value::Integer(n + 1), Value::Integer(n), Value::Null]);
    }
}

#[test]
fn a_query_sees_the_archive_as_it_was_when_it_was_made() {
    let archive = archive(3);
    let query = Query::new(&archive, "SELECT count(*) FROM versions").unwrap();
    let mut save = archive.save();
    save.add("late", Document::value("1")).unwrap();
    save.commit().unwrap();
    assert_eq!(query.rows().unwrap(), [[Value::Integer(6)]]);
    let query = Query::new(&archive, "SELECT count(*) FROM versions").unwrap();
    assert_eq!(query.rows().unwrap(), [[Value::Integer(7)]]);
    let empty = Archive::in_memory().unwrap();
    for view in ["paths", "versions", "commits", "tags"] {
        let query = Query::new(&empty, &format!("SELECT * FROM {view}")).unwrap();
        assert!(query.rows().unwrap().is_empty() && query.columns().len() > 3);
    }
}

#[test]
fn the_views_are_those_that_are_documented() {
    let archive = archive(1);
    for line in backstory::sql::VIEWS.lines() {
        let (name, rest) = line.split_once('(').unwrap();
        if name == "doc" {
            continue;
        }
        let query = Query::new(&archive, &format!("SELECT * FROM {name}")).unwrap();
        assert_eq!(query.columns().join(", "), rest.trim_end_matches(')'));
    }
}
