//! Commands that manage a running server over its public API, as anybody else could.
//!
//! ```text
//!   arguments ──► Command ──► Endpoint (which server, which account, which token) ──► Api ──► calls
//!                                                                    Said { out, note } ◄──┘
//! ```
//!
//! What a program reads goes to standard output, what a person reads besides it to standard error. The exit status is 0, or 1
//! with the reason on standard error. An audit has one more: 1 says that something differs, 2 that it could not be looked at.
//!
//! **Invariant:** nothing here knows the server's insides, and no secret is in an error.
//! **Memory:** one answer of the API, at most [`api::ANSWER_BYTES_MAX`], and what a list gathers.

#![deny(missing_docs)]

mod api;
mod audit;
mod endpoint;
mod error;
mod expiry;
mod names;
mod resource_ids;
mod sql;
mod table;
mod tokens;

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use lakehead_model::{Clock, SystemClock};

pub use audit::Audited;
pub use endpoint::Where;
pub use error::Error;
pub use names::Names;
pub use sql::{SqlCommand, Text};
pub use tokens::{Create, TokensCommand};

/// The commands, for the binary to embed.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make, list and revoke the tokens that let clients in.
    Tokens {
        /// Which server.
        #[command(flatten)]
        at: Where,
        /// What to do.
        #[command(subcommand)]
        command: TokensCommand,
    },
    /// Try SQL before it becomes a pipeline.
    Sql {
        /// Which server.
        #[command(flatten)]
        at: Where,
        /// What to do.
        #[command(subcommand)]
        command: SqlCommand,
    },
    /// Recount what a pipeline has made from its output and the log. Exits with 1 if anything is not as its ledger says, with 2 if
    /// that cannot be said.
    Audit {
        /// Which server.
        #[command(flatten)]
        at: Where,
        /// What to look at.
        #[command(flatten)]
        audited: Audited,
    },
}

impl Command {
    /// The exit status if it fails.
    fn failure(&self) -> u8 {
        match self {
            Command::Tokens { .. } | Command::Sql { .. } => 1,
            Command::Audit { .. } => audit::NOT_LOOKED,
        }
    }
}

/// What a command has to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// For standard output.
    pub out: String,
    /// For standard error: remarks to a person.
    pub note: String,
    /// The exit status.
    pub code: u8,
}

/// Runs the command in the process's environment and prints what it says.
pub fn run(command: Command) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let clock = SystemClock::default();
    let failure = command.failure();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(execute(command, &|name| std::env::var(name).ok(), &clock)),
        Err(error) => Err(Error::new(format!("cannot start: {error}"))),
    };
    let said = result.unwrap_or_else(|error| {
        let note = format!("lakehead: {error}\n");
        Said { note, code: failure, ..Said::default() }
    });
    // A reader that went away is no reason to panic, but it has not read what it was to read.
    let out = std::io::stdout().write_all(said.out.as_bytes()).and_then(|()| std::io::stdout().flush());
    let note = std::io::stderr().write_all(said.note.as_bytes());
    if out.is_err() || note.is_err() { ExitCode::from(failure) } else { ExitCode::from(said.code) }
}

/// Runs the command; the environment's variables and the time come from the caller.
///
/// # Errors
/// A text for a person: the server cannot be found or does not run, or what its API answered.
pub async fn execute(
    command: Command,
    variable: &dyn Fn(&str) -> Option<String>,
    clock: &dyn Clock,
) -> Result<Said, Error> {
    match command {
        Command::Tokens { at, command } => {
            let endpoint = at.endpoint(variable)?;
            tokens::execute(command, &api::Api::new(endpoint)?, clock).await
        }
        Command::Sql { at, command } => {
            let width = variable("COLUMNS").and_then(|columns| columns.parse().ok());
            sql::execute(command, &api::Api::new(at.endpoint(variable)?)?, width).await
        }
        Command::Audit { at, audited } => {
            audit::execute(audited, &api::Api::new(at.endpoint(variable)?)?).await
        }
    }
}
