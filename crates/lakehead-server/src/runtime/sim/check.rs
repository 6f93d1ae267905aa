//! What must be true of a disk, read with nothing of the product but its readers of formats.

use std::collections::BTreeMap;
use std::path::Path;

use lakehead_disk::sim::SimDisk;
use lakehead_meta::{FlowKey, FlowRecord, FlowState, Store};
use lakehead_model::Position;
use serde_json::Value;

use super::machine::{DATA_DIR, Machine, World};
use super::records::{
    BUCKET, Fate, PIPELINE, READS, SINKS, fate, has_statement, partition, record, stream_id,
};

/// What a reader of the bucket and of the dead letters finds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Image {
    /// By path.
    files: BTreeMap<String, Vec<u8>>,
}

fn files_in(disk: &SimDisk, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let root = format!("{DATA_DIR}/{folder}");
    let paths = disk.paths().into_iter().filter(|path| path.starts_with(&root));
    paths.map(|path| (path.display().to_string(), disk.content(&path))).collect()
}

fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

impl Image {
    /// What is visible: names that no reader's glob matches are not.
    pub(super) fn of(disk: &SimDisk) -> Image {
        let mut files = files_in(disk, "buckets");
        files.extend(files_in(disk, "dead_letters"));
        files.retain(|path, _| !file_name(path).starts_with('.') && !path.ends_with(".staging"));
        Image { files }
    }

    pub(super) fn paths(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }

    /// The ids of a statement's rows.
    pub(super) fn ids(&self, statement: usize) -> Vec<u64> {
        self.rows()[statement].iter().filter_map(|(row, _)| row["id"].as_u64()).collect()
    }

    /// Rows by statement, each with the file it is in. Every file must be whole.
    fn rows(&self) -> [Vec<(Value, &str)>; 3] {
        let mut rows: [Vec<_>; 3] = Default::default();
        for (path, content) in &self.files {
            let Some(key) = path.strip_prefix(&format!("{DATA_DIR}/buckets/{BUCKET}/")) else { continue };
            let statement = SINKS.iter().position(|sink| key.starts_with(&format!("{sink}/")));
            let statement = statement.unwrap_or_else(|| panic!("{key} belongs to no sink"));
            let text = lakehead_sink::read_back::lines(key, content)
                .unwrap_or_else(|e| panic!("a file is visible and not whole: {e}"));
            for line in text.lines() {
                let row: Value = serde_json::from_str(line)
                    .unwrap_or_else(|e| panic!("a file is visible and not whole: {key}: {e}: {line}"));
                rows[statement].push((row, path.as_str()));
            }
        }
        rows
    }

    /// Dead letters by statement: position, stage, and the record as it came.
    fn letters(&self) -> [Vec<(u64, String, String)>; 3] {
        let mut letters: [Vec<_>; 3] = Default::default();
        let root = format!("{DATA_DIR}/dead_letters/{PIPELINE}/");
        for (path, content) in &self.files {
            let Some(key) = path.strip_prefix(&root) else { continue };
            let statement: usize = key.split('/').next().unwrap().parse().unwrap();
            let text = std::str::from_utf8(content).unwrap();
            assert!(text.ends_with('\n'), "{key} is visible and not whole: {} bytes", text.len());
            let (first, rest) = file_name(path).split_once('-').unwrap();
            let range = first.parse::<u64>().unwrap()..rest[..20].parse::<u64>().unwrap();
            for line in text.lines() {
                let line: Value = serde_json::from_str(line)
                    .unwrap_or_else(|e| panic!("{key} is visible and not whole: {e}"));
                let position = line["position"].as_u64().unwrap();
                assert!(range.contains(&position), "{key} holds position {position}");
                let text = |field: &str| line[field].as_str().unwrap().to_owned();
                letters[statement].push((position, text("stage"), text("record")));
            }
        }
        letters
    }

    /// At any moment: what is visible is whole, and no record is there twice.
    pub(super) fn check_whole(&self) {
        check_once(&self.rows());
        self.letters();
    }
}

