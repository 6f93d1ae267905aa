use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use lakehead_model::clock::ManualClock;
use lakehead_model::random::SeededRandom;
use lakehead_model::{Secret, Timestamp};

use super::*;
use crate::account::{ListQuery, ListedObject};

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
const SECRET: &str = "a+secret/nobody&may=see";

/// Mints the same key always, and counts.
#[derive(Default)]
struct Mint(AtomicUsize);

impl Account for Mint {
    fn account_id(&self) -> &str {
        ACCOUNT
    }

    fn secret_access_key(&self, _: &str) -> Result<Option<Secret>, String> {
        Ok(None)
    }

    fn may_read(&self, _: &str, _: &str) -> Result<bool, String> {
        Ok(false)
    }

    fn bucket_exists(&self, bucket: &str) -> Result<bool, String> {
        Ok(bucket != "no-bucket")
    }

    fn list_objects(&self, _: &str, _: &ListQuery) -> Result<Vec<ListedObject>, String> {
        Ok(Vec::new())
    }

    fn mint_key(&self, bucket: &str, _: &str) -> Result<KeyPair, String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match bucket {
            "broken" => Err(format!("no disk for {SECRET}")),
            _ => Ok(KeyPair {
                access_key_id: format!("key-of-{bucket}"),
                secret_access_key: Secret::new(SECRET),
            }),
        }
    }
}

struct Browser {
    oauth: OAuth,
    clock: Arc<ManualClock>,
    mint: Arc<Mint>,
    peer: SocketAddr,
}

/// Status, headers, body.
type Shown = (u16, HeaderMap, String);

impl Browser {
    fn at(peer: &str) -> Self {
        let clock = Arc::new(ManualClock::starting_at(Timestamp(0)));
        let mint = Arc::new(Mint::default());
        let oauth = OAuth::new(mint.clone(), clock.clone(), Arc::new(SeededRandom::new(1)));
        Browser { oauth, clock, mint, peer: peer.parse().unwrap() }
    }

    fn here() -> Self {
        Browser::at("127.0.0.1:50000")
    }

    async fn send(&self, request: http::request::Builder, body: &str) -> Shown {
        let request =
            request.header("host", OAUTH_HOST).body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let (head, body) = self.oauth.handle(request, self.peer).await.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(!body.contains(SECRET), "{body}");
        (head.status.as_u16(), head.headers, body)
    }

    async fn open(&self, path: &str) -> Shown {
        self.send(Request::get(path), "").await
    }

    async fn ask(&self, bucket: &str, pipeline: &str) -> Shown {
        self.open(&format!("{PATH}?accountId={ACCOUNT}&bucketName={bucket}&pipelineName={pipeline}")).await
    }

    /// Presses the button of a page.
    async fn allow(&self, page: &str) -> Shown {
        self.post(
            &[("origin", "https://oauth.pipelines.cloudflare.com"), ("sec-fetch-site", "same-origin")],
            &form(page),
        )
        .await
    }

    async fn post(&self, headers: &[(&str, &str)], body: &str) -> Shown {
        let request =
            headers.iter().fold(Request::post(PATH), |request, (name, value)| request.header(*name, *value));
        self.send(request, body).await
    }

    fn minted(&self) -> usize {
        self.mint.0.load(Ordering::Relaxed)
    }
}

