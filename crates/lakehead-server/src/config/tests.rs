use lakehead_table::{ClientCredentials, RestAuth};

use super::*;

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lakehead.toml");
    std::fs::write(&path, file).unwrap();
    let flags = Flags { config_file: Some(path), ..Flags::default() };
    Config::load(&flags, environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

#[test]
fn file_then_environment_then_flags() {
    let file = "data_dir = \"a\"\nlisten = \"127.0.0.1:1\"\n[log]\nretention_seconds = 5\nquota_bytes = 1000000000\n";
    let config = load(
        file,
        &[
            ("LAKEHEAD_LISTEN", "127.0.0.1:2"),
            ("LAKEHEAD_LOG__RETENTION_SECONDS", "6"),
            ("LAKEHEAD_LOG__ACCEPT_LOSS", "true"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.log.retention_seconds, 6);
    assert!(config.log.accept_loss);
    assert_eq!(config.log.quota_bytes, 1_000_000_000);
    assert_eq!(config.data_dir, Path::new("a"));
    let flags = Flags { listen: Some(SocketAddr::from(([127, 0, 0, 1], 3))), ..Flags::default() };
    let variables = [("LAKEHEAD_LISTEN".to_owned(), "127.0.0.1:2".to_owned())];
    assert_eq!(Config::load(&flags, variables.into_iter()).unwrap().listen.port(), 3);
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for (file, environment, expected) in [
        ("datadir = 1", &[][..], "datadir"),
        ("[log]\nquota = 1", &[], "quota"),
        ("[buckets.b-1]\nendpoint = \"http://x\"\nkey = \"k\"", &[], "key"),
        ("", &[("LAKEHEAD_DATADIR", "x")], "LAKEHEAD_DATADIR"),
        ("", &[("LAKEHEAD_LOG__QUOTA_BYTES", "many")], "LAKEHEAD_LOG__QUOTA_BYTES"),
        ("", &[("LAKEHEAD_LOG__ACCEPT_LOSS", "maybe")], "LAKEHEAD_LOG__ACCEPT_LOSS"),
        ("listen = 7070", &[], "`listen`"),
        ("[log]\nquota_bytes = \"much\"", &[], "`log.quota_bytes`"),
        ("a = = 1", &[], "line 1"),
        ("[log]\nquota_bytes = 1", &[], "log.quota_bytes"),
        ("[buckets.bucket]\n", &[], "needs either"),
        ("[buckets.Bucket]\npath = \"x\"", &[], "buckets.Bucket"),
        ("[buckets.bucket]\nendpoint = \"http://x\"\naccess_key_id = \"k\"", &[], "both of"),
        ("[tables]\nroll_interval_seconds_min = 0", &[], "`tables.roll_interval_seconds_min` is 0"),
        ("[tables]\norphans_after_seconds = 3599", &[], "at least 3600 is needed, or 0"),
        ("[tables]\nsnapshots_max = 0", &[], "`tables.snapshots_max` is 0; at least 1"),
        ("", &[("LAKEHEAD_TABLES__ROLL_INTERVAL_SECONDS_MIN", "soon")], "ROLL_INTERVAL_SECONDS_MIN"),
    ] {
        let error = load(file, environment).unwrap_err().0;
        assert!(error.contains(expected), "{file:?} said {error:?}, expected {expected:?}");
    }
}

fn catalog(lines: &str) -> Result<Catalog, ConfigError> {
    let file = format!("[buckets.lake]\npath = \"x\"\n[buckets.lake.catalog]\n{lines}\n");
    load(&file, &[]).map(|config| config.buckets["lake"].catalog.clone().unwrap())
}

#[test]
fn a_catalog_that_cannot_be_asked_is_refused_by_its_key() {
    let uri = "uri = \"http://127.0.0.1:8181\"\n";
    for (lines, expected) in [
        ("", "`buckets.lake.catalog`: `uri` is not a URL"),
        ("uri = \"lake.example.com\"", "`uri`"),
        ("uri = \"http://u:p@h\"", "credentials have settings of their own"),
        (&format!("{uri}url = \"x\""), "url"),
        (&format!("{uri}token = \"a\"\nclient_secret = \"b\""), "both a token and a client"),
        (&format!("{uri}token = \"a\"\ntoken_file = \"b\""), "both `token` and `token_file`"),
        (&format!("{uri}client_secret_file = \"/nowhere/at/all\""), "client_secret_file` cannot be read"),
        (&format!("{uri}client_id = \"a\""), "`buckets.lake.catalog.client_id` is of use with"),
        (&format!("{uri}scope = \"a\""), "scope` is of use with"),
        (
            &format!("{uri}client_secret = \"a\"\noauth2_server_uri = \"x\""),
            "`oauth2_server_uri` is not a URL",
        ),
        (&format!("{uri}request_seconds = 0"), "request_seconds` is 0"),
        (&format!("{uri}headers = {{ \"a b\" = \"c\" }}"), "not the name of a header"),
        (&format!("{uri}headers = {{ authorization = \"c\" }}\ntoken = \"d\""), "one of them"),
    ] {
        let error = catalog(lines).unwrap_err().0;
        assert!(error.contains(expected), "{lines:?} said {error:?}, expected {expected:?}");
    }
}

#[test]
fn the_credentials_of_a_catalog_are_the_configured_ones_or_the_token_of_the_sink() {
    let token = Secret::new("of-the-sink");
    let uri = "uri = \"http://127.0.0.1:8181\"\nwarehouse = \"s3://lake\"\n";
    let plain = catalog(uri).unwrap();
    assert_eq!((plain.request_seconds, plain.warehouse.as_deref()), (60, Some("s3://lake")));
    assert_eq!(plain.settings(Some(&token)).auth, RestAuth::Token(token.clone()));
    assert_eq!(plain.settings(None).auth, RestAuth::None);
    let with_token = catalog(&format!("{uri}token = \"configured\"")).unwrap();
    assert_eq!(with_token.settings(Some(&token)).auth, RestAuth::Token(Secret::new("configured")));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "from-a-file\n").unwrap();
    let client = format!("{uri}client_id = \"me\"\nscope = \"all\"\nclient_secret_file = {file:?}");
    let expected = ClientCredentials {
        server_uri: None,
        client_id: Some("me".to_owned()),
        client_secret: Secret::new("from-a-file"),
        scope: Some("all".to_owned()),
    };
    let auth = catalog(&client).unwrap().settings(Some(&token)).auth;
    assert_eq!(auth, RestAuth::ClientCredentials(expected));
    let header = catalog(&format!("{uri}headers = {{ Authorization = \"Basic x\" }}")).unwrap();
    assert_eq!(header.settings(Some(&token)).auth, RestAuth::None, "the headers say who asks");
}

#[test]
fn tables_may_roll_as_often_as_the_operator_allows() {
    assert_eq!(load("", &[]).unwrap().tables.roll_interval_seconds_min, 60);
    let file = "[tables]\nroll_interval_seconds_min = 5";
    assert_eq!(load(file, &[]).unwrap().tables.roll_interval_seconds_min, 5);
    let variable = [("LAKEHEAD_TABLES__ROLL_INTERVAL_SECONDS_MIN", "1")];
    assert_eq!(load(file, &variable).unwrap().tables.roll_interval_seconds_min, 1);
}

#[test]
fn what_is_shown_holds_no_secret() {
    let file = "[buckets.bucket]\nendpoint = \"http://x\"\naccess_key_id = \"k\"\nsecret_access_key = \"canary\"\n\
        [buckets.bucket.catalog]\nuri = \"http://x\"\ntoken = \"canary\"\nheaders = { x = \"canary\" }\n";
    let config = load(file, &[]).unwrap();
    assert_eq!(config.buckets["bucket"].secret_access_key.as_ref().unwrap().reveal(), "canary");
    let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
    assert!(!shown.contains("canary") && shown.contains("***"), "{shown}");
}
