//! Why the control plane refuses, named by what the caller can do about it. `api::error` maps these to HTTP.

use std::fmt;

use lakehead_model::Invalid;

use super::SqlRefusal;

/// The kinds of things an account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after what they are")]
pub enum Kind {
    Stream,
    Sink,
    Pipeline,
    Bucket,
    Object,
    Token,
    Catalog,
    Namespace,
    Table,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Stream => "stream",
            Kind::Sink => "sink",
            Kind::Pipeline => "pipeline",
            Kind::Bucket => "bucket",
            Kind::Object => "object",
            Kind::Token => "token",
            Kind::Catalog => "catalog",
            Kind::Namespace => "namespace",
            Kind::Table => "table",
        })
    }
}

/// A refusal. The text never holds a secret.
#[derive(Debug)]
pub enum Error {
    /// The request cannot work as it is.
    Invalid(Invalid),
    /// No bucket can have this name.
    BucketName(Invalid),
    /// There is no such thing.
    Missing(Kind),
    /// The name is taken, by `name` up to case.
    Exists {
        /// Of what kind.
        kind: Kind,
        /// The name as it is taken.
        name: String,
    },
    /// The pipeline has another version than the caller has seen.
    #[expect(missing_docs, reason = "said above")]
    Outdated { expected: u64, current: u64 },
    /// The account has as many as it may.
    TooMany {
        /// Of what kind.
        kind: Kind,
        /// The limit.
        max: usize,
    },
    /// Something else needs it; the text says what.
    InUse(String),
    /// A sink is to make a table that is there already; the text says which.
    TableExists(String),
    /// What was asked for is another system's to do; the text says whose.
    NotHere(String),
    /// The bucket holds objects.
    NotEmpty(String),
    /// The SQL cannot run.
    Sql(SqlRefusal),
    /// Too much of it is being done; the text says what. The same request may work later.
    Busy(String),
    /// Somebody else was faster; the same request may work now.
    Conflict,
    /// The server cannot do it now; the text is for its log.
    Unavailable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(invalid) | Error::BucketName(invalid) => invalid.fmt(f),
            Error::Missing(kind) => write!(f, "there is no such {kind}"),
            Error::Exists { kind, name } => write!(f, "a {kind} named {name:?} already exists"),
            Error::TooMany { kind, max } => {
                write!(f, "the account has {max} {kind}s, which is the limit; delete one first")
            }
            Error::Outdated { expected, current } => write!(
                f,
                "expected_version: is {expected}, but the pipeline is at version {current}; look at what has changed, then edit that"
            ),
            Error::TableExists(table) => {
                write!(f, "Cannot create sink for existing catalog table: {table}")
            }
            Error::InUse(text) | Error::NotHere(text) | Error::Busy(text) => f.write_str(text),
            Error::NotEmpty(bucket) => write!(f, "bucket {bucket:?} holds objects; delete them first"),
            Error::Sql(refusal) => refusal.fmt(f),
            Error::Conflict => f.write_str("the resources changed at the same time; try again"),
            Error::Unavailable(_) => f.write_str("the server cannot do this now; its log says why"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Error::Invalid(invalid)
    }
}

impl From<lakehead_meta::Error> for Error {
    fn from(error: lakehead_meta::Error) -> Self {
        match error.kind() {
            lakehead_meta::ErrorKind::Conflict => Error::Conflict,
            lakehead_meta::ErrorKind::Limit => {
                Error::TooMany { kind: Kind::Token, max: lakehead_model::limits::TOKENS_MAX }
            }
            _ => Error::Unavailable(error.to_string()),
        }
    }
}
