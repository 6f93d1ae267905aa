use std::collections::HashMap;

use serde_json::Value;

use super::*;

fn sample(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut events = Events::new(seed);
    (0..count)
        .map(|_| {
            let mut event = Vec::new();
            events.append(&mut event);
            event
        })
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_seed_others() {
    assert_eq!(sample(7, 500), sample(7, 500));
    assert_ne!(sample(7, 500), sample(8, 500));
}

#[test]
fn every_event_is_json_with_the_schemas_fields_and_about_700_bytes() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let names: Vec<&str> =
        schema["fields"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 18);
    let events = sample(1, 20_000);
    let mut seen: HashMap<String, usize> = HashMap::new();
    for event in &events {
        let value: Value = serde_json::from_slice(event).unwrap();
        for key in value.as_object().unwrap().keys() {
            assert!(names.contains(&key.as_str()) || key == "_sdk", "unknown key {key}");
            *seen.entry(key.clone()).or_default() += 1;
        }
        for field in schema["fields"].as_array().unwrap() {
            if field["required"] == true {
                let name = field["name"].as_str().unwrap();
                assert!(!value[name].is_null(), "{name} missing in {value}");
            }
        }
    }
    let share = |key: &str| seen.get(key).copied().unwrap_or(0) as f64 / events.len() as f64;
    assert_eq!(share("event_id"), 1.0);
    assert!((0.78..0.82).contains(&share("referrer")), "{}", share("referrer"));
    assert!((0.88..0.92).contains(&share("props")), "{}", share("props"));
    assert!((0.005..0.015).contains(&share("_sdk")), "{}", share("_sdk"));
    let bytes = events.iter().map(Vec::len).sum::<usize>() / events.len();
    assert!((600..800).contains(&bytes), "{bytes} bytes per event");
}

#[test]
fn the_noise_of_real_producers_is_there() {
    let events = sample(1, 20_000);
    let share = |found: &dyn Fn(&str) -> bool| {
        events.iter().filter(|e| found(std::str::from_utf8(e).unwrap())).count() as f64 / events.len() as f64
    };
    assert!((0.015..0.025).contains(&share(&|e| e.contains("\": \"") && e.contains(", \""))));
    assert!((0.02..0.04).contains(&share(&|e| e.contains('\\'))));
    assert!((0.04..0.06).contains(&share(&|e| !e.is_ascii())));
    assert!((0.01..0.03).contains(&share(&|e| !e.starts_with("{\"event_id\""))));
    assert!((0.05..0.15).contains(&share(&|e| e.contains("\"referrer\":null"))));
}

#[test]
fn days_become_calendar_dates() {
    assert_eq!(date(0), (1970, 1, 1));
    assert_eq!(date(20_454), (2026, 1, 1));
    assert_eq!(date(11_016), (2000, 2, 29));
    assert_eq!(date(20_453), (2025, 12, 31));
}
