//! Real events: web server requests, GitHub events, tweets. Counts and sums were taken from the files by another program.

use lakehead_decode::{Decoder, frame_array, frame_lines};
use lakehead_model::Schema;
use serde_json::json;

use crate::coercion::schema;
use crate::reference::{self, Cell};

const WEB_REQUESTS: &[u8] = include_bytes!("../../testdata/web_requests.ndjson");
const GITHUB_EVENTS: &[u8] = include_bytes!("../../testdata/github_events.json");
const TWEETS: &[u8] = include_bytes!("../../testdata/tweets.json");

type Bounds = Vec<(u32, u32)>;

/// Decodes a body, compares it with the reference and returns the rows.
fn decode(schema: Option<&Schema>, body: &[u8], bounds: &Bounds) -> Vec<Vec<Cell>> {
    let all: Vec<_> = (0..schema.map_or(1, |s| s.fields.len())).collect();
    let mut decoder = Decoder::new(schema, &all);
    decoder.push_body(body, bounds, |index, reject| panic!("record {index}: {reject}"));
    let batch = decoder.finish();
    batch.columns().iter().for_each(|c| c.to_data().validate_full().unwrap());
    let rows = reference::rows(&batch);
    let records = bounds.iter().map(|(a, b)| std::str::from_utf8(&body[*a as usize..*b as usize]).unwrap());
    let wanted: Vec<_> = records.map(|r| reference::decode(schema, r).unwrap()).collect();
    assert_eq!(rows, wanted);
    rows
}

fn sum(rows: &[Vec<Cell>], column: usize) -> i128 {
    rows.iter().map(|row| if let Cell::Int(n) = &row[column] { *n } else { 0 }).sum()
}

fn text_bytes(cell: &Cell) -> usize {
    if let Cell::Text(text) = cell { text.len() } else { 0 }
}

/// The column as JSON values.
fn parsed(rows: &[Vec<Cell>], column: usize) -> Vec<serde_json::Value> {
    let texts =
        rows.iter().map(|row| if let Cell::Text(text) = &row[column] { text } else { panic!("no text") });
    texts.map(|text| serde_json::from_str(text).unwrap()).collect()
}

#[test]
fn web_requests_come_out_as_they_went_in() {
    let mut bounds = Bounds::new();
    frame_lines(WEB_REQUESTS, &mut bounds).unwrap();
    let schema = schema(json!([
        {"name": "request_id", "type": "string", "required": true},
        {"name": "ts", "type": "timestamp", "unit": "second", "required": true},
        {"name": "client_ip", "type": "string"}, {"name": "method", "type": "string"}, {"name": "path", "type": "string"},
        {"name": "status", "type": "int32", "required": true}, {"name": "bytes", "type": "int64"},
        {"name": "referer", "type": "string"}, {"name": "user_agent", "type": "string"},
    ]));
    let rows = decode(Some(&schema), WEB_REQUESTS, &bounds);
    assert_eq!(rows.len(), 60);
    assert_eq!((sum(&rows, 1), sum(&rows, 5), sum(&rows, 6)), (85_911_427_810, 12_000, 4_962_769));
    assert_eq!(rows.iter().filter(|row| row[7] == Cell::Null).count(), 17);
    let rows = decode(None, WEB_REQUESTS, &bounds);
    let lines: Vec<_> =
        std::str::from_utf8(WEB_REQUESTS).unwrap().lines().map(|l| Cell::Text(l.to_owned())).collect();
    assert_eq!(rows.concat(), lines, "compact already");
}

#[test]
fn github_events_come_out_as_they_went_in() {
    let mut bounds = Bounds::new();
    frame_array(GITHUB_EVENTS, &mut bounds).unwrap();
    let schema = schema(json!([
        {"name": "id", "type": "int64", "required": true},
        {"name": "type", "type": "string", "required": true},
        {"name": "created_at", "type": "timestamp", "unit": "millisecond", "required": true},
        {"name": "public", "type": "bool", "required": true},
        {"name": "actor", "type": "struct", "required": true, "fields": [
            {"name": "id", "type": "uint32", "required": true}, {"name": "login", "type": "string"}]},
        {"name": "payload", "type": "struct", "fields": [
            {"name": "commits", "type": "list", "items": {"type": "struct", "fields": [
                {"name": "message", "type": "string"}, {"name": "distinct", "type": "bool"},
                {"name": "author", "type": "json"}]}}]},
        {"name": "repo", "type": "json"},
    ]));
    let rows = decode(Some(&schema), GITHUB_EVENTS, &bounds);
    assert_eq!((rows.len(), sum(&rows, 0)), (12, 19_834_292_494));
    let mut actors = 0;
    let (mut commits, mut message_bytes) = (0, 0);
    for row in &rows {
        if let Cell::Struct(actor) = &row[4] {
            actors += sum(std::slice::from_ref(actor), 0);
        }
        let Cell::Struct(payload) = &row[5] else { continue };
        let Cell::List(list) = &payload[0] else { continue };
        commits += list.len();
        for commit in list {
            let Cell::Struct(commit) = commit else { panic!("a commit is an object") };
            message_bytes += text_bytes(&commit[0]);
        }
    }
    assert_eq!((actors, commits, message_bytes), (7_500_294, 5, 291));
    let values = parsed(&decode(None, GITHUB_EVENTS, &bounds), 0);
    assert_eq!(
        serde_json::Value::Array(values),
        serde_json::from_slice::<serde_json::Value>(GITHUB_EVENTS).unwrap()
    );
}

#[test]
fn tweets_come_out_as_they_went_in() {
    let mut bounds = Bounds::new();
    frame_array(TWEETS, &mut bounds).unwrap();
    let schema = schema(json!([
        {"name": "id", "type": "int64", "required": true},
        {"name": "id_str", "type": "uint64", "required": true},
        {"name": "text", "type": "string", "required": true},
        {"name": "user", "type": "struct", "required": true, "fields": [{"name": "followers_count", "type": "int32"}]},
        {"name": "in_reply_to_status_id", "type": "int64"},
        {"name": "retweet_count", "type": "uint32"},
        {"name": "entities", "type": "struct", "fields": [
            {"name": "user_mentions", "type": "list", "items": {"type": "struct", "fields": [
                {"name": "screen_name", "type": "string"},
                {"name": "indices", "type": "list", "items": {"type": "int32", "required": true}}]}}]},
        {"name": "retweeted_status", "type": "json"},
    ]));
    let rows = decode(Some(&schema), TWEETS, &bounds);
    assert_eq!((rows.len(), sum(&rows, 0), sum(&rows, 5)), (5, 2_529_374_603_479_568_385, 3431));
    assert_eq!(sum(&rows, 0), sum(&rows, 1), "the id as a number and as a string");
    assert_eq!(rows.iter().map(|row| text_bytes(&row[2])).sum::<usize>(), 1003);
    assert_eq!(rows.iter().filter(|row| row[7] != Cell::Null).count(), 3);
    let values = parsed(&decode(None, TWEETS, &bounds), 0);
    assert_eq!(
        serde_json::Value::Array(values),
        serde_json::from_slice::<serde_json::Value>(TWEETS).unwrap()
    );
}
