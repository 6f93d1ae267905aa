//! Every key a sink will ever produce stays below its prefix.

use lakehead_model::resource::{
    FilesConfig, ParquetFormat, RollingPolicy, SinkFormat, TableConfig, TableExtensions,
};

use super::config;
use crate::control::sink_rules::{check, check_table};

fn refusal(change: impl FnOnce(&mut FilesConfig)) -> Option<String> {
    let mut config = config();
    change(&mut config);
    check(&config, &SinkFormat::Parquet(ParquetFormat::default())).err().map(|e| e.to_string())
}

/// Texts that must not become part of a key.
fn hostile() -> Vec<String> {
    let mut texts: Vec<_> = [
        "..",
        ".",
        "../x",
        "a/../b",
        "a/..",
        "..\\x",
        "a\\b",
        "%2e%2e",
        "%2E%2e/x",
        "a%2fb",
        "a%5Cb",
        "a%00",
        "/abs",
        "//",
        "a//b",
        "a\0b",
        "a\nb",
        "a\rb",
        "a\u{7f}b",
        "a\u{202e}b",
        "\u{ff0e}\u{ff0e}",
        "\u{2024}.",
        "\u{2025}",
        "nul",
        "CON",
        "com1",
        "a/LPT9.txt",
        "aux.parquet",
        "a\u{feff}b",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("x".repeat(2000));
    texts
}

#[test]
fn traversal_is_refused_in_the_path_naming_the_field() {
    for text in hostile() {
        let refused = refusal(|c| c.path.clone_from(&text));
        assert!(refused.is_some_and(|r| r.starts_with("config.path: ")), "{text:?}");
    }
}

#[test]
fn traversal_is_refused_in_the_time_pattern() {
    for text in hostile().into_iter() {
        let refused = refusal(|c| c.time_pattern = Some(text.clone()));
        assert!(refused.is_some_and(|r| r.starts_with("config.partitioning.time_pattern: ")), "{text:?}");
    }
}

#[test]
fn traversal_is_refused_in_prefix_and_suffix() {
    // These are no folders: single dots and device names are fine inside a file name.
    let fine = ["nul", "CON", "com1", ".", "aux.parquet"];
    for text in hostile().into_iter().filter(|t| !fine.contains(&t.as_str())) {
        let prefix = refusal(|c| c.file_naming.prefix = Some(text.clone()));
        assert!(prefix.is_some_and(|r| r.starts_with("config.file_naming.prefix: ")), "{text:?}");
        let suffix = refusal(|c| c.file_naming.suffix = Some(text.clone()));
        assert!(suffix.is_some_and(|r| r.starts_with("config.file_naming.suffix: ")), "{text:?}");
    }
}

#[test]
fn patterns_that_chrono_cannot_print_are_refused() {
    for pattern in ["%", "%Q", "%999999f", "year=%Y/%", "%!", "%E", "%:Y", "%n", "%t"] {
        let refused = refusal(|c| c.time_pattern = Some(pattern.to_owned()));
        assert!(refused.is_some(), "{pattern:?}");
    }
}

#[test]
fn ordinary_configurations_pass() {
    for path in ["", "events", "a/b/c", "täglich/数据", "v1.2/x", "with space", "year=2026"] {
        assert_eq!(refusal(|c| c.path = path.to_owned()), None, "{path:?}");
    }
    for pattern in
        ["", "year=%Y/month=%m/day=%d", "year=%Y/month=%m/day=%d/hour=%H", "%F", "%Y-%m-%d/%H%M", "%s", "%D"]
    {
        assert_eq!(refusal(|c| c.time_pattern = Some(pattern.to_owned())), None, "{pattern:?}");
    }
    for part in ["", "events", ".parquet", "snappy.parquet", "a-b_c"] {
        assert_eq!(refusal(|c| c.file_naming.prefix = Some(part.to_owned())), None, "{part:?}");
        assert_eq!(refusal(|c| c.file_naming.suffix = Some(part.to_owned())), None, "{part:?}");
    }
}

#[test]
fn roll_intervals_have_their_bounds() {
    let interval = |n| refusal(|c| c.rolling_policy.interval_seconds = Some(n));
    assert!(interval(9).is_some_and(|r| r.contains("interval_seconds: is 9; at least 10 ")));
    assert_eq!(interval(10), None);
    assert!(interval(u64::MAX).is_some());
    let inactivity = |n| refusal(|c| c.rolling_policy.inactivity_seconds = Some(n));
    assert!(inactivity(0).is_some());
    assert_eq!(inactivity(1), None);
    assert_eq!(refusal(|c| c.rolling_policy.file_size_bytes = Some(0)), None);
}

#[test]
fn a_table_rolls_no_oftener_than_the_operator_allows() {
    let refusal = |interval_seconds: u64, min: u64| {
        let table = TableConfig {
            account_id: String::new(),
            bucket: "lake".to_owned(),
            namespace: "default".to_owned(),
            table_name: "clicks".to_owned(),
            rolling_policy: RollingPolicy {
                interval_seconds: Some(interval_seconds),
                ..RollingPolicy::default()
            },
            extensions: TableExtensions::default(),
        };
        let refused = check_table(&table, &SinkFormat::Parquet(ParquetFormat::default()), min);
        refused.err().map(|e| e.to_string())
    };
    for (seconds, min) in [(59, 60), (4, 5), (0, 1)] {
        let expected =
            format!("config.rolling_policy.interval_seconds: is {seconds}; at least {min} is needed");
        assert_eq!(refusal(seconds, min), Some(expected));
        assert_eq!(refusal(min, min), None);
    }
}

#[test]
fn a_bad_bucket_name_is_refused() {
    for bucket in ["", "ab", "Up", "a_b", "../x", "-abc", "abc-", "a/b/c"] {
        assert!(refusal(|c| c.bucket = bucket.to_owned()).is_some_and(|r| r.starts_with("config.bucket")));
    }
}
