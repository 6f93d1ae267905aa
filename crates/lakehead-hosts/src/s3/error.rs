//! Refusals as S3 writes them: a status, a code programs know, and a text.

use http::{Response, StatusCode};

use crate::answer::{self, Body};
use crate::markup::escape;

#[derive(Debug)]
pub(crate) enum S3Error {
    AccessDenied(&'static str),
    /// What about the `Authorization` header cannot be read.
    AuthorizationHeaderMalformed(&'static str),
    /// The hash in `x-amz-content-sha256` is not that of an empty body.
    ContentSha256Mismatch,
    Internal(String),
    InvalidAccessKeyId,
    /// The parameter, and what it must be.
    InvalidArgument(&'static str, &'static str),
    InvalidUri,
    MethodNotAllowed,
    NoSuchBucket(String),
    /// The operation or parameter.
    NotImplemented(String),
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
}

impl S3Error {
    fn parts(&self) -> (StatusCode, &'static str, String) {
        use StatusCode as S;
        let (status, code, text) = match self {
            S3Error::AccessDenied(why) => (S::FORBIDDEN, "AccessDenied", format!("Access Denied. {why}")),
            S3Error::AuthorizationHeaderMalformed(what) => {
                (S::BAD_REQUEST, "AuthorizationHeaderMalformed", format!("Authorization: {what}."))
            }
            S3Error::ContentSha256Mismatch => (
                S::BAD_REQUEST,
                "XAmzContentSHA256Mismatch",
                "x-amz-content-sha256: must be UNSIGNED-PAYLOAD or the hash of no bytes.".to_owned(),
            ),
            S3Error::Internal(_) => {
                (S::INTERNAL_SERVER_ERROR, "InternalError", "The server's log says what happened.".to_owned())
            }
            S3Error::InvalidAccessKeyId => {
                (S::FORBIDDEN, "InvalidAccessKeyId", "There is no key with this access key id.".to_owned())
            }
            S3Error::InvalidArgument(name, what) => {
                (S::BAD_REQUEST, "InvalidArgument", format!("{name}: must be {what}."))
            }
            S3Error::InvalidUri => (
                S::BAD_REQUEST,
                "InvalidURI",
                "The path or the query is not percent-encoded UTF-8.".to_owned(),
            ),
            S3Error::MethodNotAllowed => {
                (S::METHOD_NOT_ALLOWED, "MethodNotAllowed", "Only GET and HEAD are offered here.".to_owned())
            }
            S3Error::NoSuchBucket(bucket) => {
                (S::NOT_FOUND, "NoSuchBucket", format!("There is no bucket {bucket}."))
            }
            S3Error::NotImplemented(what) => {
                (S::NOT_IMPLEMENTED, "NotImplemented", format!("{what}: is not offered here."))
            }
            S3Error::RequestTimeTooSkewed => (
                S::FORBIDDEN,
                "RequestTimeTooSkewed",
                "x-amz-date: is more than 15 minutes away from the server's time.".to_owned(),
            ),
            S3Error::SignatureDoesNotMatch => (
                S::FORBIDDEN,
                "SignatureDoesNotMatch",
                "The signature is not the one the server calculated. Check the secret access key.".to_owned(),
            ),
        };
        (status, code, text)
    }

    /// An answer to `HEAD` has no body.
    pub(super) fn response(&self, head_only: bool, resource: &str, request_id: &str) -> Response<Body> {
        let (status, code, text) = self.parts();
        let mut response = if head_only {
            answer::empty(status)
        } else {
            let body = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message>\
                 <Resource>{}</Resource><RequestId>{request_id}</RequestId></Error>",
                escape(&text),
                escape(resource),
            );
            answer::with_type(status, "application/xml", body)
        };
        if status == StatusCode::METHOD_NOT_ALLOWED {
            super::allow(&mut response);
        }
        response
    }
}
