use super::*;

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

fn text(address: &str, buckets: &[&str], with_api: bool) -> String {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    hosts_lines(&Lines {
        address: address.parse().unwrap(),
        port: if with_api { 8443 } else { 443 },
        account_id: ACCOUNT,
        ca_file: Path::new("/data/hosts/ca.pem"),
        buckets: &owned(buckets),
        pipeline_ids: &owned(&["00aa"]),
        stream_ids: &owned(&["00bb"]),
        with_api,
    })
}

/// The lines that are no comments.
fn entries(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn every_name_has_a_line() {
    let text = text("127.0.0.7", &["my-bucket"], false);
    assert_eq!(
        entries(&text),
        [
            "127.0.0.7 oauth.pipelines.cloudflare.com",
            "127.0.0.7 0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com",
            "127.0.0.7 my-bucket.0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com",
            "127.0.0.7 00aa.pipelines.cloudflare.com",
            "127.0.0.7 00bb.ingest.cloudflare.com",
        ]
    );
    assert!(
        text.contains("export NODE_EXTRA_CA_CERTS='/data/hosts/ca.pem'")
            && text.contains("--cacert '/data/hosts/ca.pem'")
    );
    assert!(text.ends_with('\n') && !text.contains("port 443;"));
}

#[test]
fn the_api_has_a_line_only_if_asked_for_and_another_port_is_mentioned() {
    assert!(!text("127.0.0.1", &[], false).contains("api.cloudflare.com"));
    let text = text("127.0.0.1", &[], true);
    assert_eq!(entries(&text).last(), Some(&"127.0.0.1 api.cloudflare.com"));
    assert!(text.contains("on port 8443"));
}

#[test]
fn an_address_that_means_any_becomes_the_loopback() {
    assert!(text("0.0.0.0", &[], false).contains("\n127.0.0.1 oauth"));
    assert!(text("::", &[], false).contains("\n::1 oauth"));
}

#[test]
fn the_path_is_written_for_a_shell_and_stays_on_its_line() {
    assert_eq!(quoted(Path::new("/it's/a b")), r"'/it'\''s/a b'");
    assert_eq!(quoted(Path::new("/a\n6.6.6.6 b")), "'/a?6.6.6.6 b'");
}

#[test]
fn a_name_cannot_smuggle_a_line_in() {
    let text = text("127.0.0.1", &["a\n6.6.6.6 github.com", "-x", ""], false);
    assert_eq!(entries(&text).len(), 4, "{text}");
    assert!(entries(&text).iter().all(|line| line.starts_with("127.0.0.1 ")));
}
