//! The pages a person sees. They load nothing and run nothing.

use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::Asked;
use crate::answer::{self, Body};
use crate::markup::escape;

/// The form's one field.
pub(super) const NUMBER: &str = "page";

/// Why there is no key.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The browser runs on another machine.
    NotHere,
    NoSuchPage,
    Method,
    /// This part of the address is missing, there twice, or not what it must be.
    Query(&'static str),
    WrongAccount,
    NoSuchBucket(String),
    /// The form came from a page of somebody else.
    OtherOrigin,
    Form,
    /// The page was used before, is too old, or never was.
    Spent,
    Internal,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Refusal::NotHere | Refusal::OtherOrigin | Refusal::Spent => StatusCode::FORBIDDEN,
            Refusal::NoSuchPage | Refusal::NoSuchBucket(_) => StatusCode::NOT_FOUND,
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Query(_) | Refusal::WrongAccount | Refusal::Form => StatusCode::BAD_REQUEST,
            Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn text(&self) -> String {
        match self {
            Refusal::NotHere => {
                "Keys are given only to a browser on the machine Lakehead runs on. Elsewhere, name a key to \
                 wrangler: --r2-access-key-id and --r2-secret-access-key for a pipeline, --access-key-id and \
                 --secret-access-key for a sink."
                    .to_owned()
            }
            Refusal::NoSuchPage => "There is no such page.".to_owned(),
            Refusal::Method => "This page is shown by GET and answered by POST.".to_owned(),
            Refusal::Query(what) => {
                format!("{what}: is missing or not as wrangler writes it. Start again from wrangler.")
            }
            Refusal::WrongAccount => "accountId: is another account than the one of this server. \
                 Set CLOUDFLARE_ACCOUNT_ID as `lakehead env` prints it."
                .to_owned(),
            Refusal::NoSuchBucket(bucket) => {
                format!("There is no bucket {bucket}. Make it with: wrangler r2 bucket create {bucket}")
            }
            Refusal::OtherOrigin => "The answer did not come from this page.".to_owned(),
            Refusal::Form => "The answer is not one of this page.".to_owned(),
            Refusal::Spent => {
                "This page has been answered, or has waited too long. Start again from wrangler.".to_owned()
            }
            Refusal::Internal => "The key could not be made. The server's log says why.".to_owned(),
        }
    }
}

/// A page that says why not. `nonce` is new for every page.
pub(super) fn refusal(refusal: &Refusal, nonce: &str) -> Response<Body> {
    let body = format!("<h1>No key for wrangler</h1>\n<p>{}</p>\n", escape(&refusal.text()));
    let mut response = page(refusal.status(), &body, nonce);
    if matches!(refusal, Refusal::Method) {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}

/// The page that asks; `number` makes its answer recognisable.
pub(super) fn question(asked: &Asked, account_id: &str, number: &str, nonce: &str) -> Response<Body> {
    let (bucket, pipeline) = (escape(&asked.bucket), escape(&asked.pipeline));
    let body = format!(
        "<h1>A key for wrangler?</h1>\n\
         <p>wrangler asks for a key to a bucket of this server. It can list and read the bucket for a day; nobody can write with it.</p>\n\
         <dl>\n<dt>Bucket</dt><dd>{bucket}</dd>\n<dt>For the pipeline</dt><dd>{pipeline}</dd>\n\
         <dt>Account</dt><dd>{}</dd>\n</dl>\n\
         <form method=\"post\" action=\"{}\">\n<input type=\"hidden\" name=\"{NUMBER}\" value=\"{}\">\n\
         <button type=\"submit\">Allow</button>\n</form>\n\
         <p class=\"small\">If you have not just started wrangler on this machine, close this page.</p>\n",
        escape(account_id),
        super::PATH,
        escape(number),
    );
    page(StatusCode::OK, &body, nonce)
}

fn page(status: StatusCode, body: &str, nonce: &str) -> Response<Body> {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Lakehead</title>\n<style nonce=\"{nonce}\">{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    );
    let mut response = answer::with_type(status, "text/html; charset=utf-8", html);
    let headers = response.headers_mut();
    // Browsers hold the redirect that follows a form to `form-action` as well.
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
        super::WRANGLER.trim_end_matches('/'),
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer` browsers would send the form with `Origin: null`.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

const STYLE: &str = "
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 30rem; padding: 2rem; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 1.5rem 0; }
dt { opacity: .7; }
dd { margin: 0; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
button { font: inherit; font-weight: 600; padding: .6rem 2rem; border: 0; border-radius: .5rem; background: #1462a6; color: #fff; cursor: pointer; }
button:hover, button:focus-visible { background: #0d4a80; }
.small { font-size: .875rem; opacity: .7; }
";