fn check_once(rows: &[Vec<(Value, &str)>; 3]) {
    for (statement, rows) in rows.iter().enumerate() {
        let mut seen = BTreeMap::new();
        for (row, path) in rows {
            if let Some(first) = seen.insert(row["id"].as_u64(), path) {
                panic!("statement {statement}: record {} is in {first} and in {path}", row["id"]);
            }
        }
    }
}

/// The version that handled each position of a stream.
fn versions(store: &Store, stream: usize, tail: u64) -> Vec<u64> {
    let mut spans = Vec::new();
    for past in store.past_versions(PIPELINE).unwrap() {
        let of_stream = past.spans.iter().filter(|span| span.stream == stream_id(stream));
        spans.extend(of_stream.map(|span| (span.from.0, span.until.0, past.version)));
    }
    let flows = store.flows(PIPELINE).unwrap();
    let current = flows.iter().find(|(key, _)| READS[key.statement as usize] == stream);
    let state = current.expect("every version reads every stream").1.state;
    spans.push((state.start.0, state.committed.0, state.version));
    spans.sort_unstable();
    let mut versions = Vec::new();
    for (from, until, version) in spans {
        assert_eq!(from, versions.len() as u64, "stream {stream}: spans of versions leave a gap or overlap");
        versions.resize(until as usize, version);
    }
    assert_eq!(versions.len() as u64, tail, "stream {stream}: not all of it is handled");
    versions
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    delivered: u64,
    filtered: u64,
    dead_lettered: u64,
}

impl Counts {
    fn add(&mut self, fate: &Fate) {
        match fate {
            Fate::Row(_) => self.delivered += 1,
            Fate::Filtered => self.filtered += 1,
            Fate::Letter(_) => self.dead_lettered += 1,
        }
    }
}

/// Everything rests: each stored record has exactly its fate, in the files, in the dead letters and in the ledger.
pub(super) fn check_at_rest(world: &World, machine: &Machine) -> Image {
    let store = &machine.shared.store;
    let image = Image::of(&world.disk);
    let (mut rows, letters) = (image.rows(), image.letters());
    check_once(&rows);
    let flows = store.flows(PIPELINE).unwrap();
    let mut all = Counts::default();
    for statement in 0..SINKS.len() {
        let stream = READS[statement];
        let ids = world.ledger.ids(stream);
        let versions = versions(store, stream, ids.len() as u64);
        let state: Option<FlowState> =
            flows.iter().find(|(key, _)| key.statement as usize == statement).map(|(_, r)| r.state);
        let mut current = Counts::default();
        let (mut expected, mut expected_letters) = (BTreeMap::new(), Vec::new());
        for (position, id) in ids.iter().enumerate() {
            if !has_statement(versions[position], statement) {
                continue;
            }
            let fate = fate(statement, versions[position], *id);
            all.add(&fate);
            if state.is_some_and(|state| state.start.0 <= position as u64) {
                current.add(&fate);
            }
            match fate {
                Fate::Row(row) => _ = expected.insert(*id, row),
                Fate::Filtered => {}
                Fate::Letter(stage) => {
                    expected_letters.push((position as u64, stage.to_owned(), record(stream, *id)));
                }
            }
        }
        for (row, path) in std::mem::take(&mut rows[statement]) {
            let id = row["id"].as_u64().unwrap();
            let wanted = expected.remove(&id);
            assert_eq!(
                wanted.as_ref(),
                Some(&row),
                "statement {statement}: {path} holds a row of record {id}"
            );
        }
        assert!(expected.is_empty(), "statement {statement}: rows are missing: {:?}", expected.keys());
        let mut found = letters[statement].clone();
        found.sort_unstable();
        assert_eq!(found, expected_letters, "statement {statement}: dead letters");
        if let Some(state) = state {
            check_state(statement, &state, current, ids.len() as u64);
        }
    }
    check_totals(store, &image, all);
    check_leftovers(&world.disk, &flows);
    check_log(world, machine);
    image
}

