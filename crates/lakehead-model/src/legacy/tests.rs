use super::*;

fn pipeline() -> LegacyPipeline {
    LegacyPipeline {
        id: PipelineId(7),
        name: "clicks-eu".to_owned(),
        version: 3,
        http: Some(LegacyHttp { authentication: true, cors: None }),
        binding: false,
        bucket: "lake".to_owned(),
        prefix: "in".to_owned(),
        compression: JsonCompression::Gzip,
        batch: BatchHints { bytes_max: 1_000, age_milliseconds_max: 1_000, rows_max: 100 },
        shards: None,
        created_at: Timestamp(1),
        modified_at: Timestamp(2),
    }
}

#[test]
fn its_parts_belong_together_and_those_that_change_carry_its_version() {
    let legacy = pipeline();
    let (stream, sink, pipeline) = (legacy.stream(), legacy.sink(), legacy.pipeline());
    assert_eq!((stream.id.0, sink.id.0, pipeline.id.0), (7, 7, 7));
    assert_eq!((stream.version, sink.version, pipeline.version), (3, 3, 1));
    let tables: Vec<_> = pipeline.tables.iter().map(|t| t.table).collect();
    assert_eq!(tables, [Table::Stream(stream.id), Table::Sink(sink.id)]);
    assert_eq!(pipeline.sql, "INSERT INTO \"legacy:clicks-eu\" SELECT * FROM \"legacy:clicks-eu\"");
    assert!(crate::name::check("name", &stream.name).is_err(), "no other stream can take its name");
}

#[test]
fn a_pipeline_without_http_takes_none() {
    let legacy = LegacyPipeline { http: None, binding: true, ..pipeline() };
    assert!(!legacy.stream().http.enabled && legacy.stream().worker_binding.enabled);
    let stored = serde_json::to_string(&legacy).unwrap();
    assert_eq!(serde_json::from_str::<LegacyPipeline>(&stored).unwrap(), legacy);
}

#[test]
fn a_name_has_letters_digits_and_inner_dashes() {
    let check = |name: &str| crate::name::check_legacy("name", name);
    let longest = "n".repeat(63);
    for good in ["a", "7", "my-clickstream-pipeline", "A-b-9", longest.as_str()] {
        check(good).unwrap();
    }
    let too_long = "n".repeat(64);
    for bad in ["", "-a", "a-", "a_b", "a.b", "ä", "a b", "a/b", too_long.as_str()] {
        assert_eq!(check(bad).unwrap_err().field, "name", "{bad:?}");
    }
}
