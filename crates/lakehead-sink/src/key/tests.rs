use lakehead_model::resource::{FileNaming, JsonFormat, ParquetFormat, RollingPolicy};
use proptest::prelude::*;

use super::*;

fn config() -> FilesConfig {
    FilesConfig {
        account_id: "a".into(),
        bucket: "b".into(),
        path: String::new(),
        time_pattern: None,
        file_naming: FileNaming::default(),
        rolling_policy: RollingPolicy::default(),
        jurisdiction: None,
    }
}

fn parquet() -> SinkFormat {
    SinkFormat::Parquet(ParquetFormat::default())
}

fn json(compression: Option<JsonCompression>) -> SinkFormat {
    SinkFormat::Json(JsonFormat { compression, ..JsonFormat::default() })
}

fn refused(config: &FilesConfig, format: &SinkFormat) -> String {
    validate(config, format).expect_err("this configuration must be refused").field
}

/// 2025-08-03T09:04:05.006007Z
const MOMENT: Timestamp = Timestamp(1_754_211_845_006_007);

#[test]
fn a_key_has_path_partition_prefix_name_and_suffix() {
    let mut with_all = config();
    with_all.path = "analytics/web".into();
    with_all.file_naming.prefix = Some("hits".into());
    let mut keys = Keys::new(&with_all, &parquet()).unwrap();
    let partition = keys.partition(MOMENT).unwrap();
    assert_eq!(keys.key(&partition, "n"), "analytics/web/year=2025/month=08/day=03/hits-n.parquet");

    let bare = FilesConfig { time_pattern: Some(String::new()), ..config() };
    let mut keys = Keys::new(&bare, &parquet()).unwrap();
    let partition = keys.partition(MOMENT).unwrap();
    assert_eq!(keys.key(&partition, "n"), "n.parquet");
}

#[test]
fn the_suffix_follows_the_format_until_one_is_given_with_or_without_its_dot() {
    let key = |config: &FilesConfig, format: &SinkFormat| Keys::new(config, format).unwrap().key("", "n");
    assert_eq!(key(&config(), &json(None)), "n.json");
    assert_eq!(key(&config(), &json(Some(JsonCompression::Gzip))), "n.json.gz");
    assert_eq!(key(&config(), &json(Some(JsonCompression::Deflate))), "n.json.deflate");
    for given in ["ndjson", ".ndjson"] {
        let mut named = config();
        named.file_naming.suffix = Some(given.into());
        assert_eq!(key(&named, &json(None)), "n.ndjson");
    }
}

#[test]
fn paths_that_leave_their_folder_or_cannot_be_named_are_refused() {
    let long = "x".repeat(2000);
    for path in [
        "..",
        "../x",
        "a/../b",
        "a/..",
        "..\\x",
        "a\\b",
        "/abs",
        "a/",
        "a//b",
        "/",
        "a/./b",
        ".",
        "a\0b",
        "a\nb",
        "%2e%2e/x",
        "a/%2E",
        "‥/x",
        "．．/x",
        "a／b",
        "nul",
        "a/CON",
        "com1.txt/x",
        "a/ /b",
        long.as_str(),
    ] {
        let bad = FilesConfig { path: path.into(), ..config() };
        assert_eq!(refused(&bad, &parquet()), "config.path", "{path:?}");
    }
    for path in ["a", "a/b", "année/日本", "a b/c", "a.b/c=1", "console/x"] {
        validate(&FilesConfig { path: path.into(), ..config() }, &parquet()).unwrap();
    }
}

#[test]
fn prefixes_and_suffixes_that_are_no_part_of_a_file_name_are_refused() {
    for text in ["../x", "..", "a/b", "/a", "a\\b", "a\0", "a\n", "%2e", "‥"] {
        let mut bad = config();
        bad.file_naming.prefix = Some(text.into());
        assert_eq!(refused(&bad, &parquet()), "config.file_naming.prefix", "{text:?}");
        let mut bad = config();
        bad.file_naming.suffix = Some(text.into());
        assert_eq!(refused(&bad, &parquet()), "config.file_naming.suffix", "{text:?}");
    }
    let mut bad = config();
    bad.file_naming.prefix = Some("p".repeat(129));
    assert_eq!(refused(&bad, &parquet()), "config.file_naming.prefix");
    bad = config();
    bad.file_naming.suffix = Some("s".repeat(65));
    assert_eq!(refused(&bad, &parquet()), "config.file_naming.suffix");
}

#[test]
fn time_patterns_that_cannot_be_rendered_or_leave_the_folder_are_refused() {
    let long = "y".repeat(2000);
    for pattern in [
        "%",
        "%Q",
        "%999999f",
        "year=%Y/%",
        "../%Y",
        "%Y/../%m",
        "/%Y",
        "%Y/",
        "%Y//%m",
        "%Y\\%m",
        "%Y%n%m",
        "%Y\n",
        "%t",
        "%Y/.",
        "%#z",
        "nul/%Y",
        long.as_str(),
    ] {
        let bad = FilesConfig { time_pattern: Some(pattern.into()), ..config() };
        assert_eq!(refused(&bad, &parquet()), "config.partitioning.time_pattern", "{pattern:?}");
    }
    for pattern in
        ["", "%Y", "%F/%H%M", "year=%Y/month=%m/day=%d/hour=%H", "%s", "%D", "%Y-%j", "%+", "100%%"]
    {
        validate(&FilesConfig { time_pattern: Some(pattern.into()), ..config() }, &parquet()).unwrap();
    }
}

