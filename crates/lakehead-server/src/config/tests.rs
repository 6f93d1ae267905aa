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
    let config =
        load(file, &[("LAKEHEAD_LISTEN", "127.0.0.1:2"), ("LAKEHEAD_LOG__RETENTION_SECONDS", "6")]).unwrap();
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.log.retention_seconds, 6);
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
        ("listen = 7070", &[], "`listen`"),
        ("[log]\nquota_bytes = \"much\"", &[], "`log.quota_bytes`"),
        ("a = = 1", &[], "line 1"),
        ("[log]\nquota_bytes = 1", &[], "log.quota_bytes"),
        ("[buckets.bucket]\n", &[], "needs either"),
        ("[buckets.Bucket]\npath = \"x\"", &[], "buckets.Bucket"),
        ("[buckets.bucket]\nendpoint = \"http://x\"\naccess_key_id = \"k\"", &[], "both of"),
    ] {
        let error = load(file, environment).unwrap_err().0;
        assert!(error.contains(expected), "{file:?} said {error:?}, expected {expected:?}");
    }
}

#[test]
fn what_is_shown_holds_no_secret() {
    let file =
        "[buckets.bucket]\nendpoint = \"http://x\"\naccess_key_id = \"k\"\nsecret_access_key = \"canary\"\n";
    let config = load(file, &[]).unwrap();
    assert_eq!(config.buckets["bucket"].secret_access_key.as_ref().unwrap().reveal(), "canary");
    let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
    assert!(!shown.contains("canary") && shown.contains("***"), "{shown}");
}
