//! A listener with an account of its own, and a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use lakehead_disk::SystemDisk;
use lakehead_hosts::{
    Account, Body, Certificates, Front, KeyPair, ListQuery, ListedObject, Settings, Through, serve,
};
use lakehead_model::clock::ManualClock;
use lakehead_model::{Secret, SystemClock, SystemRandom, Timestamp};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const ACCESS_KEY_ID: &str = "an-access-key";
pub(crate) const SECRET_ACCESS_KEY: &str = "a-secret-of-the-tests";
pub(crate) const OAUTH: &str = "oauth.pipelines.cloudflare.com";
/// 2026-11-22T00:00:00Z: what the listener takes for now.
pub(crate) const NOW: i64 = 1_795_305_600_000_000;

/// Three buckets; the key opens two of them, and one that is not there.
#[derive(Default)]
pub(crate) struct Keeper {
    pub(crate) minted: AtomicUsize,
}

impl Account for Keeper {
    fn account_id(&self) -> &str {
        ACCOUNT
    }

    fn secret_access_key(&self, access_key_id: &str) -> Result<Option<Secret>, String> {
        Ok((access_key_id == ACCESS_KEY_ID).then(|| Secret::new(SECRET_ACCESS_KEY)))
    }

    fn may_read(&self, _: &str, bucket: &str) -> Result<bool, String> {
        Ok(bucket != "closed")
    }

    fn bucket_exists(&self, bucket: &str) -> Result<bool, String> {
        match bucket {
            "broken" => Err("the disk is on fire".to_owned()),
            _ => Ok(["open", "closed", "my-bucket"].contains(&bucket)),
        }
    }

    fn list_objects(&self, _: &str, query: &ListQuery) -> Result<Vec<ListedObject>, String> {
        let keys = ["a/1.json.gz", "a/2.json.gz", "b & c.txt"];
        let matching = keys.iter().filter(|key| {
            key.starts_with(&query.prefix) && query.after.as_deref().is_none_or(|after| **key > after)
        });
        let objects = matching.take(query.keys_max).map(|key| ListedObject {
            key: (*key).to_owned(),
            size_bytes: 7,
            modified: Timestamp(NOW),
            etag: "0123".to_owned(),
        });
        Ok(objects.collect())
    }

    fn mint_key(&self, _: &str, _: &str) -> Result<KeyPair, String> {
        self.minted.fetch_add(1, Ordering::Relaxed);
        Ok(KeyPair {
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: Secret::new(SECRET_ACCESS_KEY),
        })
    }
}

pub(crate) struct Played {
    pub(crate) address: SocketAddr,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) serving: JoinHandle<Result<(), lakehead_hosts::Error>>,
    connector: TlsConnector,
    _folder: TempDir,
}

/// Status, headers, body.
pub(crate) type Answer = (u16, HeaderMap, String);
pub(crate) type Stream = TlsStream<TcpStream>;

impl Played {
    pub(crate) async fn start() -> Self {
        Played::start_with(Settings::default()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Real dates in the certificates, which the client checks by the machine's clock.
        let (disk, clock) = (Arc::new(SystemDisk), Arc::new(SystemClock::default()));
        let certificates =
            Certificates::open(folder.path(), ACCOUNT, disk, clock, Arc::new(SystemRandom)).unwrap();
        let keeper = Arc::new(Keeper::default());
        let clock = Arc::new(ManualClock::starting_at(Timestamp(NOW)));
        let front = Front::new(keeper.clone(), clock, Arc::new(SystemRandom), through());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let connector = trusting(&certificates);
        let serving =
            tokio::spawn(serve(listener, settings, Arc::new(certificates), Arc::new(front), stopping));
        Played { address, keeper, stop, serving, connector, _folder: folder }
    }

    /// A TLS connection to a host by its name.
    pub(crate) async fn connect(&self, host: &str) -> std::io::Result<Stream> {
        let socket = TcpStream::connect(self.address).await?;
        self.connector.connect(ServerName::try_from(host.to_owned()).unwrap(), socket).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let stream = self.connect(&host).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let (head, body) = client.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(client);
        // Where the listener did not read the whole body, it closes first.
        let _ = connection.await.unwrap();
        (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path).header("host", host);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name.as_str(), value.as_str()));
        self.send(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> Answer {
        self.ask("GET", host, path, &[], "").await
    }
}

/// Says what came through, and from where.
fn through() -> Through {
    Arc::new(|request, peer| {
        Box::pin(async move {
            let host = request.headers()["host"].to_str().unwrap().to_owned();
            let line = format!("{} {} {host} {}", request.method(), request.uri(), peer.ip());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let text = format!("{line} {}", String::from_utf8(body.to_vec()).unwrap());
            Response::new(Body::new(Full::new(Bytes::from(text)).map_err(|never| match never {})))
        })
    })
}

fn trusting(certificates: &Certificates) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates.ca_file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
