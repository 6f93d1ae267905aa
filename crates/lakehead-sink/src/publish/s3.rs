//! A bucket behind an S3 endpoint.

use std::fmt;

use lakehead_model::Secret;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::{ClientOptions, RetryConfig};

use super::left_uploads::S3Uploads;
use crate::{Error, ErrorKind};

/// Where the bucket is and how to sign for it. `Debug` shows no secret.
#[derive(Clone)]
pub struct S3Bucket {
    /// `https://host[:port]`, without the bucket.
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    pub access_key_id: String,
    pub secret: Secret,
    /// Goes with keys that end after a while.
    pub session_token: Option<Secret>,
    /// `https://host/bucket/key` instead of `https://bucket.host/key`.
    pub path_style: bool,
    /// Allows `http://` to other hosts than this one. Requests are signed, but everybody on the way can read them.
    pub allow_http: bool,
}

impl fmt::Debug for S3Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Bucket")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("access_key_id", &self.access_key_id)
            .field("path_style", &self.path_style)
            .finish_non_exhaustive()
    }
}

impl S3Bucket {
    /// The client. It never retries and has no deadline of its own: both are ours, because between two tries somebody has to
    /// look what the first one did. Nothing is read from the process's environment or an instance's metadata.
    pub(crate) fn client(&self) -> Result<AmazonS3, Error> {
        let Address { scheme, host, endpoint } = self.address()?;
        let endpoint = match self.path_style {
            true => endpoint.to_owned(),
            false => format!("{scheme}://{}.{host}", self.bucket),
        };
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_client_options(options(scheme))
            .with_allow_http(scheme == "http")
            .with_retry(retry)
            .with_endpoint(endpoint)
            .with_virtual_hosted_style_request(!self.path_style)
            .with_region(&self.region)
            .with_bucket_name(&self.bucket)
            .with_access_key_id(&self.access_key_id)
            .with_secret_access_key(self.secret.reveal())
            .with_conditional_put(S3ConditionalPut::ETagMatch);
        // Both become values of headers, where the library panics over what cannot be one.
        let token = self.session_token.as_ref().map(Secret::reveal);
        for (what, text) in [("access key id", Some(self.access_key_id.as_str())), ("session token", token)] {
            if text.is_some_and(|text| http::HeaderValue::from_str(text).is_err()) {
                let text =
                    format!("the {what} of bucket {:?} holds what no HTTP header can hold", self.bucket);
                return Err(Error::new(ErrorKind::Settings, text));
            }
        }
        if let Some(token) = token {
            builder = builder.with_token(token);
        }
        builder.build().map_err(|e| {
            Error::caused(ErrorKind::Settings, format!("cannot use bucket {:?}", self.bucket), e)
        })
    }

    /// Where uploads left in the bucket are found, with the keys of `client`.
    pub(super) fn left_uploads(&self, client: AmazonS3) -> Result<S3Uploads, Error> {
        let Address { scheme, host, endpoint } = self.address()?;
        let bucket_url = match self.path_style {
            true => format!("{endpoint}/{}", self.bucket),
            false => format!("{scheme}://{}.{host}", self.bucket),
        };
        S3Uploads::new(client, &options(scheme), bucket_url, self.region.clone())
    }

    fn address(&self) -> Result<Address<'_>, Error> {
        let endpoint = self.endpoint.trim_end_matches('/');
        let (scheme, host) = endpoint
            .split_once("://")
            .filter(|(scheme, host)| matches!(*scheme, "http" | "https") && !host.is_empty())
            .ok_or_else(|| {
                let text = format!("the endpoint {endpoint:?} must be http:// or https:// and a host");
                Error::new(ErrorKind::Settings, text)
            })?;
        if scheme == "http" && !self.allow_http && !is_loopback(host) {
            let text = format!("the endpoint {endpoint:?} is not encrypted; use https:// or allow http");
            return Err(Error::new(ErrorKind::Settings, text));
        }
        Ok(Address { scheme, host, endpoint })
    }
}

/// An endpoint that may be spoken with: `{scheme}://{host}`.
struct Address<'a> {
    scheme: &'a str,
    host: &'a str,
    endpoint: &'a str,
}

fn options(scheme: &str) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(scheme == "http")
        .with_timeout_disabled()
        .with_connect_timeout(std::time::Duration::from_secs(10))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
