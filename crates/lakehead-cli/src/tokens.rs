//! `lakehead tokens`: `{account}/tokens` of the API.

use std::collections::BTreeSet;

use clap::{Args, Subcommand, ValueEnum};
use lakehead_model::{Clock, TokenId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, Failure};
use crate::expiry::Expiry;
use crate::resource_ids::STREAM;
use crate::table::table;
use crate::{Error, Said};

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Make a token and print its value, which is shown this one time.
    Create(Create),
    /// List the tokens; their values cannot be read.
    List {
        /// Print what the API answers, as a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token; the next request that shows it is refused.
    Revoke {
        /// Id of the token, as `list` shows it.
        id: String,
    },
}

/// The token to be made.
#[derive(Debug, Args)]
pub struct Create {
    /// What it is for: up to 120 characters, for people to read.
    #[arg(long)]
    name: String,
    /// What it may do, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    allow: Vec<Permission>,
    /// The only stream or legacy pipeline it may send to, by id or exact name; may be repeated [default: every one].
    #[arg(long = "stream", value_name = "ID or NAME")]
    streams: Vec<String>,
    /// When it ends: a time from now (90m, 12h, 30d, 4w) or RFC 3339 [default: when it is revoked].
    #[arg(long, value_name = "WHEN", value_parser = Expiry::parse)]
    expires: Option<Expiry>,
    /// Print what the API answers, as JSON; `value` holds the value.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Permission {
    /// Look at streams, sinks, pipelines.
    Read,
    /// Change them.
    Write,
    /// Send records.
    Send,
}

impl Permission {
    fn word(self) -> &'static str {
        match self {
            Permission::Read => "read",
            Permission::Write => "write",
            Permission::Send => "send",
        }
    }
}

/// A token in the API's words; `value` in the answer that made it only.
#[derive(Deserialize)]
struct Shown {
    id: String,
    name: String,
    status: String,
    permissions: Vec<String>,
    streams: Option<Vec<String>>,
    expires_on: Option<String>,
    last_used_on: Option<String>,
    value: Option<String>,
}

pub(crate) async fn execute(command: TokensCommand, api: &Api, clock: &dyn Clock) -> Result<Said, Error> {
    match command {
        TokensCommand::Create(new) => create(new, api, clock).await,
        TokensCommand::List { json } => list(api, json).await,
        TokensCommand::Revoke { id } => revoke(api, &id).await,
    }
}

async fn create(new: Create, api: &Api, clock: &dyn Clock) -> Result<Said, Error> {
    let allowed: BTreeSet<_> = new.allow.iter().copied().collect();
    let permissions: Vec<_> = allowed.into_iter().map(Permission::word).collect();
    let mut body = json!({ "name": new.name, "permissions": permissions });
    if !new.streams.is_empty() {
        let mut ids = Vec::with_capacity(new.streams.len());
        for called in &new.streams {
            let id = STREAM.resolve(api, called).await?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        body["streams"] = json!(ids);
    }
    if let Some(expiry) = new.expires {
        body["expires_on"] = json!(expiry.moment(clock.now()).to_rfc3339());
    }
    let answer = api.post(&["tokens"], &body).await.map_err(|failure| match failure {
        Failure::Unknown(error) => {
            Error::new(format!("{error}; the token may have been made: see `lakehead tokens list`"))
        }
        failure => failure.into(),
    })?;
    // The parser's words could repeat the value.
    let made: Option<Shown> = serde_json::from_value(answer.clone()).ok();
    let Some((made, Some(value))) = made.map(Shown::without_value) else {
        return Err(Error::new(
            "the API answered with something that is not a new token; see `lakehead tokens list`",
        ));
    };
    let out = if new.json { pretty(&answer) } else { format!("{value}\n") };
    Ok(Said { out, note: crate::error::printable(&made.description()), ..Said::default() })
}

async fn list(api: &Api, json: bool) -> Result<Said, Error> {
    let tokens = api.list(&["tokens"], &[]).await?;
    if json {
        return Ok(Said { out: pretty(&Value::Array(tokens)), ..Said::default() });
    }
    let rows = tokens
        .into_iter()
        .map(|token| serde_json::from_value(token).map(|token: Shown| token.row()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::new(format!("the API listed something that is not a token: {e}")))?;
    if rows.is_empty() {
        return Ok(Said { out: "No tokens.\n".into(), ..Said::default() });
    }
    let head = ["ID", "NAME", "PERMISSIONS", "STREAMS", "EXPIRES", "LAST USED", "STATUS"];
    Ok(Said { out: table(head, &rows), ..Said::default() })
}

async fn revoke(api: &Api, id: &str) -> Result<Said, Error> {
    if id.parse::<TokenId>().is_err() {
        // Not repeated: it may be the value of a token.
        return Err(Error::new(
            "that is not the id of a token, which is 32 lower-case hex digits; `lakehead tokens list` shows it, \
             and in a value it stands behind `lh_`",
        ));
    }
    api.delete(&["tokens", id]).await?;
    Ok(Said { out: format!("Revoked {id}.\n"), ..Said::default() })
}

impl Shown {
    /// The token and its value, apart.
    fn without_value(mut self) -> (Shown, Option<String>) {
        let value = self.value.take();
        (self, value)
    }

    fn row(self) -> [String; 7] {
        let moment = |text: Option<String>| text.map_or("never".to_owned(), |text| to_seconds(&text));
        let streams = match &self.streams {
            _ if !self.may_send() => "-".to_owned(),
            None => "every".to_owned(),
            Some(streams) => streams.join(","),
        };
        let permissions = self.permissions.join(",");
        let (expires, used) = (moment(self.expires_on), moment(self.last_used_on));
        [self.id, self.name, permissions, streams, expires, used, self.status]
    }

    fn may_send(&self) -> bool {
        self.permissions.iter().any(|word| word == "send")
    }

    /// What was made, for the person who made it.
    fn description(&self) -> String {
        let mut may = self.permissions.join(", ");
        if let (true, Some(streams)) = (self.may_send(), &self.streams) {
            may.push_str(&format!(" (to {})", streams.join(", ")));
        }
        let until = self
            .expires_on
            .as_ref()
            .map_or("until it is revoked".to_owned(), |moment| format!("until {}", to_seconds(moment)));
        format!(
            "Made the token {:?} with id {}: {may}, {until}.\nIts value is shown this one time only; keep it now.\n",
            self.name, self.id
        )
    }
}

/// RFC 3339 without the parts of a second.
fn to_seconds(moment: &str) -> String {
    match moment.split_once('.') {
        Some((seconds, rest)) if rest.ends_with('Z') => format!("{seconds}Z"),
        _ => moment.to_owned(),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
