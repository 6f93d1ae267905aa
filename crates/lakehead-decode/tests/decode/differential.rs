//! The decoder against the reference, on random schemas and records.

use lakehead_decode::{Decoder, frame_array, frame_lines};
use lakehead_model::Schema;
use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::generate::Dice;
use crate::reference::{self, Cell, Verdict};

/// Pushes every record and compares verdicts one by one and the batch as a whole. `projection` as for the decoder.
fn compare(schema: Option<&Schema>, projection: &[usize], records: &[String]) {
    let mut decoder = Decoder::new(schema, projection);
    for round in 0..2 {
        let mut expected: Vec<Vec<Cell>> = Vec::new();
        for record in records {
            let wanted: Verdict = reference::decode(schema, record);
            let got = decoder.push(record.as_bytes());
            match (&wanted, &got) {
                (Ok(row), Ok(())) => {
                    expected.push(projection.iter().map(|i| row[*i].clone()).collect());
                }
                (Err((reason, path)), Err(reject)) => {
                    assert_eq!(
                        (*reason, path),
                        (reject.reason, &reject.path),
                        "{record}\n{reject}\n{schema:?}"
                    );
                }
                _ => panic!("reference: {wanted:?}\ndecoder: {got:?}\n{record}\n{schema:?}"),
            }
            assert_eq!(decoder.rows(), expected.len());
        }
        let batch = decoder.finish();
        batch.columns().iter().for_each(|c| c.to_data().validate_full().unwrap());
        assert_eq!(reference::rows(&batch), expected, "round {round} of {schema:?}");
        // As a body they say the same.
        let body = format!("[ {} ]", records.join(" ,\n")).into_bytes();
        let mut bounds = Vec::new();
        frame_array(&body, &mut bounds).unwrap();
        let mut rejects = 0;
        decoder.push_body(&body, &bounds, |_, _| rejects += 1);
        assert_eq!(rejects, records.len() - expected.len());
        assert_eq!(decoder.finish(), batch);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_decode_as_the_reference_says(seed: u64, count in 1..12_usize, wrong in 2..60_usize) {
        let dice = Dice::new(seed);
        let schema = dice.schema();
        let records: Vec<_> = (0..count).map(|_| dice.record(&schema, wrong)).collect();
        let all: Vec<_> = (0..schema.fields.len()).collect();
        compare(Some(&schema), &all, &records);
        let some: Vec<_> = all.iter().copied().filter(|_| dice.one_in(2)).collect();
        compare(Some(&schema), &some, &records);
        compare(None, &[0], &records);
        compare(None, &[], &records);
    }

    #[test]
    fn a_body_is_well_formed_exactly_when_serde_says_so(seed: u64, count in 0..5_usize, broken: bool) {
        let dice = Dice::new(seed);
        let schema = dice.schema();
        let records: Vec<_> = (0..count).map(|_| dice.record(&schema, 20)).collect();
        let mut body = format!("[{}]", records.join(",")).into_bytes();
        if broken {
            body = dice.mutate(&body);
        }
        let mut bounds = Vec::new();
        let verdict = frame_array(&body, &mut bounds);
        let wanted = std::str::from_utf8(&body).ok().and_then(objects);
        match wanted {
            Some(records) => {
                verdict.unwrap();
                let found: Vec<_> = bounds.iter().map(|(a, b)| &body[*a as usize..*b as usize]).collect();
                prop_assert_eq!(found, records.iter().map(|r| r.as_bytes()).collect::<Vec<_>>());
            }
            None => {
                let error = verdict.unwrap_err();
                prop_assert!(error.position_bytes <= body.len());
            }
        }
    }

    #[test]
    fn lines_are_well_formed_exactly_when_serde_says_so_of_each(seed: u64, count in 0..5_usize, broken: bool) {
        let dice = Dice::new(seed);
        let schema = dice.schema();
        let records: Vec<_> = (0..count).map(|_| dice.record(&schema, 20)).collect();
        let end = dice.pick(&["\n", "\r\n", "\n\n", " \r\n\t\n"]);
        let mut body = records.join(end).into_bytes();
        if broken {
            body = dice.mutate(&body);
        }
        let mut bounds = Vec::new();
        let verdict = frame_lines(&body, &mut bounds);
        let wanted = std::str::from_utf8(&body).ok().and_then(|body| {
            let lines = body.split('\n').map(|l| l.trim_matches([' ', '\t', '\r'])).filter(|l| !l.is_empty());
            lines.map(object).collect::<Option<Vec<_>>>()
        });
        match wanted {
            Some(records) => {
                verdict.unwrap();
                let found: Vec<_> = bounds.iter().map(|(a, b)| &body[*a as usize..*b as usize]).collect();
                prop_assert_eq!(found, records.iter().map(|r| r.as_bytes()).collect::<Vec<_>>());
            }
            None => prop_assert!(verdict.is_err()),
        }
    }

    #[test]
    fn bytes_that_never_were_framed_do_no_harm(seed: u64) {
        let dice = Dice::new(seed);
        let schema = dice.schema();
        let all: Vec<_> = (0..schema.fields.len()).collect();
        let mut decoder = Decoder::new(Some(&schema), &all);
        let mut unstructured = Decoder::new(None, &[0]);
        for _ in 0..20 {
            let record = dice.mutate(dice.record(&schema, 20).as_bytes());
            let rows = decoder.rows();
            let taken = decoder.push(&record).is_ok();
            prop_assert_eq!(decoder.rows(), rows + usize::from(taken));
            let _ = unstructured.push(&record);
            // What is JSON is judged as JSON.
            if let Some(record) = std::str::from_utf8(&record).ok().and_then(object) {
                prop_assert_eq!(reference::decode(Some(&schema), record).is_ok(), taken, "{}", record);
            }
        }
        for batch in [decoder.finish(), unstructured.finish()] {
            batch.columns().iter().for_each(|c| c.to_data().validate_full().unwrap());
        }
    }
}

fn object(text: &str) -> Option<&str> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    raw.get().starts_with('{').then_some(raw.get())
}

fn objects(body: &str) -> Option<Vec<&str>> {
    let records: Vec<&RawValue> = serde_json::from_str(body).ok()?;
    records.into_iter().map(|r| r.get().starts_with('{').then_some(r.get())).collect()
}
