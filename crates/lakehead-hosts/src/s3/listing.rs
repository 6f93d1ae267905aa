//! `ListObjectsV2`. **Bound:** 1,000 keys and groups a page; the account is asked for one key more at once, and not for ever:
//! a page may hold fewer than were asked for, and say that there are more.

use std::fmt::Write;

use lakehead_model::Timestamp;

use super::S3Error;
use crate::account::{Account, ListQuery, ListedObject};
use crate::markup::escape;
use crate::percent;

const KEYS_MAX: usize = 1000;
/// How often the account is asked before a page that holds something is given out.
const CALLS_MAX: usize = 32;

/// The request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    prefix: String,
    delimiter: Option<String>,
    keys_max: usize,
    start_after: Option<String>,
    /// As it came, and what it means.
    continuation: Option<(String, Place)>,
    /// Whether names in the answer are percent-encoded.
    encoded: bool,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Behind this key.
    Key(String),
    /// Behind all keys that begin so.
    Group(String),
}

/// One page of the answer.
#[derive(Default)]
struct Page {
    objects: Vec<ListedObject>,
    groups: Vec<String>,
    /// Where the next page begins, if there is one.
    next: Option<Place>,
}

impl Listing {
    pub(super) fn from_parameters(parameters: &[(String, String)]) -> Result<Self, S3Error> {
        let mut listing = Listing {
            prefix: String::new(),
            delimiter: None,
            keys_max: KEYS_MAX,
            start_after: None,
            continuation: None,
            encoded: false,
        };
        let mut version = None;
        for (name, value) in parameters {
            let value = value.clone();
            match name.as_str() {
                "list-type" => version = Some(value),
                "prefix" => listing.prefix = value,
                "delimiter" => listing.delimiter = Some(value).filter(|d| !d.is_empty()),
                "start-after" => listing.start_after = Some(value),
                "max-keys" => {
                    let number: u32 = value.parse().map_err(|_| {
                        S3Error::InvalidArgument("max-keys", "an integer between 0 and 4294967295")
                    })?;
                    listing.keys_max = usize::try_from(number).unwrap_or(KEYS_MAX).min(KEYS_MAX);
                }
                "continuation-token" => {
                    let place = Place::from_token(&value);
                    let place = place
                        .ok_or(S3Error::InvalidArgument("continuation-token", "one of an earlier answer"))?;
                    listing.continuation = Some((value, place));
                }
                "encoding-type" if value == "url" => listing.encoded = true,
                "encoding-type" => return Err(S3Error::InvalidArgument("encoding-type", "url")),
                // No object has an owner here.
                "fetch-owner" | "x-id" => {}
                _ => return Err(S3Error::NotImplemented(name.clone())),
            }
        }
        match version.as_deref() {
            Some("2") => Ok(listing),
            Some(_) => Err(S3Error::InvalidArgument("list-type", "2")),
            None => Err(S3Error::NotImplemented("ListObjects without list-type=2".to_owned())),
        }
    }

    /// The answer.
    pub(super) fn page(&self, account: &dyn Account, bucket: &str) -> Result<String, S3Error> {
        Ok(self.xml(bucket, &self.read(account, bucket)?))
    }

    fn read(&self, account: &dyn Account, bucket: &str) -> Result<Page, S3Error> {
        let mut page = Page::default();
        if self.keys_max == 0 {
            return Ok(page);
        }
        let mut place = self.continuation.as_ref().map(|(_, place)| place.clone());
        if place.is_none() {
            place = self.start_after.clone().map(Place::Key);
        }
        let mut after = place.as_ref().map(Place::after);
        for call in 1.. {
            // One more, to know whether there is a next page.
            let query = ListQuery { prefix: self.prefix.clone(), after, keys_max: self.keys_max + 1 };
            let found = account.list_objects(bucket, &query).map_err(S3Error::Internal)?;
            let last =
                found.last().filter(|_| found.len() >= query.keys_max).map(|object| object.key.clone());
            for object in found {
                if matches!(&place, Some(Place::Group(group)) if object.key.starts_with(group.as_str())) {
                    continue;
                }
                if page.objects.len() + page.groups.len() == self.keys_max {
                    page.next = place;
                    return Ok(page);
                }
                match self.group(&object.key) {
                    Some(group) => {
                        place = Some(Place::Group(group.clone()));
                        page.groups.push(group);
                    }
                    None => {
                        place = Some(Place::Key(object.key.clone()));
                        page.objects.push(object);
                    }
                }
            }
            let Some(last) = last else { break };
            if call >= CALLS_MAX && page.objects.len() + page.groups.len() > 0 {
                page.next = place;
                break;
            }
            // Behind the whole group, if that is further on.
            after = place.as_ref().map(Place::after).max(Some(last));
        }
        Ok(page)
    }

    /// The common prefix a key is listed under: up to the first delimiter behind the prefix.
    fn group(&self, key: &str) -> Option<String> {
        let delimiter = self.delimiter.as_deref()?;
        let at = key.get(self.prefix.len()..)?.find(delimiter)?;
        key.get(..self.prefix.len() + at + delimiter.len()).map(str::to_owned)
    }

    fn xml(&self, bucket: &str, page: &Page) -> String {
        let name = |text: &str| match self.encoded {
            true => percent::encode(text.as_bytes(), true),
            false => escape(text),
        };
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>{}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{}</MaxKeys><IsTruncated>{}</IsTruncated>",
            escape(bucket),
            name(&self.prefix),
            page.objects.len() + page.groups.len(),
            self.keys_max,
            page.next.is_some(),
        );
        let token = self.continuation.as_ref().map(|(token, _)| token.clone());
        for (tag, value) in [
            ("Delimiter", self.delimiter.as_deref().map(name)),
            ("StartAfter", self.start_after.as_deref().map(name)),
            ("EncodingType", self.encoded.then(|| "url".to_owned())),
            ("ContinuationToken", token.as_deref().map(escape)),
            ("NextContinuationToken", page.next.as_ref().map(Place::token)),
        ] {
            if let Some(value) = value {
                let _ = write!(xml, "<{tag}>{value}</{tag}>");
            }
        }
        for object in &page.objects {
            let _ = write!(
                xml,
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size>\
                 <StorageClass>STANDARD</StorageClass></Contents>",
                name(&object.key),
                milliseconds(object.modified),
                escape(&object.etag),
                object.size_bytes,
            );
        }
        for group in &page.groups {
            let _ = write!(xml, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", name(group));
        }
        xml.push_str("</ListBucketResult>");
        xml
    }
}

impl Place {
    /// The key to ask the account for what follows. Keys of a group may follow it still, if they hold U+10FFFF.
    fn after(&self) -> String {
        match self {
            Place::Key(key) => key.clone(),
            Place::Group(group) => format!("{group}{}", char::MAX),
        }
    }

    fn token(&self) -> String {
        match self {
            Place::Key(key) => format!("k{}", percent::to_hex(key.as_bytes())),
            Place::Group(group) => format!("g{}", percent::to_hex(group.as_bytes())),
        }
    }

    fn from_token(token: &str) -> Option<Self> {
        let place: fn(String) -> Self = match token.get(..1)? {
            "k" => Place::Key,
            "g" => Place::Group,
            _ => return None,
        };
        String::from_utf8(percent::from_hex(token.get(1..)?)?).ok().map(place)
    }
}

/// `2026-01-31T23:59:59.000Z`
fn milliseconds(at: Timestamp) -> String {
    at.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
