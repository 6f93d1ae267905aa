use super::*;

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_host_header_names_the_part_whatever_its_case_and_port() {
    let r2 = r2_host(ACCOUNT);
    let bucket = |name: &str| Part::S3 { bucket: Some(name.to_owned()) };
    for (host, expected) in [
        (OAUTH_HOST.to_owned(), Part::OAuth),
        ("OAuth.Pipelines.Cloudflare.Com:443".to_owned(), Part::OAuth),
        (r2.clone(), Part::S3 { bucket: None }),
        (format!("{r2}:8443"), Part::S3 { bucket: None }),
        (format!("my-bucket.{r2}"), bucket("my-bucket")),
        (format!("My-Bucket.{}:443", r2.to_uppercase()), bucket("my-bucket")),
        (format!("a.b.{r2}"), bucket("a.b")),
        (format!(".{r2}"), Part::Other),
        (format!("evil{r2}"), Part::Other),
        (format!("{r2}.evil.example"), Part::Other),
        ("ffffffffffffffffffffffffffffffff.r2.cloudflarestorage.com".to_owned(), Part::Other),
        (format!("x.{OAUTH_HOST}"), Part::Other),
        (API_HOST.to_owned(), Part::Other),
        ("[::1]:443".to_owned(), Part::Other),
        (String::new(), Part::Other),
    ] {
        assert_eq!(part(&host, ACCOUNT), expected, "{host}");
    }
}
