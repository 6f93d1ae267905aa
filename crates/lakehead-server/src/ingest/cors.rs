//! Which web pages may send: the Fetch standard's cross-origin protocol, from the stream's list of origins.
//!
//! Origins are compared as whole texts (scheme, host, port), as browsers write them; `*` stands for all. A preflight needs no
//! token, and the answer to one for a stream that does not exist looks like that for a stream that lets no page in.
//!
//! A browser sends some requests without asking first (a form, text) and only hides the answer. So what comes without a token from
//! an origin that is not let in is refused and not stored; with one, a browser has asked.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::endpoints::Endpoint;
use crate::http::answer::Body;

const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// The origin that the answer names, if the stream lets pages of the request's origin in.
pub(super) fn allowed(endpoint: Option<&Endpoint>, headers: &HeaderMap) -> Option<HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return None };
    let listed = &endpoint?.http.cors.as_ref()?.origins;
    if listed.iter().any(|o| o == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    listed.iter().any(|o| o.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// Whether the page lies on this very server, as far as its address and port tell. Its browser asks no permission. Names other
/// than `localhost` do not count: whoever owns a name can make it mean this server's address.
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let origin = headers.get(header::ORIGIN).and_then(|o| o.to_str().ok());
    let named = origin.and_then(|o| o.strip_prefix("https://").or_else(|| o.strip_prefix("http://")));
    host.is_some_and(|host| {
        let name =
            host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(name, _)| name);
        let is_address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        named == Some(host) && (is_address || name == "localhost")
    })
}

/// Answers a preflight.
pub(super) fn preflight(allowed: Option<HeaderValue>) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = if allowed.is_some() { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN };
    if allowed.is_some() {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        let names =
            HeaderValue::from_static("authorization, content-encoding, content-type, idempotency-key");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    }
    named(response, allowed)
}

/// The answer as the page's browser needs it. Refusals carry the headers too: without them a page cannot read why.
pub(super) fn named(mut response: Response<Body>, allowed: Option<HeaderValue>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Retry-After, Idempotent-Replayed"),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use lakehead_model::resource::{Cors, Http};
    use lakehead_model::{Partition, StreamId};

    use super::*;
    use crate::metrics::Metrics;

    fn endpoint(origins: &[&str]) -> Endpoint {
        let metrics = Metrics::default();
        let origins = origins.iter().map(|o| (*o).to_owned()).collect();
        Endpoint {
            partition: Partition::first(StreamId(1)),
            http: Http { enabled: true, authentication: false, cors: Some(Cors { origins }) },
            worker_binding: false,
            records: metrics.ingest_records.with_label_values(&["s"]),
            bytes: metrics.ingest_bytes.with_label_values(&["s"]),
        }
    }

    fn asked(listed: &[&str], origin: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        allowed(Some(&endpoint(listed)), &headers).map(|v| v.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_the_very_origin_is_let_in() {
        let listed = &["https://good.example", "http://good.example:8080"][..];
        assert_eq!(asked(listed, "https://good.example").as_deref(), Some("https://good.example"));
        assert_eq!(asked(listed, "http://good.example:8080").as_deref(), Some("http://good.example:8080"));
        for other in [
            "http://good.example",
            "https://good.example.",
            "https://good.example:443",
            "https://good.example.evil.example",
            "https://evilgood.example",
            "https://GOOD.example",
            "null",
            "",
        ] {
            assert_eq!(asked(listed, other), None, "{other}");
        }
        assert_eq!(asked(&["*"], "https://any.example").as_deref(), Some("*"));
        assert_eq!(asked(&[], "https://any.example"), None);
    }

    #[test]
    fn two_origins_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::ORIGIN, HeaderValue::from_static("https://a.example"));
        headers.append(header::ORIGIN, HeaderValue::from_static("https://a.example"));
        assert_eq!(allowed(Some(&endpoint(&["*"])), &headers), None);
    }

    #[test]
    fn answers_vary_by_origin_and_never_speak_of_credentials() {
        for origin in [None, Some(HeaderValue::from_static("*"))] {
            let response = preflight(origin.clone());
            assert_eq!(response.headers()["vary"], "Origin");
            assert_eq!(response.headers().contains_key("access-control-allow-origin"), origin.is_some());
            assert!(!response.headers().contains_key("access-control-allow-credentials"));
        }
    }
}
