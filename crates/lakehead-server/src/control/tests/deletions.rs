//! What goes with what.

use lakehead_model::resource::{Http, Table};

use super::world;
use crate::control::{Error, Filter, Kind, StreamPatch};

#[test]
fn deleting_a_stream_deletes_and_reports_the_pipelines_that_read_it() {
    let world = world();
    let (events, other) = (world.stream("events"), world.stream("other"));
    world.sink("files");
    for (name, stream) in [("first", "events"), ("second", "events"), ("kept", "other")] {
        world.pipeline(name, stream, "files");
    }
    let deleted = world.control.delete_stream(&events.id.to_string()).unwrap();
    assert_eq!(deleted.pipelines, ["first", "second"]);
    let catalog = world.control.catalog();
    assert_eq!(catalog.pipelines.len(), 1);
    assert_eq!(catalog.pipelines_using(Table::Stream(other.id)).len(), 1);
    assert!(matches!(world.control.stream(&events.id.to_string()), Err(Error::Missing(Kind::Stream))));
}

#[test]
fn deleting_a_sink_deletes_the_pipelines_that_write_to_it_and_leaves_its_files() {
    let world = world();
    world.stream("events");
    let sink = world.sink("files");
    world.pipeline("p", "events", "files");
    let file = world.dir.path().join("buckets/lake/a.parquet");
    std::fs::write(&file, "rows").unwrap();
    let deleted = world.control.delete_sink(&sink.id.to_string()).unwrap();
    assert_eq!(deleted.pipelines, ["p"]);
    assert!(world.control.catalog().pipelines.is_empty());
    assert!(file.exists());
}

#[test]
fn a_bucket_goes_only_when_no_sink_uses_it_and_no_object_is_in_it() {
    let world = world();
    let sink = world.sink("files");
    assert!(matches!(world.control.delete_bucket("lake"), Err(Error::InUse(text)) if text.contains("files")));
    world.control.delete_sink(&sink.id.to_string()).unwrap();
    let folder = world.dir.path().join("buckets/lake/year=2026");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.json"), "{}").unwrap();
    assert!(matches!(world.control.delete_bucket("lake"), Err(Error::NotEmpty(_))));
    assert!(folder.join("a.json").exists());
    std::fs::remove_file(folder.join("a.json")).unwrap();
    world.control.delete_bucket("lake").unwrap();
    assert!(!world.dir.path().join("buckets/lake").exists());
    assert!(matches!(world.control.bucket("lake"), Err(Error::Missing(Kind::Bucket))));
}

#[test]
fn tables_show_the_version_the_sql_saw_and_the_latest_one() {
    let world = world();
    let stream = world.stream("events");
    world.sink("files");
    let pipeline = world.pipeline("p", "events", "files").pipeline.id.to_string();
    let http = Some(Http { enabled: false, authentication: true, cors: None });
    let patch = StreamPatch { http, ..StreamPatch::default() };
    let changed = world.control.patch_stream(&stream.id.to_string(), patch.clone()).unwrap();
    assert_eq!(changed.version, 2);
    let again = world.control.patch_stream(&stream.id.to_string(), patch).unwrap();
    assert_eq!(again.version, 2, "a patch that changes nothing leaves the version");
    let view = world.control.pipeline(&pipeline).unwrap();
    let versions: Vec<_> = view.tables.iter().map(|t| (t.table.version, t.latest)).collect();
    assert_eq!(versions, [(1, 2), (1, 1)]);
}

#[test]
fn a_pipeline_over_several_inserts_lists_each_table_once() {
    let world = world();
    world.stream("events");
    world.sink("a");
    world.sink("b");
    let sql = "INSERT INTO a SELECT * FROM events; INSERT INTO b SELECT * FROM events;";
    let view = world.control.create_pipeline("p", sql).unwrap();
    let names: Vec<_> = view.tables.iter().map(|t| t.table.name.as_str()).collect();
    assert_eq!(names, ["events", "a", "b"]);
    let of_p = Filter { pipeline_id: Some(view.pipeline.id.to_string()), name: None };
    assert_eq!(world.control.sinks(&of_p).len(), 2);
    let of_none = Filter { pipeline_id: Some("p".to_owned()), name: None };
    assert!(world.control.sinks(&of_none).is_empty());
}
