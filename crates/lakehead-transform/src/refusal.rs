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
    /// What stands there, as it is written; the beginning of it if that is long.
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
        Refusal::new(plain(&e))
    }
}

/// What DataFusion and Arrow call things, and what SQL calls them. Longer names before those that are in them.
const WORDS: &[(&str, &str)] = &[
    ("value of UInt8 type", "TINYINT UNSIGNED"),
    ("value of UInt16 type", "SMALLINT UNSIGNED"),
    ("value of UInt32 type", "INT UNSIGNED"),
    ("value of UInt64 type", "BIGINT UNSIGNED"),
    ("value of Int8 type", "TINYINT"),
    ("value of Int16 type", "SMALLINT"),
    ("value of Int32 type", "INT"),
    ("value of Int64 type", "BIGINT"),
    ("value of Float32 type", "FLOAT"),
    ("value of Float64 type", "DOUBLE"),
    ("value of Boolean type", "BOOLEAN"),
    ("value of Date32 type", "DATE"),
    ("value of Decimal128", "DECIMAL"),
    ("to type UInt8", "to TINYINT UNSIGNED"),
    ("to type UInt16", "to SMALLINT UNSIGNED"),
    ("to type UInt32", "to INT UNSIGNED"),
    ("to type UInt64", "to BIGINT UNSIGNED"),
    ("to type Int8", "to TINYINT"),
    ("to type Int16", "to SMALLINT"),
    ("to type Int32", "to INT"),
    ("to type Int64", "to BIGINT"),
    ("Divide by zero error", "divide by zero"),
    ("Overflow happened on:", "overflow in"),
    ("Unsupported SQL type", "there is no type"),
];

/// An error of DataFusion or Arrow without what tells a user nothing: its kind in front, the list of signatures behind.
pub(crate) fn plain(error: &DataFusionError) -> String {
    const CHARS_MAX: usize = 300;
    const PREFIXES: &[&str] = &[
        "Error during planning: ",
        "Schema error: ",
        "Invalid or Unsupported Configuration: ",
        "This feature is not implemented: ",
        "Execution error: ",
        "Arrow error: ",
        "Optimizer rule 'simplify_expressions' failed",
        "SQL error: ",
        "Internal error: ",
        "Cast error: ",
        "Parser error: ",
        "Compute error: ",
        "Invalid argument error: ",
        "Arithmetic overflow: ",
    ];
    let root = error.find_root().strip_backtrace();
    let mut text = root.as_str();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    for end in ["\n", " Candidate functions", ". You might need to add", ". This issue was likely caused by"]
    {
        text = text.split(end).next().unwrap_or(text);
    }
    if text.trim().is_empty() {
        return "this cannot be evaluated".to_owned();
    }
    let mut text: String = text.trim().chars().take(CHARS_MAX).collect();
    for (theirs, ours) in WORDS {
        if text.contains(theirs) {
            text = text.replace(theirs, ours);
        }
    }
    text
}