fn check_state(statement: usize, state: &FlowState, counts: Counts, tail: u64) {
    let of_state =
        Counts { delivered: state.delivered, filtered: state.filtered, dead_lettered: state.dead_lettered };
    assert_eq!(of_state, counts, "statement {statement}: its ledger");
    assert_eq!((state.committed.0, state.lost), (tail, 0), "statement {statement}");
    let sum = state.delivered + state.filtered + state.dead_lettered + state.lost;
    assert_eq!(state.committed.since(state.start), sum, "statement {statement}: its ledger balances");
}

/// The sums over all versions.
fn check_totals(store: &Store, image: &Image, counts: Counts) {
    let past = store.retired(PIPELINE).unwrap().totals;
    let flows = store.flows(PIPELINE).unwrap();
    let sum = |of: fn(&FlowState) -> u64| flows.iter().map(|(_, record)| of(&record.state)).sum::<u64>();
    let summed = Counts {
        delivered: past.delivered + sum(|s| s.delivered),
        filtered: past.filtered + sum(|s| s.filtered),
        dead_lettered: past.dead_lettered + sum(|s| s.dead_lettered),
    };
    assert_eq!(summed, counts, "the ledger of all versions");
    assert_eq!(past.lost, 0);
    let visible = image.files.iter().filter(|(path, _)| path.contains("/buckets/"));
    let (files, bytes) = visible.fold((0, 0), |(n, bytes), (_, file)| (n + 1, bytes + file.len() as u64));
    assert_eq!(past.files + sum(|s| s.files), files, "files in the ledger");
    assert_eq!(past.file_bytes + sum(|s| s.file_bytes), bytes, "bytes in the ledger");
    assert_eq!(past.rows + sum(|s| s.rows), counts.delivered, "rows in the ledger");
}

/// At rest nothing is staged by the flows there are, and nothing is hidden in the bucket. What flows of past versions staged may
/// come back with a power cut, and stays.
fn check_leftovers(disk: &SimDisk, flows: &[(FlowKey, FlowRecord)]) {
    let hidden = |path: &String| file_name(path).starts_with('.') || path.ends_with(".staging");
    let mut left: Vec<_> = files_in(disk, "buckets").into_keys().filter(hidden).collect();
    for (key, _) in flows {
        left.extend(files_in(disk, &format!("staging/{key}")).into_keys());
        left.extend(files_in(disk, &format!("dead_letters/{key}")).into_keys().filter(hidden));
    }
    assert_eq!(left, Vec::<String>::new(), "staged files are left");
}

/// The log serves what it still has byte for byte, without gaps.
fn check_log(world: &World, machine: &Machine) {
    for stream in 0..2 {
        let ids = world.ledger.ids(stream);
        let (oldest, tail) = (machine.log.oldest(partition(stream)), machine.log.tail(partition(stream)));
        assert_eq!(tail.0, ids.len() as u64, "stream {stream}: the tail");
        let mut reader = machine.log.reader(partition(stream), oldest);
        let mut next = oldest;
        loop {
            let read = reader.read(64 << 10).unwrap();
            assert_eq!(read.lost, vec![], "stream {stream}: records cannot be read");
            if read.frames.is_empty() {
                break;
            }
            for frame in read.frames {
                for (i, (start, end)) in frame.records.iter().enumerate() {
                    let position = frame.first.plus(i as u64);
                    // A reader that begins inside a frame gets the whole frame.
                    if position < next {
                        continue;
                    }
                    assert_eq!(position, next, "stream {stream}: positions are dense");
                    let text = &frame.body[start as usize..end as usize];
                    assert_eq!(text, record(stream, ids[position.0 as usize]).as_bytes());
                    next = Position(position.0 + 1);
                }
            }
        }
        assert_eq!(next, tail, "stream {stream}: the log ends early");
    }
}
