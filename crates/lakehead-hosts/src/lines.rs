//! The lines that send the fixed names to the listener, as text for a hosts file.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use crate::names::{API_HOST, OAUTH_HOST, PIPELINES_DOMAIN, STREAMS_DOMAIN, r2_host};

/// What the lines are for.
#[derive(Debug)]
pub struct Lines<'a> {
    /// Where clients reach the listener. An unspecified address (`0.0.0.0`, `::`) stands for the loopback.
    pub address: IpAddr,
    pub port: u16,
    pub account_id: &'a str,
    /// [`crate::Certificates::ca_file`].
    pub ca_file: &'a Path,
    /// Names of buckets. A hosts file knows no wildcards, so each has its line.
    pub buckets: &'a [String],
    /// Ids of legacy pipelines that take records over HTTP.
    pub pipeline_ids: &'a [String],
    /// Ids of streams that take records over HTTP.
    pub stream_ids: &'a [String],
    /// Whether `api.cloudflare.com` is played, too. Then no client on the machine reaches the real one.
    pub with_api: bool,
}

/// The text, to be appended to `/etc/hosts` as it is: comments say what clients need besides. Names that no hosts file can hold
/// are left out with a comment that says so.
pub fn hosts_lines(lines: &Lines<'_>) -> String {
    let address = match lines.address {
        IpAddr::V4(a) if a.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(a) if a.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        other => other,
    };
    let r2 = r2_host(lines.account_id);
    let mut names = vec![OAUTH_HOST.to_owned(), r2.clone()];
    names.extend(lines.buckets.iter().map(|bucket| format!("{bucket}.{r2}")));
    names.extend(lines.pipeline_ids.iter().map(|id| format!("{id}.{PIPELINES_DOMAIN}")));
    names.extend(lines.stream_ids.iter().map(|id| format!("{id}.{STREAMS_DOMAIN}")));
    if lines.with_api {
        names.push(API_HOST.to_owned());
    }
    let mut text = introduction(lines);
    for name in names {
        let _ = match is_host_name(&name) {
            true => writeln!(text, "{address} {name}"),
            false => writeln!(text, "# left out, no host name: {}", name.escape_default()),
        };
    }
    text
}

fn introduction(lines: &Lines<'_>) -> String {
    let ca_file = quoted(lines.ca_file);
    let mut text = format!(
        "# lakehead: names that wrangler contacts whatever its variables say\n\
         # wrangler trusts the certificates after:  export NODE_EXTRA_CA_CERTS={ca_file}\n\
         # curl needs:  --cacert {ca_file}\n\
         # The browser in which wrangler asks for a key must have imported that file as an authority for web sites.\n\
         # A new bucket, stream or pipeline needs a new line.\n"
    );
    if lines.port != 443 {
        let _ = writeln!(text, "# Clients come to port 443; the listener is on port {}.", lines.port);
    }
    text
}

/// For a shell, on one line.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('\'', "'\\''");
    format!("'{}'", text.replace(char::is_control, "?"))
}

/// Labels of letters, digits and inner dashes, 63 at most each, 253 altogether; `_` as well, which resolvers take.
fn is_host_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests;
