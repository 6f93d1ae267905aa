//! The account's S3 host, as far as clients of pipelines need it: `HeadBucket` and `ListObjectsV2`, virtual-host and path style,
//! with signatures of version 4 in the header. Protocol: the Amazon S3 API Reference; what R2 does not have is missing here, too.
//!
//! **Invariant:** nothing is said about a bucket before the signature was found valid and the key opens that bucket.

mod error;
mod listing;
mod signature;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use lakehead_model::Timestamp;

use crate::account::Account;
use crate::answer::{self, Body};
use crate::percent;
pub(crate) use error::S3Error;
use listing::Listing;

/// What R2 calls its only region.
const REGION: HeaderValue = HeaderValue::from_static("auto");
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// What a request wants.
#[derive(Debug, PartialEq, Eq)]
enum Operation {
    HeadBucket,
    List(Listing),
}

/// Answers a request by its head. `host_bucket` is the bucket the host's name holds. May block.
pub(crate) fn answer(
    head: &Parts,
    host_bucket: Option<&str>,
    account: &dyn Account,
    now: Timestamp,
    request_id: &str,
) -> Response<Body> {
    let outcome = answered(head, host_bucket, account, now);
    let mut response = outcome.unwrap_or_else(|error| {
        if let S3Error::Internal(reason) = &error {
            tracing::error!(%reason, %request_id, "an S3 request failed");
        }
        error.response(head.method == Method::HEAD, head.uri.path(), request_id)
    });
    if let Ok(id) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn answered(
    head: &Parts,
    host_bucket: Option<&str>,
    account: &dyn Account,
    now: Timestamp,
) -> Result<Response<Body>, S3Error> {
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(S3Error::MethodNotAllowed);
    }
    let access_key_id = signature::verify(head, now, |id| account.secret_access_key(id))?;
    let (bucket, key) = target(head.uri.path(), host_bucket)?;
    if bucket.is_empty() {
        return Err(S3Error::NotImplemented("ListBuckets".to_owned()));
    }
    if !account.may_read(&access_key_id, &bucket).map_err(S3Error::Internal)? {
        return Err(S3Error::AccessDenied("The key does not open this bucket."));
    }
    if !account.bucket_exists(&bucket).map_err(S3Error::Internal)? {
        return Err(S3Error::NoSuchBucket(bucket));
    }
    let mut response = match operation(head, &key)? {
        Operation::HeadBucket => answer::empty(StatusCode::OK),
        Operation::List(listing) => {
            answer::with_type(StatusCode::OK, "application/xml", listing.page(account, &bucket)?)
        }
    };
    response.headers_mut().insert(BUCKET_REGION, REGION);
    Ok(response)
}

/// Bucket and key, decoded.
fn target(path: &str, host_bucket: Option<&str>) -> Result<(String, String), S3Error> {
    let decoded = percent::decode(path).and_then(|bytes| String::from_utf8(bytes).ok());
    let path = decoded.ok_or(S3Error::InvalidUri)?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = match host_bucket {
        Some(bucket) => (bucket, path),
        None => path.split_once('/').unwrap_or((path, "")),
    };
    Ok((bucket.to_owned(), key.to_owned()))
}

fn operation(head: &Parts, key: &str) -> Result<Operation, S3Error> {
    let parameters =
        percent::parameters(head.uri.query().unwrap_or_default(), false).ok_or(S3Error::InvalidUri)?;
    match (&head.method, key) {
        (&Method::HEAD, "") => Ok(Operation::HeadBucket),
        (_, "") => Listing::from_parameters(&parameters).map(Operation::List),
        _ => Err(S3Error::NotImplemented("GetObject".to_owned())),
    }
}

/// What an answer to a method that is not offered must say.
fn allow(response: &mut Response<Body>) {
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
}
