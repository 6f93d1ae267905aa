//! How a catalog wants to be asked: `GET /v1/config`, and the paths that follow from it.

use iceberg::{NamespaceIdent, TableIdent};
use reqwest::Url;

use super::connection::shown;
use super::settings;
use super::wire::ConfigAnswer;
use crate::{CatalogError, CatalogErrorKind};

/// Between the parts of a namespace in a path or query.
const SEPARATOR: &str = "\u{1f}";

/// What a catalog said of itself.
#[derive(Debug)]
pub(super) struct Surface {
    /// `{uri}/v1/{prefix}`, no slash at its end.
    root: Url,
    /// A change that is sent twice under one key is applied once.
    pub(super) keeps_idempotency_keys: bool,
}

fn refused(text: String) -> CatalogError {
    CatalogError::new(CatalogErrorKind::Refused, text)
}

/// Where a catalog says how it is asked.
pub(super) fn config_url(base: &Url, warehouse: Option<&str>) -> Result<Url, CatalogError> {
    let mut url = below(base, &["v1", "config"])?;
    if let Some(warehouse) = warehouse {
        url.query_pairs_mut().append_pair("warehouse", warehouse);
    }
    Ok(url)
}

impl Surface {
    /// # Errors
    /// `Refused` for an answer that is none, or that leads to another host.
    pub(super) fn read(base: &Url, body: &[u8]) -> Result<Surface, CatalogError> {
        let at = shown(base);
        let answer: ConfigAnswer = serde_json::from_slice(body)
            .map_err(|_| refused(format!("what {at} answers at `/v1/config` is not that of a catalog")))?;
        let mut base = base.clone();
        if let Some(uri) = answer.property("uri") {
            let other = settings::address("uri", uri)?;
            if other.origin() != base.origin() {
                let other = shown(&other);
                let text = format!(
                    "the catalog at {at} wants to be asked at {other}; credentials go there only if `uri` says so"
                );
                return Err(refused(text));
            }
            base = other;
        }
        let prefix = answer.property("prefix").unwrap_or_default().trim_matches('/');
        let is_odd = |part: &str| matches!(part, "" | "." | ".." | "%2e" | "%2E" | "%2e%2e" | "%2E%2E");
        if !prefix.is_empty() && (prefix.contains(['?', '#', '\\']) || prefix.split('/').any(is_odd)) {
            return Err(refused(format!("the catalog at {at} has a prefix that is no path")));
        }
        let mut root = below(&base, &["v1"])?;
        if !prefix.is_empty() {
            // It comes as it stands in paths, escapes included.
            root.set_path(&format!("{}/{prefix}", root.path()));
        }
        tracing::debug!(%root, endpoints = answer.endpoints.map(|e| e.len()), "a catalog said how it is asked");
        Ok(Surface {
            root,
            keeps_idempotency_keys: answer.idempotency_key_lifetime.is_some_and(|l| !l.is_null()),
        })
    }

    /// The list of namespaces below `parent`.
    pub(super) fn namespaces(&self, parent: Option<&NamespaceIdent>) -> Result<Url, CatalogError> {
        let mut url = below(&self.root, &["namespaces"])?;
        if let Some(parent) = parent {
            url.query_pairs_mut().append_pair("parent", &parent.join(SEPARATOR));
        }
        Ok(url)
    }

    pub(super) fn namespace(&self, namespace: &NamespaceIdent) -> Result<Url, CatalogError> {
        below(&self.root, &["namespaces", &namespace.join(SEPARATOR)])
    }

    pub(super) fn tables(&self, namespace: &NamespaceIdent) -> Result<Url, CatalogError> {
        below(&self.root, &["namespaces", &namespace.join(SEPARATOR), "tables"])
    }

    pub(super) fn table(&self, table: &TableIdent) -> Result<Url, CatalogError> {
        below(&self.root, &["namespaces", &table.namespace().join(SEPARATOR), "tables", table.name()])
    }
}

/// `base` with more segments, each of them one whatever it holds.
fn below(base: &Url, segments: &[&str]) -> Result<Url, CatalogError> {
    // A URL leaves these out, and names another thing then.
    if let Some(odd) = segments.iter().find(|s| matches!(**s, "" | "." | "..")) {
        return Err(refused(format!("{odd:?} cannot be the name of a namespace or table")));
    }
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| refused("`uri` has no path".to_owned()))?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(base: &str, config: &str) -> Result<Surface, CatalogError> {
        Surface::read(&Url::parse(base).unwrap(), config.as_bytes())
    }

    fn root(base: &str, config: &str) -> String {
        surface(base, config).unwrap().root.to_string()
    }

    #[test]
    fn the_prefix_stands_between_the_version_and_everything_else() {
        assert_eq!(root("http://h:1", "{}"), "http://h:1/v1");
        assert_eq!(root("http://h:1/catalog", r#"{"overrides":{"prefix":"b"}}"#), "http://h:1/catalog/v1/b");
        assert_eq!(
            root("http://h", r#"{"defaults":{"prefix":"d"},"overrides":{"prefix":"arn%3Aaws/x"}}"#),
            "http://h/v1/arn%3Aaws/x"
        );
        assert_eq!(
            root("http://h", r#"{"defaults":{"prefix":"d","n":1},"overrides":null}"#),
            "http://h/v1/d"
        );
        for odd in ["../x", "a/./b", "a//b", "a?b", "a#b", "%2E%2e/..", "a\\\\b"] {
            let config = format!(r#"{{"overrides":{{"prefix":"{odd}"}}}}"#);
            assert_eq!(surface("http://h", &config).unwrap_err().kind, CatalogErrorKind::Refused, "{odd}");
        }
    }

    #[test]
    fn a_catalog_cannot_send_credentials_to_another_host() {
        let there = r#"{"overrides":{"uri":"https://h/other/"}}"#;
        assert_eq!(root("https://h/catalog", there), "https://h/other/v1");
        for elsewhere in ["https://evil", "http://h", "https://h:444"] {
            let error = surface("https://h", &there.replace("https://h/other/", elsewhere)).unwrap_err();
            assert!(error.text.contains("credentials go there only if"), "{error}");
        }
        assert!(surface("https://h", "<html>").is_err());
    }

    #[test]
    fn names_are_one_segment_whatever_they_hold() {
        let surface = surface("http://h/c", r#"{"overrides":{"prefix":"p"}}"#).unwrap();
        let namespace = NamespaceIdent::from_strs(["a b", "c/d?e#f%"]).unwrap();
        let table = TableIdent::new(namespace.clone(), "t/../u".to_owned());
        assert_eq!(
            surface.table(&table).unwrap().as_str(),
            "http://h/c/v1/p/namespaces/a%20b%1Fc%2Fd%3Fe%23f%25/tables/t%2F..%2Fu"
        );
        assert_eq!(
            surface.namespaces(Some(&namespace)).unwrap().as_str(),
            "http://h/c/v1/p/namespaces?parent=a+b%1Fc%2Fd%3Fe%23f%25"
        );
        for odd in ["", ".", ".."] {
            let table = TableIdent::new(NamespaceIdent::new("n".to_owned()), odd.to_owned());
            assert_eq!(surface.table(&table).unwrap_err().kind, CatalogErrorKind::Refused, "{odd:?}");
        }
        let url = config_url(&Url::parse("http://h/c").unwrap(), Some("s3://lake x")).unwrap();
        assert_eq!(url.as_str(), "http://h/c/v1/config?warehouse=s3%3A%2F%2Flake+x");
    }
}
