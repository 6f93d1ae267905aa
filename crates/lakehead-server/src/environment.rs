//! What wrangler and the SDKs need to know, as lines for a shell.

use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError};

/// Holds the base URL of the server that ran last on this data folder.
const URL_FILE: &str = "url";

fn url_file(data_dir: &Path) -> PathBuf {
    data_dir.join(URL_FILE)
}

/// Notes where the server is reached, for `lakehead env`. Losing it loses nothing: it is written at every start.
pub fn note_url(data_dir: &Path, base_url: &str) -> std::io::Result<()> {
    std::fs::write(url_file(data_dir), base_url)
}

/// `export NAME=value` lines: wrangler's three variables, and the one the SDKs have for the address.
///
/// # Errors
/// If no server was ever started on the data folder.
pub fn exports(config: &Config) -> Result<String, ConfigError> {
    let (account, token) = (account_id(config)?, read(config, "admin_token")?);
    let url = read(config, URL_FILE)?;
    let lines = [
        ("CLOUDFLARE_API_BASE_URL", format!("{url}/client/v4")),
        ("CLOUDFLARE_BASE_URL", format!("{url}/client/v4")),
        ("CLOUDFLARE_ACCOUNT_ID", account),
        ("CLOUDFLARE_API_TOKEN", token),
    ];
    Ok(lines.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect())
}

/// The id of the account.
///
/// # Errors
/// If no server was ever started on the data folder.
pub fn account_id(config: &Config) -> Result<String, ConfigError> {
    read(config, "account_id")
}

fn read(config: &Config, name: &str) -> Result<String, ConfigError> {
    let path = config.data_dir.join(name);
    std::fs::read_to_string(&path).map(|text| text.trim().to_owned()).map_err(|e| {
        let path = path.display();
        ConfigError(format!(
            "cannot read `{path}` ({e}); has `lakehead serve` been started on this data folder?"
        ))
    })
}

/// A word for a POSIX shell.
fn quoted(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:".contains(&b);
    if value.bytes().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_a_shell() {
        assert_eq!(quoted("http://127.0.0.1:7070"), "http://127.0.0.1:7070");
        assert_eq!(quoted("a b'c"), "'a b'\\''c'");
    }

    #[test]
    fn a_folder_without_a_server_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        assert!(exports(&config).unwrap_err().0.contains("account_id"));
    }
}
