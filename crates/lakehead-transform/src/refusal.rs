//! Why SQL was not accepted.

use std::fmt;

use datafusion_common::DataFusionError;

/// A text for the person who wrote the SQL, and where in the SQL it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub message: String,
    pub place: Option<Place>,
}

/// A place in the text of the SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// What stands there, as it is written.
    pub text: String,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Refusal { message: message.into(), place: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<DataFusionError> for Refusal {
    fn from(e: DataFusionError) -> Self {
        // The planner wraps its errors; what it adds in front ("Error during planning: ") tells a user nothing.
        let text = e.find_root().strip_backtrace();
        let text = ["Error during planning: ", "Schema error: ", "Invalid or Unsupported Configuration: "]
            .iter()
            .fold(text.as_str(), |text, prefix| text.strip_prefix(prefix).unwrap_or(text))
            .to_owned();
        Refusal::new(text)
    }
}