/// What a browser would send.
fn form(page: &str) -> String {
    let number = page.split("name=\"page\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    format!("page={number}")
}

#[tokio::test]
async fn a_click_sends_the_browser_to_wrangler_with_a_key() {
    let browser = Browser::here();
    let (status, headers, page) = browser.ask("my-bucket", "my-clickstream-pipeline").await;
    assert_eq!(status, 200);
    assert!(
        page.contains("<dd>my-bucket</dd>") && page.contains("<dd>my-clickstream-pipeline</dd>"),
        "{page}"
    );
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(
        (&headers["x-frame-options"], &headers["cache-control"]),
        (&"DENY".parse().unwrap(), &"no-store".parse().unwrap())
    );
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"), "{page}");
    assert_eq!(browser.minted(), 0);

    let (status, headers, body) = browser.allow(&page).await;
    assert_eq!((status, body.as_str()), (303, ""));
    let location = "http://localhost:8976/?access-key-id=key-of-my-bucket&secret-access-key=a%2Bsecret%2Fnobody%26may%3Dsee";
    assert_eq!(headers["location"], location);
    assert_eq!((&headers["cache-control"], browser.minted()), (&"no-store".parse().unwrap(), 1));
    assert!(!format!("{headers:?}").contains("nobody"), "not even a log of the headers shows it");
}

#[tokio::test]
async fn a_page_is_good_for_one_click_within_five_minutes() {
    let browser = Browser::here();
    let (_, _, page) = browser.ask("my-bucket", "p").await;
    assert_eq!(browser.allow(&page).await.0, 303);
    assert_eq!(browser.allow(&page).await.0, 403);
    let (_, _, page) = browser.ask("my-bucket", "p").await;
    browser.clock.advance(Duration::from_secs(PAGE_SECONDS_MAX - 1));
    let (_, _, later) = browser.ask("other-bucket", "p").await;
    assert_eq!(browser.allow(&page).await.0, 303);
    let (_, _, page) = browser.ask("my-bucket", "p").await;
    browser.clock.advance(Duration::from_secs(PAGE_SECONDS_MAX));
    assert_eq!(browser.allow(&page).await.0, 403);
    assert_eq!(browser.allow(&later).await.0, 403);
    assert_eq!(browser.minted(), 2);
}

#[tokio::test]
async fn only_so_many_pages_wait() {
    let browser = Browser::here();
    let (_, _, first) = browser.ask("my-bucket", "p").await;
    let (_, _, second) = browser.ask("my-bucket", "p").await;
    for _ in 1..PAGES_MAX {
        browser.ask("my-bucket", "p").await;
    }
    assert_eq!(browser.allow(&first).await.0, 403);
    assert_eq!(browser.allow(&second).await.0, 303);
}

#[tokio::test]
async fn a_form_of_another_origin_is_refused_and_costs_the_page_nothing() {
    const OWN: &str = "https://oauth.pipelines.cloudflare.com";
    let browser = Browser::here();
    let (_, _, page) = browser.ask("my-bucket", "p").await;
    let form = form(&page);
    for headers in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://oauth.pipelines.cloudflare.com")],
        &[("origin", "https://oauth.pipelines.cloudflare.com.evil.example")],
        &[("origin", "https://oauth.pipelines.cloudflare.com:8443")],
        &[("origin", OWN), ("origin", OWN)],
        &[("sec-fetch-site", "same-origin")],
        &[("origin", OWN), ("sec-fetch-site", "cross-site")],
        &[("origin", OWN), ("sec-fetch-site", "same-site")],
        &[("origin", OWN), ("sec-fetch-site", "none")],
        &[("origin", OWN), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(browser.post(headers, &form).await.0, 403, "{headers:?}");
    }
    for (body, status) in [
        ("", 400),
        ("page=", 403),
        ("page=0", 403),
        ("other=1", 400),
        (&format!("{form}&bucketName=other"), 400),
        ("page=%ff", 400),
    ] {
        assert_eq!(browser.post(&[("origin", OWN)], body).await.0, status, "{body}");
    }
    assert_eq!(browser.post(&[("origin", OWN)], &"x".repeat(FORM_BYTES_MAX + 1)).await.0, 400);
    assert_eq!(browser.minted(), 0);
    // A browser that does not know Sec-Fetch-Site.
    assert_eq!(browser.post(&[("origin", OWN)], &form).await.0, 303);
}

#[tokio::test]
async fn a_browser_on_another_machine_gets_no_page() {
    for (peer, status) in [
        ("10.0.0.7:50000", 403),
        ("[2001:db8::1]:50000", 403),
        ("[::ffff:10.0.0.7]:50000", 403),
        ("[::1]:50000", 200),
        ("[::ffff:127.0.0.1]:50000", 200),
        ("127.9.9.9:50000", 200),
    ] {
        let (shown, _, page) = Browser::at(peer).ask("my-bucket", "p").await;
        assert_eq!(shown, status, "{peer}");
        assert_eq!(page.contains("--r2-access-key-id"), status == 403);
    }
    let browser = Browser::here();
    let (_, _, page) = browser.ask("my-bucket", "p").await;
    let browser = Browser { peer: "10.0.0.7:50000".parse().unwrap(), ..browser };
    assert_eq!((browser.allow(&page).await.0, browser.minted()), (403, 0));
}

#[tokio::test]
async fn an_address_that_wrangler_does_not_write_is_refused_by_name() {
    let browser = Browser::here();
    let long = "x".repeat(NAME_CHARS_MAX + 1);
    for (query, status, named) in [
        (String::new(), 400, "accountId"),
        (format!("accountId={ACCOUNT}"), 400, "bucketName"),
        (format!("accountId={ACCOUNT}&bucketName=my-bucket"), 400, "pipelineName"),
        (format!("accountId={ACCOUNT}&bucketName=my-bucket&pipelineName="), 400, "pipelineName"),
        (format!("accountId={ACCOUNT}&bucketName=my-bucket&pipelineName={long}"), 400, "pipelineName"),
        (format!("accountId={ACCOUNT}&bucketName=my-bucket&pipelineName=a%0Ab"), 400, "pipelineName"),
        (format!("accountId={ACCOUNT}&bucketName=My_Bucket&pipelineName=p"), 400, "bucketName"),
        (format!("accountId={ACCOUNT}&bucketName=a&bucketName=b&pipelineName=p"), 400, "bucketName"),
        (format!("accountId={ACCOUNT}&bucketName=..&pipelineName=p"), 400, "bucketName"),
        (format!("accountId={ACCOUNT}&bucketName=%ff&pipelineName=p"), 400, "the address"),
        (
            "accountId=ffffffffffffffffffffffffffffffff&bucketName=my-bucket&pipelineName=p".to_owned(),
            400,
            "CLOUDFLARE_ACCOUNT_ID",
        ),
        (
            format!("accountId={ACCOUNT}&bucketName=no-bucket&pipelineName=p"),
            404,
            "wrangler r2 bucket create no-bucket",
        ),
    ] {
        let (shown, headers, page) = browser.open(&format!("{PATH}?{query}")).await;
        assert!(shown == status && page.contains(named), "{query}: {shown}\n{page}");
        assert!(headers.contains_key("content-security-policy"));
    }
    assert_eq!(browser.open("/").await.0, 404);
    let (status, headers, _) = browser.send(Request::put(PATH), "").await;
    assert_eq!((status, &headers["allow"]), (405, &"GET, POST".parse().unwrap()));
}

#[tokio::test]
async fn names_are_text_in_the_page_not_markup() {
    let browser = Browser::here();
    let (status, _, page) = browser.ask("my-bucket", "%3Cscript%3Ealert(1)%3C/script%3E%22%27").await;
    assert_eq!(status, 200);
    assert!(
        !page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;"),
        "{page}"
    );
}

#[tokio::test]
async fn a_failure_is_told_without_its_details() {
    let browser = Browser::here();
    let (_, _, page) = browser.ask("broken", "p").await;
    let (status, headers, page) = browser.allow(&page).await;
    assert!(status == 500 && page.contains("log says why") && !headers.contains_key("location"), "{page}");
}
