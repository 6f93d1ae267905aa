//! Structured logs on standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{ConfigError, Diagnostics, DiagnosticsFormat};

/// Starts logging for the process. Called once, by the binary.
///
/// # Errors
/// A filter that cannot be parsed.
pub fn start(diagnostics: &Diagnostics) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&diagnostics.level)
        .map_err(|e| ConfigError(format!("`diagnostics.level` is no level and no filter: {e}")))?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (in tests) keeps the first.
    let _ = match diagnostics.format {
        DiagnosticsFormat::Text => builder.with_ansi(false).try_init(),
        DiagnosticsFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
