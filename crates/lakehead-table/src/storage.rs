//! Where the files of a table go, from what the catalog says of it and what the operator configured.
//!
//! The location says the bucket and the folder in it. Keys that the catalog hands out win over those of the configuration, and
//! with them their endpoint and region; an endpoint without keys does not, because catalogs often name one that is theirs alone.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use lakehead_model::{Secret, Timestamp};
use lakehead_sink::{Bucket, S3Bucket};

use crate::{CatalogError, CatalogErrorKind, LoadedTable};

/// How long before their end credentials are asked for anew: a file that is being uploaded must still arrive.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// When credentials that end nobody says when are asked for anew. Session tokens live for 15 minutes at least.
const UNSTATED_LIFE: Duration = Duration::from_secs(10 * 60);

/// Whether a catalog may say that files are on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalFiles {
    /// For a catalog that is not ours.
    Refused,
    /// In the folder of the bucket.
    Allowed,
}

/// Where the files of a table go.
#[derive(Debug, Clone)]
pub struct TableStorage {
    /// The bucket of the table, with credentials.
    pub bucket: Bucket,
    /// The table's folder in it, without a slash at either end; may be empty.
    pub prefix: String,
    /// When the table must be loaded again for other credentials; `None`: they do not end.
    pub reload_at: Option<Timestamp>,
}

/// Where the files of `table` go. `configured`: the bucket that the table's sink names; an empty key id stands for no keys.
///
/// # Errors
/// `Refused`: the location is nowhere that can be written to, for a reason to show.
pub fn storage_of(
    table: &LoadedTable,
    configured: &Bucket,
    local_files: LocalFiles,
    now: Timestamp,
) -> Result<TableStorage, CatalogError> {
    let location = table.metadata.location();
    let given = Given(&table.config.0);
    let (scheme, rest) = location.split_once("://").unwrap_or(("file", location));
    let storage = match scheme {
        "s3" | "s3a" | "s3n" => {
            let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let reload_at = if given.keys().is_some() { given.reload_at(now) } else { None };
            given.bucket(name, configured).map(|bucket| TableStorage {
                bucket: Bucket::S3(bucket),
                prefix: prefix.to_owned(),
                reload_at,
            })
        }
        "file" => local(rest.strip_prefix("file:").unwrap_or(rest), configured, local_files),
        other => Err(format!("storage of kind {other:?} cannot be written to; s3 can")),
    };
    let storage = storage.and_then(|mut storage| {
        let prefix = storage.prefix.trim_end_matches('/').to_owned();
        let is_plain = |part: &str| !matches!(part, "" | "." | "..");
        if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
            return Err("it is no plain path".to_owned());
        }
        storage.prefix = prefix;
        Ok(storage)
    });
    storage.map_err(|why| {
        CatalogError::new(CatalogErrorKind::Refused, format!("the table is at {location:?}: {why}"))
    })
}

fn local(path: &str, configured: &Bucket, local_files: LocalFiles) -> Result<TableStorage, String> {
    let root = match (local_files, configured) {
        (LocalFiles::Refused, _) => {
            return Err("a catalog elsewhere has no say over files of this machine".to_owned());
        }
        (LocalFiles::Allowed, Bucket::S3(_)) => return Err("the bucket is in an S3 store".to_owned()),
        (LocalFiles::Allowed, Bucket::Local { root }) => root,
    };
    let absolute = std::path::absolute(root).map_err(|e| format!("the bucket's folder has no path: {e}"))?;
    let below = Path::new(path).strip_prefix(&absolute);
    let prefix = below
        .ok()
        .and_then(Path::to_str)
        .ok_or_else(|| format!("that is not in the folder of the bucket, {}", absolute.display()))?;
    Ok(TableStorage { bucket: configured.clone(), prefix: prefix.to_owned(), reload_at: None })
}

/// What the catalog said of reaching the files.
struct Given<'a>(&'a HashMap<String, String>);

impl Given<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A whole key pair.
    fn keys(&self) -> Option<(&str, &str)> {
        Some((self.text("s3.access-key-id")?, self.text("s3.secret-access-key")?))
    }

    fn bucket(&self, name: &str, configured: &Bucket) -> Result<S3Bucket, String> {
        if name.is_empty() {
            return Err("it names no bucket".to_owned());
        }
        let region = self.text("s3.region").or_else(|| self.text("client.region"));
        let Some((access_key_id, secret)) = self.keys() else {
            return match configured {
                Bucket::S3(bucket) if bucket.access_key_id.is_empty() => {
                    Err("there are no keys to write with, neither configured nor given by the catalog"
                        .to_owned())
                }
                Bucket::S3(bucket) => Ok(S3Bucket { bucket: name.to_owned(), ..bucket.clone() }),
                Bucket::Local { .. } => {
                    Err("the configured bucket is a folder, and the catalog gave no keys for \
                    a store; give the bucket an `endpoint`"
                        .to_owned())
                }
            };
        };
        let vended = S3Bucket {
            endpoint: String::new(),
            region: region.unwrap_or("us-east-1").to_owned(),
            bucket: name.to_owned(),
            access_key_id: access_key_id.to_owned(),
            secret: Secret::new(secret),
            session_token: self.text("s3.session-token").map(Secret::new),
            path_style: true,
            allow_http: false,
        };
        let path_style = self.text("s3.path-style-access").map(|text| text.eq_ignore_ascii_case("true"));
        let endpoint = self.text("s3.endpoint");
        match configured {
            Bucket::S3(old) => Ok(S3Bucket {
                endpoint: endpoint.unwrap_or(&old.endpoint).to_owned(),
                region: region.unwrap_or(&old.region).to_owned(),
                path_style: path_style.unwrap_or(old.path_style),
                // A catalog does not take the encryption away that the operator wanted.
                allow_http: old.allow_http && old.endpoint.starts_with("http://"),
                ..vended
            }),
            Bucket::Local { .. } => {
                let of_region = region.map(|region| format!("https://s3.{region}.amazonaws.com"));
                let endpoint = endpoint
                    .map(str::to_owned)
                    .or(of_region)
                    .ok_or("the catalog gave keys but no endpoint; give the bucket an `endpoint`")?;
                Ok(S3Bucket { endpoint, path_style: path_style.unwrap_or(true), ..vended })
            }
        }
    }

    fn reload_at(&self, now: Timestamp) -> Option<Timestamp> {
        let stated = ["s3.session-token-expires-at-ms", "expiration-time"]
            .iter()
            .find_map(|name| self.text(name)?.parse::<i64>().ok())
            .map(|millis| Timestamp(millis.saturating_mul(1000)));
        let Some(end) = stated else {
            self.text("s3.session-token")?;
            return Some(after(now, UNSTATED_LIFE));
        };
        let left = end.saturating_duration_since(now);
        Some(after(now, left - MARGIN.min(left / 2)))
    }
}

fn after(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp(now.as_micros().saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;