#[test]
fn rolling_policies_below_the_minimum_are_refused() {
    let mut bad = config();
    bad.rolling_policy.interval_seconds = Some(9);
    assert_eq!(refused(&bad, &parquet()), "config.rolling_policy.interval_seconds");
    bad.rolling_policy.interval_seconds = Some(10);
    bad.rolling_policy.inactivity_seconds = Some(0);
    assert_eq!(refused(&bad, &parquet()), "config.rolling_policy.inactivity_seconds");
    bad.rolling_policy.inactivity_seconds = Some(1);
    validate(&bad, &parquet()).unwrap();
    let groups = |row_group_bytes| SinkFormat::Parquet(ParquetFormat { row_group_bytes, compression: None });
    assert_eq!(refused(&config(), &groups(Some(u64::MAX))), "format.row_group_bytes");
    validate(&config(), &groups(Some(0))).unwrap();
}

#[test]
fn the_partition_changes_exactly_at_midnight_utc() {
    let mut keys = Keys::new(&config(), &parquet()).unwrap();
    let midnight = 1_754_265_600_000_000;
    assert_eq!(&*keys.partition(Timestamp(midnight - 1)).unwrap(), "year=2025/month=08/day=03");
    assert_eq!(&*keys.partition(Timestamp(midnight)).unwrap(), "year=2025/month=08/day=04");
    assert_eq!(&*keys.partition(Timestamp(midnight - 1)).unwrap(), "year=2025/month=08/day=03");
}

#[test]
fn a_partition_is_formatted_once_for_its_stretch_of_time() {
    let hourly = FilesConfig { time_pattern: Some("%F/%H".into()), ..config() };
    let mut keys = Keys::new(&hourly, &parquet()).unwrap();
    let first = keys.partition(MOMENT).unwrap();
    let same_hour = keys.partition(Timestamp(MOMENT.0 + 55 * 60 * 1_000_000)).unwrap();
    assert!(Arc::ptr_eq(&first, &same_hour));
    let next_hour = keys.partition(Timestamp(MOMENT.0 + 56 * 60 * 1_000_000)).unwrap();
    assert_eq!(&*next_hour, "2025-08-03/10");
}

#[test]
fn a_moment_whose_year_a_pattern_cannot_write_is_an_error_and_no_panic() {
    let rfc2822 = FilesConfig { time_pattern: Some("%c".into()), ..config() };
    for time in [Timestamp(i64::MIN), Timestamp(i64::MAX), Timestamp(-62_167_219_200_000_001)] {
        let _ = Keys::new(&rfc2822, &parquet()).unwrap().partition(time);
    }
}

proptest! {
    /// Whatever validation lets through keeps its keys below the path.
    #[test]
    fn a_key_stays_below_its_path(
        path in "([a-z./%\\\\ ‥]{0,6}/?){0,4}",
        pattern in "([a-z./%YmdHMSsfnteDFcQ \\\\]{0,4}/?){0,4}",
        prefix in "[a-z./ -]{0,5}",
        suffix in "[a-z./]{0,5}",
        micros in any::<i64>(),
    ) {
        let config = FilesConfig {
            path: path.clone(),
            time_pattern: Some(pattern),
            file_naming: FileNaming { prefix: Some(prefix), suffix: Some(suffix), strategy: None },
            ..config()
        };
        let Ok(mut keys) = Keys::new(&config, &parquet()) else { return Ok(()) };
        let Ok(partition) = keys.partition(Timestamp(micros)) else { return Ok(()) };
        let key = keys.key(&partition, "name");
        prop_assert!(path.is_empty() || key.starts_with(&format!("{path}/")), "{key}");
        prop_assert!(!key.contains("..") && !key.contains("//") && !key.contains('\\'), "{key}");
        prop_assert!(!key.starts_with('/') && !key.chars().any(char::is_control), "{key}");
        prop_assert!(key.len() <= 1024);
    }

    /// The cache never gives the text of another stretch of time.
    #[test]
    fn a_cached_partition_is_the_one_a_fresh_pattern_renders(
        pattern in prop::sample::select(vec!["%Y", "%F/%H", "%F/%H%M", "%s", "%F %T%.3f", "%p", "%j/%U", "x"]),
        steps in prop::collection::vec(-4_000_000_000i64..4_000_000_000, 1..40),
    ) {
        let mut cached = TimePattern::new(pattern).unwrap();
        let mut micros = MOMENT.0;
        for step in steps {
            micros += step;
            let fresh = TimePattern::new(pattern).unwrap().render(Timestamp(micros)).unwrap();
            prop_assert_eq!(cached.render(Timestamp(micros)).unwrap(), fresh);
        }
    }
}
