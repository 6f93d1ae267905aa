use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lakehead_log::{Append, Seams, Settings};
use lakehead_model::resource::{BatchHints, JsonCompression};
use lakehead_model::{LegacyPipeline, PipelineId, Timestamp};

use super::*;

const RECORDS: u64 = 9;

/// A log whose stream fills several segments, none of which is kept any longer than pipelines need it.
fn filled(dir: &std::path::Path, partition: Partition) -> LocalLog {
    let settings = Settings {
        segment_bytes: 64 << 10,
        quota_bytes: 64 * (64 << 10),
        retention: Duration::ZERO,
        ..Settings::new(dir.join("log"))
    };
    let (log, _) = LocalLog::open(settings, Seams::system(|fatal| panic!("{fatal:?}"))).expect("a log");
    for _ in 0..RECORDS {
        let body = Bytes::from(vec![b'x'; 20_000]);
        let append = Append { partition, records: vec![(0, 20_000)].into(), body, key: None };
        log.submit(append).expect("room").blocking_recv().expect("an answer").expect("stored");
    }
    log
}

fn pipeline(id: u128, of: &LegacyPipeline) -> Pipeline {
    Pipeline { id: PipelineId(id), ..of.pipeline() }
}

#[test]
fn a_pipeline_that_could_not_start_keeps_what_it_has_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let parts = LegacyPipeline {
        id: PipelineId(1),
        name: "p".to_owned(),
        version: 1,
        http: None,
        binding: true,
        bucket: "lake".to_owned(),
        prefix: String::new(),
        compression: JsonCompression::Gzip,
        batch: BatchHints { bytes_max: 1_000, age_milliseconds_max: 1_000, rows_max: 100 },
        shards: None,
        created_at: Timestamp(0),
        modified_at: Timestamp(0),
    };
    let partition = Partition::first(parts.stream_id());
    let log = filled(dir.path(), partition);
    let mut catalog = Catalog::default();
    catalog.streams.insert(parts.stream_id(), Arc::new(parts.stream()));
    for id in [1, 2] {
        catalog.pipelines.insert(PipelineId(id), Arc::new(pipeline(id, &parts)));
    }
    let progress = Progress::new(log.clone());
    let key = |id| FlowKey { pipeline: PipelineId(id), statement: 0 };
    let through = FlowState { committed: Position(RECORDS), ..FlowState::default() };

    // One of the two has read everything, the other never began.
    progress.enter(key(1), partition, through);
    progress.settle(&catalog, |p| p.id == PipelineId(1));
    log.tidy();
    assert_eq!(log.oldest(partition), Position(0));

    // It begins at last, and keeps what it still has to read.
    progress.enter(key(2), partition, FlowState { committed: Position(2), ..FlowState::default() });
    progress.settle(&catalog, |_| true);
    log.tidy();
    assert_eq!(log.oldest(partition), Position(2));

    progress.committed(key(2), through);
    progress.settle(&catalog, |_| true);
    log.tidy();
    // Two appends fit a segment; the newest segment never goes.
    assert_eq!(log.oldest(partition), Position(8));
}
