//! Framing and decoding of clickstream events, in GB of JSON a second of CPU time.
//!
//! `cargo bench -p lakehead-decode`. `LAKEHEAD_BENCH_EVENTS=file.ndjson` reads events instead of generating them (they
//! must fit the clickstream's schema), `LAKEHEAD_BENCH_BYTES` says how many bytes to generate. The first events are
//! compared with what a slow, independent decoder makes of them before anything is measured. An argument behind `--`
//! measures only the cases whose name contains it.

mod clickstream;
#[expect(clippy::unwrap_used, reason = "a part of the tests")]
#[path = "../tests/decode/reference.rs"]
mod reference;

use std::hint::black_box;

use lakehead_decode::{Bounds, Decoder, frame_array, frame_lines};
use lakehead_model::Schema;

const COMPARED: usize = 5_000;
const ROUNDS: usize = 15;
const BATCH_ROWS: usize = 8192;

/// CPU seconds of this thread.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with schedstat");
    let nanos: u64 = stat.split(' ').next().and_then(|n| n.parse().ok()).expect("nanoseconds on the CPU");
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    let nanos = nanos as f64;
    nanos / 1e9
}

/// The best of some rounds, printed.
fn measure(name: &str, bytes: usize, mut run: impl FnMut()) {
    if std::env::args().skip(1).any(|part| !part.starts_with('-') && !name.contains(&part)) {
        return;
    }
    run();
    let best = (0..ROUNDS).map(|_| {
        let start = cpu_seconds();
        run();
        cpu_seconds() - start
    });
    let best = best.fold(f64::INFINITY, f64::min);
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    let gigabytes = bytes as f64 / 1e9;
    println!("{name:<44} {:>6.2} GB/s  {:>6.3} CPU s/GB", gigabytes / best, best / gigabytes);
}

fn events() -> Vec<String> {
    if let Ok(path) = std::env::var("LAKEHEAD_BENCH_EVENTS") {
        let text =
            std::fs::read_to_string(&path).expect("LAKEHEAD_BENCH_EVENTS names a readable NDJSON file");
        return text.lines().map(str::to_owned).collect();
    }
    let bytes = std::env::var("LAKEHEAD_BENCH_BYTES").ok().and_then(|b| b.parse().ok()).unwrap_or(64_000_000);
    let mut left: usize = bytes;
    let events = clickstream::Clickstream::new(1);
    events.take_while(|e| left.checked_sub(e.len() + 1).map(|rest| left = rest).is_some()).collect()
}

/// Bodies of about `target` bytes.
fn bodies(events: &[String], target: usize, line: bool) -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let mut size = 0;
    for (i, event) in events.iter().enumerate() {
        open.push(event);
        size += event.len() + 1;
        if size >= target || i + 1 == events.len() {
            let body = if line { open.join("\n") } else { format!("[{}]", open.join(",")) };
            bodies.push(body.into_bytes());
            open.clear();
            size = 0;
        }
    }
    bodies
}

fn framed(bodies: &[Vec<u8>]) -> Vec<(&[u8], Vec<Bounds>)> {
    let framed = bodies.iter().map(|body| {
        let mut bounds = Vec::new();
        frame_array(body, &mut bounds).expect("generated bodies are well-formed");
        (body.as_slice(), bounds)
    });
    framed.collect()
}

fn decode(decoder: &mut Decoder, bodies: &[(&[u8], Vec<Bounds>)]) -> usize {
    let (mut rows, mut rejects) = (0, 0);
    for (body, bounds) in bodies {
        decoder.push_body(body, bounds, |_, _| rejects += 1);
        if decoder.rows() >= BATCH_ROWS {
            rows += black_box(decoder.finish()).num_rows();
        }
    }
    rows += black_box(decoder.finish()).num_rows();
    assert_eq!(rejects, 0, "the events fit the schema");
    rows
}

fn check(schema: &Schema, events: &[String], projection: &[usize]) {
    for schema in [Some(schema), None] {
        let projection = if schema.is_some() { projection } else { &[0] };
        let mut decoder = Decoder::new(schema, projection);
        for events in events[..events.len().min(COMPARED)].chunks(1000) {
            for event in events {
                decoder.push(event.as_bytes()).expect("the events fit the schema");
            }
            let rows = reference::rows(&decoder.finish());
            for (row, event) in rows.into_iter().zip(events) {
                let wanted = reference::decode(schema, event).expect("the events fit the schema");
                let wanted: Vec<_> = projection.iter().map(|i| wanted[*i].clone()).collect();
                assert_eq!(row, wanted, "{event}");
            }
        }
    }
}

fn main() {
    let schema = serde_json::from_str(clickstream::SCHEMA).expect("the schema is JSON");
    let schema = Schema::from_json(&schema).expect("the schema is valid");
    let all: Vec<usize> = (0..schema.fields.len()).collect();
    let three = [1, 3, 13];
    let events = events();
    check(&schema, &events, &all);
    check(&schema, &events, &three);

    let small = bodies(&events, 70_000, false);
    let large = bodies(&events, 1_000_000, false);
    let lines = bodies(&events, 1_000_000, true);
    let bytes: usize = large.iter().map(Vec::len).sum();
    println!("{} events, {bytes} bytes", events.len());
    let mut bounds = Vec::new();
    for (name, bodies) in [("frame_array, bodies of 70 kB", &small), ("frame_array, bodies of 1 MB", &large)]
    {
        measure(name, bytes, || {
            bodies.iter().for_each(|b| frame_array(black_box(b), &mut bounds).expect("well-formed"));
        });
    }
    measure("frame_lines, bodies of 1 MB", bytes, || {
        lines.iter().for_each(|b| frame_lines(black_box(b), &mut bounds).expect("well-formed"));
    });
    measure("simdutf8 alone", bytes, || {
        large.iter().for_each(|b| assert!(simdutf8::basic::from_utf8(black_box(b)).is_ok()));
    });
    let framed = framed(&large);
    for (name, schema, projection) in [
        ("decode, 18 columns", Some(&schema), all.as_slice()),
        ("decode, 3 of 18 columns", Some(&schema), &three),
        ("decode, none of 18 columns", Some(&schema), &[]),
        ("decode, unstructured", None, &[0]),
    ] {
        let mut decoder = Decoder::new(schema, projection);
        measure(name, bytes, || assert_eq!(decode(&mut decoder, &framed), events.len()));
    }
    let mut decoder = Decoder::new(Some(&schema), &all);
    measure("decode, 18 columns, records cut out of bodies", bytes, || {
        for (body, bounds) in &framed {
            for (start, end) in bounds {
                decoder.push(&body[*start as usize..*end as usize]).expect("the events fit the schema");
            }
            if decoder.rows() >= BATCH_ROWS {
                black_box(decoder.finish());
            }
        }
        black_box(decoder.finish());
    });
    measure("frame, then decode 18 columns", bytes, || {
        for body in &large {
            frame_array(body, &mut bounds).expect("well-formed");
            decoder.push_body(body, &bounds, |_, reject| panic!("{reject}"));
            if decoder.rows() >= BATCH_ROWS {
                black_box(decoder.finish());
            }
        }
        black_box(decoder.finish());
    });
    measure("serde_json, well-formedness alone", bytes, || {
        for body in &large {
            black_box(serde_json::from_slice::<serde::de::IgnoredAny>(body).expect("well-formed"));
        }
    });
}
