//! Which server a command is for: a data folder on this machine, or the variables that wrangler reads.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use lakehead_model::Secret;

use crate::Error;

const BASE_URL: &str = "CLOUDFLARE_API_BASE_URL";
const ACCOUNT_ID: &str = "CLOUDFLARE_ACCOUNT_ID";
const API_TOKEN: &str = "CLOUDFLARE_API_TOKEN";
const DATA_DIR: &str = "LAKEHEAD_DATA_DIR";
/// The server's own default.
const DATA_DIR_DEFAULT: &str = "lakehead-data";

/// Where the server is. Without the flag: the server that `CLOUDFLARE_API_BASE_URL`, `CLOUDFLARE_ACCOUNT_ID` and
/// `CLOUDFLARE_API_TOKEN` name, if the first of them is set; else the one of the folder in `LAKEHEAD_DATA_DIR`, or
/// `lakehead-data`. Without a base URL the other variables are left alone: they may be meant for Cloudflare.
#[derive(Debug, Default, Args)]
pub struct Where {
    /// Data folder of the server, as given to `serve` [default: the CLOUDFLARE_ variables of `lakehead env`, then lakehead-data].
    #[arg(long, global = true)]
    pub data_dir: Option<PathBuf>,
}

/// A server, one of its accounts, and what lets us in.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// With the path of the API, without a slash at the end.
    pub(crate) base_url: String,
    pub(crate) account: String,
    pub(crate) token: Secret,
    pub(crate) source: Source,
}

/// Where an [`Endpoint`] was read from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Folder(PathBuf),
    Variables,
}

impl fmt::Display for Source {
    /// What holds the token, for errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Folder(folder) => write!(f, "`{}`", folder.join("admin_token").display()),
            Source::Variables => f.write_str(API_TOKEN),
        }
    }
}

impl Where {
    pub(crate) fn endpoint(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Endpoint, Error> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        match (&self.data_dir, set(BASE_URL)) {
            (Some(folder), _) => of_folder(folder),
            (None, Some(base_url)) => {
                let needed = |name| {
                    set(name).ok_or_else(|| {
                        Error::new(format!("{BASE_URL} is set and {name} is not; `lakehead env` prints both"))
                    })
                };
                let base_url = base_url.trim_end_matches('/').to_owned();
                let (account, token) = (needed(ACCOUNT_ID)?, Secret::new(needed(API_TOKEN)?));
                Ok(Endpoint { base_url, account, token, source: Source::Variables })
            }
            (None, None) => of_folder(Path::new(set(DATA_DIR).as_deref().unwrap_or(DATA_DIR_DEFAULT))),
        }
    }
}

/// The server that ran last on the folder.
fn of_folder(folder: &Path) -> Result<Endpoint, Error> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map(|text| text.trim().to_owned()).map_err(|e| {
            Error::new(format!(
                "cannot read `{}` ({e}); has `lakehead serve` been started on this data folder? \
                 --data-dir or the variables of `lakehead env` name another server",
                path.display()
            ))
        })
    };
    let base_url = format!("{}/client/v4", read("url")?.trim_end_matches('/'));
    let (account, token) = (read("account_id")?, Secret::new(read("admin_token")?));
    Ok(Endpoint { base_url, account, token, source: Source::Folder(folder.to_owned()) })
}

#[cfg(test)]
mod tests;
