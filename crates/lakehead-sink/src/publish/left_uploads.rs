//! Uploads in parts that a lost answer or a crash left in a bucket under one key.
//!
//! The note beside a staged file (`multipart.rs`) knows an upload whose id arrived. Where it did not, only the bucket knows it:
//! `ListMultipartUploads` of the S3 API, which the client library lacks, asked for the one key. A key belongs to one file, so all
//! that is found there is ours. This only tidies: what the listing leaves out is in nobody's way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::{Method, Request, StatusCode, Uri};
use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody, ReqwestConnector};
use object_store::{ClientOptions, MultipartId};
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use crate::{Error, ErrorKind};

type Ids<'a> = Pin<Box<dyn Future<Output = object_store::Result<Vec<MultipartId>>> + Send + 'a>>;

/// Knows the uploads of a bucket that are neither completed nor aborted.
pub trait LeftUploads: fmt::Debug + Send + Sync {
    /// The ids of those for exactly this key; it may leave some out.
    ///
    /// # Errors
    /// `Generic`: it may be asked again.
    fn of<'a>(&'a self, key: &'a str) -> Ids<'a>;
}

/// Those of a bucket behind an S3 endpoint.
#[derive(Debug)]
pub(super) struct S3Uploads {
    client: AmazonS3,
    http: HttpClient,
    bucket_url: String,
    region: String,
}

impl S3Uploads {
    /// `bucket_url`: where the bucket itself is, without a `/` at the end.
    pub(super) fn new(
        client: AmazonS3,
        options: &ClientOptions,
        bucket_url: String,
        region: String,
    ) -> Result<Self, Error> {
        let http = ReqwestConnector::default()
            .connect(options)
            .map_err(|e| Error::caused(ErrorKind::Settings, "cannot make an HTTP client", e))?;
        Ok(S3Uploads { client, http, bucket_url, region })
    }

    async fn list(&self, key: &str) -> object_store::Result<Vec<MultipartId>> {
        let broken = |what: String| object_store::Error::Generic { store: "s3", source: what.into() };
        let credential = self.client.credentials().get_credential().await?;
        let uri: Uri = format!("{}/?prefix={}&uploads=", self.bucket_url, encoded(key))
            .parse()
            .map_err(|e| broken(format!("{e}")))?;
        let mut request = Request::new(HttpRequestBody::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let answer = self.http.execute(request).await.map_err(|e| broken(e.to_string()))?;
        let status = answer.status();
        if !status.is_success() {
            let text = format!("the store answered {status}");
            let passes = status == StatusCode::TOO_MANY_REQUESTS
                || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
            return Err(if passes {
                broken(text)
            } else {
                object_store::Error::NotSupported { source: text.into() }
            });
        }
        let body = answer.into_body().bytes().await.map_err(|e| broken(e.to_string()))?;
        ids(&body, key).map_err(|e| broken(format!("the answer is no list of uploads: {e}")))
    }
}

impl LeftUploads for S3Uploads {
    fn of<'a>(&'a self, key: &'a str) -> Ids<'a> {
        Box::pin(self.list(key))
    }
}

/// As SigV4 wants values of a query: everything but the unreserved characters of RFC 3986.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A piece of an element's text.
fn piece(event: &Event<'_>) -> Result<String, quick_xml::Error> {
    Ok(match event {
        Event::Text(text) => text.decode()?.into_owned(),
        Event::GeneralRef(reference) => match reference.resolve_char_ref()? {
            Some(character) => character.to_string(),
            None => resolve_predefined_entity(&reference.decode()?).unwrap_or_default().to_owned(),
        },
        _ => String::new(),
    })
}

/// The ids for exactly `key` in a `ListMultipartUploadsResult`.
fn ids(body: &[u8], key: &str) -> Result<Vec<MultipartId>, quick_xml::Error> {
    let mut reader = Reader::from_reader(body);
    let (mut found, mut is_upload) = (Vec::new(), false);
    let (mut element, mut of_key, mut id) = (Vec::new(), String::new(), String::new());
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                element = start.local_name().as_ref().to_vec();
                if element == b"Upload" {
                    (is_upload, of_key, id) = (true, String::new(), String::new());
                }
            }
            // A text comes in pieces where it has references.
            event @ (Event::Text(_) | Event::GeneralRef(_)) if is_upload => match element.as_slice() {
                b"Key" => of_key.push_str(&piece(&event)?),
                b"UploadId" => id.push_str(&piece(&event)?),
                _ => {}
            },
            Event::End(end) => {
                element.clear();
                if end.local_name().as_ref() == b"Upload" {
                    is_upload = false;
                    if of_key == key && !id.is_empty() {
                        found.push(std::mem::take(&mut id));
                    }
                }
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uploads_of_exactly_the_key_are_found() {
        let body = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
              <Bucket>b</Bucket><Prefix>a&amp;b</Prefix><UploadId>none</UploadId>
              <Upload><Key>a&amp;b</Key><UploadId>one</UploadId><Initiator><ID>x</ID></Initiator></Upload>
              <Upload><UploadId>t&#119;o</UploadId><Key>a&amp;b</Key></Upload>
              <Upload><Key>a&amp;b.more</Key><UploadId>three</UploadId></Upload>
              <Upload><Key>a&amp;b</Key></Upload>
            </ListMultipartUploadsResult>"#;
        assert_eq!(ids(body, "a&b").unwrap(), ["one", "two"]);
        assert_eq!(ids(body, "c").unwrap(), Vec::<String>::new());
        assert!(ids(b"<a></b>", "a").is_err());
    }

    #[test]
    fn a_key_is_encoded_as_signatures_want_it() {
        assert_eq!(encoded("a/b c~\u{e4}+.gz"), "a%2Fb%20c~%C3%A4%2B.gz");
    }
}
