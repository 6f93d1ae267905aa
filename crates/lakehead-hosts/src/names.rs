//! The fixed names, and which of them a request is for.

/// Where wrangler sends the browser for a key.
pub const OAUTH_HOST: &str = "oauth.pipelines.cloudflare.com";
/// The management API in production. Clients can be pointed elsewhere by a variable, so it is played only if asked for.
pub const API_HOST: &str = "api.cloudflare.com";
/// Legacy pipelines take records at `{pipeline_id}.` below it.
pub const PIPELINES_DOMAIN: &str = "pipelines.cloudflare.com";
/// Streams take records at `{stream_id}.` below it.
pub const STREAMS_DOMAIN: &str = "ingest.cloudflare.com";
const R2_DOMAIN: &str = "r2.cloudflarestorage.com";

/// The account's S3 host; buckets are names below it.
pub fn r2_host(account_id: &str) -> String {
    format!("{account_id}.{R2_DOMAIN}")
}

/// The names a certificate must hold, wildcards included.
pub fn certificate_names(account_id: &str) -> Vec<String> {
    let r2 = r2_host(account_id);
    vec![
        format!("*.{r2}"),
        r2,
        OAUTH_HOST.to_owned(),
        format!("*.{PIPELINES_DOMAIN}"),
        format!("*.{STREAMS_DOMAIN}"),
        API_HOST.to_owned(),
    ]
}

/// The domains below which the certificate authority may vouch for names; for nothing else.
pub fn permitted_domains(account_id: &str) -> Vec<String> {
    vec![r2_host(account_id), PIPELINES_DOMAIN.to_owned(), STREAMS_DOMAIN.to_owned(), API_HOST.to_owned()]
}

/// Which part a host name belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    OAuth,
    /// The account's S3 host; the bucket if the name holds it, else it is the first part of the path.
    S3 {
        bucket: Option<String>,
    },
    Other,
}

/// `host` is a `Host` header: upper or lower case, with or without a port.
pub(crate) fn part(host: &str, account_id: &str) -> Part {
    let name = without_port(host).to_ascii_lowercase();
    if name == OAUTH_HOST {
        return Part::OAuth;
    }
    match name.strip_suffix(&r2_host(account_id)) {
        Some("") => Part::S3 { bucket: None },
        Some(before) => match before.strip_suffix('.') {
            Some(bucket) if !bucket.is_empty() => Part::S3 { bucket: Some(bucket.to_owned()) },
            _ => Part::Other,
        },
        None => Part::Other,
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests;
