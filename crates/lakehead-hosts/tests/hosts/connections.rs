//! Names, handshakes and the end.

use std::time::Duration;

use lakehead_hosts::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::harness::{ACCOUNT, OAUTH, Played, Stream};

async fn read_all(stream: &mut Stream) -> String {
    let mut text = Vec::new();
    // Some ends come without the word that TLS wants.
    let _ = timeout(Duration::from_secs(15), stream.read_to_end(&mut text)).await.unwrap();
    String::from_utf8(text).unwrap()
}

async fn raw(played: &Played, request: &str) -> String {
    let mut stream = played.connect(OAUTH).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    read_all(&mut stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_other_hosts_go_through_with_body_and_address() {
    let played = Played::start().await;
    for host in ["00aa.pipelines.cloudflare.com", "00bb.ingest.cloudflare.com", "api.cloudflare.com"] {
        let (status, _, body) = played.ask("POST", host, "/a?b=c", &[], "[{}]").await;
        assert_eq!((status, body), (200, format!("POST /a?b=c {host} 127.0.0.1 [{{}}]")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_played_names_are_vouched_for() {
    let played = Played::start().await;
    for host in [
        OAUTH,
        "api.cloudflare.com",
        "x.ingest.cloudflare.com",
        &format!("b.{ACCOUNT}.r2.cloudflarestorage.com"),
    ] {
        assert!(played.connect(host).await.is_ok(), "{host}");
    }
    for host in
        ["example.com", "dash.cloudflare.com", "a.b.ingest.cloudflare.com", "x.r2.cloudflarestorage.com"]
    {
        assert!(played.connect(host).await.is_err(), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() {
    let played = Played::start().await;
    for heads in ["", "host: a.example\r\nhost: b.example\r\n", "host:\r\n"] {
        let answer = raw(&played, &format!("GET / HTTP/1.1\r\n{heads}connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{heads}: {answer}");
    }
    let line = format!(
        "GET https://{OAUTH}/oauth/login HTTP/1.1\r\nhost: api.cloudflare.com\r\nconnection: close\r\n\r\n"
    );
    assert!(raw(&played, &line).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_handshakes_and_slow_heads_are_cut_off_and_bad_ones_hurt_nobody() {
    let played = Played::start().await;
    let began = Instant::now();
    let mut silent = TcpStream::connect(played.address).await.unwrap();
    let mut plain = TcpStream::connect(played.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut half = played.connect(OAUTH).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(5), plain.read_to_end(&mut rest)).await.expect("told at once");
    assert_eq!(played.get(OAUTH, "/").await.0, 404);
    assert_eq!(timeout(Duration::from_secs(15), silent.read(&mut [0; 16])).await.unwrap().unwrap(), 0);
    read_all(&mut half).await;
    let took = began.elapsed();
    assert!(Duration::from_secs(9) < took && took < Duration::from_secs(14), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_wait_for_their_turn() {
    let played = Played::start_with(Settings { connections_max: 1 }).await;
    let first = played.connect(OAUTH).await.unwrap();
    let mut second = Box::pin(played.connect(OAUTH));
    assert!(timeout(Duration::from_millis(300), &mut second).await.is_err());
    drop(first);
    timeout(Duration::from_secs(5), second).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_idle_connections_and_the_listener() {
    let played = Played::start().await;
    let mut idle = played.connect(OAUTH).await.unwrap();
    let _silent = TcpStream::connect(played.address).await.unwrap();
    played.stop.send(true).unwrap();
    assert_eq!(read_all(&mut idle).await, "");
    timeout(Duration::from_secs(5), played.serving).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(played.address).await.is_err());
}
