//! The rows as a table for people and as JSON for programs.

use std::time::Duration;

use serde_json::json;

use crate::cases::{Amount, Row};

pub(crate) fn head() -> String {
    format!(
        "{:<14} {:>8} {:>10} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8}  {:<32} {}",
        "case",
        "MB/s",
        "events/s",
        "CPU s/GB",
        "p50 ms",
        "p99 ms",
        "max ms",
        "RSS MiB",
        "refused",
        "budget",
        ""
    )
}

pub(crate) fn line(row: &Row) -> String {
    let verdict = match row.over() {
        over if !over.is_empty() => format!("OVER: {}", over.join(", ")),
        _ if row.budget.to_string().is_empty() => String::new(),
        _ => "ok".to_owned(),
    };
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    format!(
        "{:<14} {:>8.1} {:>10.0} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>8} {:>8}  {:<32} {verdict}",
        row.name,
        row.mb_per_second(),
        row.events_per_second(),
        row.cpu_seconds_per_gb(),
        millis(row.latency.quantile(0.5)),
        millis(row.latency.quantile(0.99)),
        millis(row.latency.max()),
        row.rss_bytes >> 20,
        row.refused,
        row.budget.to_string(),
    )
    .trim_end()
    .to_owned()
}

pub(crate) fn legend(rows: &[Row]) -> String {
    let mut text = String::from(
        "CPU: user and system seconds of the server per 10^9 bytes of JSON; cases with a pipeline count until every record is in a\n\
         committed file. Latency: of the ack; in an open loop from the time the request was due.\n",
    );
    for row in rows {
        text.push_str(&format!("  {:<14} {}\n", row.name, row.about));
    }
    text
}

pub(crate) fn json(rows: &[Row], amount: Amount) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "case": row.name,
                "about": row.about,
                "bytes": row.bytes,
                "events": row.events,
                "refused": row.refused,
                "elapsed_seconds": row.elapsed.as_secs_f64(),
                "mb_per_second": row.mb_per_second(),
                "events_per_second": row.events_per_second(),
                "cpu_seconds_per_gb": row.cpu_seconds_per_gb(),
                "ack_p50_seconds": row.latency.quantile(0.5).as_secs_f64(),
                "ack_p99_seconds": row.latency.quantile(0.99).as_secs_f64(),
                "ack_max_seconds": row.latency.max().as_secs_f64(),
                "peak_rss_bytes": row.rss_bytes,
                "budget": row.budget.to_string(),
                "over": row.over(),
            })
        })
        .collect();
    let report = json!({"seed": amount.seed, "bytes": amount.bytes, "limit_seconds": amount.limit.as_secs(), "rows": rows});
    format!("{report:#}\n")
}
