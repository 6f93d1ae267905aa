//! What the configuration of a file sink must satisfy beyond what the sink itself needs (`lakehead_sink::validate`: keys stay
//! below their prefix, patterns can be printed, intervals have their minimum).

use lakehead_model::resource::{FilesConfig, SinkFormat, TableConfig};
use lakehead_model::{Invalid, name};
use lakehead_table::Layout;

/// Largest row group; it is buffered in memory.
const ROW_GROUP_BYTES_MAX: u64 = 4 << 30;
/// Longest time a file may stay open: a year.
const ROLL_SECONDS_MAX: u64 = 366 * 24 * 3600;

/// Checks everything that does not depend on other resources.
///
/// # Errors
/// [`Invalid`] with the path of the field in the request body.
pub fn check(config: &FilesConfig, format: &SinkFormat) -> Result<(), Invalid> {
    name::check_bucket("config.bucket", &config.bucket)?;
    lakehead_sink::validate(config, format)?;
    let texts = [
        ("config.path", Some(&config.path)),
        ("config.partitioning.time_pattern", config.time_pattern.as_ref()),
        ("config.file_naming.prefix", config.file_naming.prefix.as_ref()),
        ("config.file_naming.suffix", config.file_naming.suffix.as_ref()),
    ];
    for (field, text) in texts {
        if let Some(c) = text.and_then(|t| t.chars().find(|c| is_invisible(*c))) {
            return Err(Invalid::new(field, format!("holds {c:?}, which nobody sees in a key")));
        }
    }
    let policy = &config.rolling_policy;
    check_seconds("config.rolling_policy.interval_seconds", policy.interval_seconds)?;
    check_seconds("config.rolling_policy.inactivity_seconds", policy.inactivity_seconds)?;
    match format {
        SinkFormat::Parquet(parquet) if parquet.row_group_bytes.is_some_and(|n| n > ROW_GROUP_BYTES_MAX) => {
            let reason = format!("is above the limit of {ROW_GROUP_BYTES_MAX}");
            Err(Invalid::new("format.row_group_bytes", reason))
        }
        _ => Ok(()),
    }
}

/// The same for a table. Its names are what Cloudflare's catalog takes: letters, digits and underscores; nested namespaces
/// have dots between them. `roll_interval_seconds_min`: what the operator allows.
///
/// # Errors
/// [`Invalid`] with the path of the field in the request body.
pub fn check_table(
    config: &TableConfig,
    format: &SinkFormat,
    roll_interval_seconds_min: u64,
) -> Result<(), Invalid> {
    name::check_bucket("config.bucket", &config.bucket)?;
    name::check("config.table_name", &config.table_name)?;
    for part in config.namespace.split('.') {
        name::check("config.namespace", part)?;
    }
    let policy = &config.rolling_policy;
    if let Some(n) = policy.interval_seconds.filter(|n| *n < roll_interval_seconds_min) {
        let reason = format!("is {n}; at least {roll_interval_seconds_min} is needed");
        return Err(Invalid::new("config.rolling_policy.interval_seconds", reason));
    }
    check_seconds("config.rolling_policy.interval_seconds", policy.interval_seconds)?;
    check_seconds("config.rolling_policy.inactivity_seconds", policy.inactivity_seconds)?;
    let extensions = &config.extensions;
    Layout::parse(extensions.partition_by.as_deref(), &extensions.sort_by)
        .map_err(|(list, why)| Invalid::new(format!("config.{list}"), why))?;
    match format {
        SinkFormat::Parquet(_) => Ok(()),
        SinkFormat::Json(_) => {
            Err(Invalid::new("format.type", "is \"json\"; the files of a table are \"parquet\""))
        }
    }
}

fn check_seconds(field: &str, seconds: Option<u64>) -> Result<(), Invalid> {
    match seconds {
        Some(n) if n > ROLL_SECONDS_MAX => {
            Err(Invalid::new(field, format!("is {n}; at most {ROLL_SECONDS_MAX} seconds are possible")))
        }
        _ => Ok(()),
    }
}

/// Characters that change how text is shown: direction marks, zero-width ones, line separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}
