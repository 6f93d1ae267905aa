use super::*;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in
        [("url", "http://127.0.0.1:7070"), ("account_id", "ab\n"), ("admin_token", "lh_secret\n")]
    {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn variables<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
}

const REMOTE: [(&str, &str); 3] =
    [(BASE_URL, "http://far:1/client/v4/"), (ACCOUNT_ID, "cd"), (API_TOKEN, "other")];

#[test]
fn a_data_folder_names_its_server_even_if_the_variables_name_another() {
    let dir = folder();
    let at = Where { data_dir: Some(dir.path().to_owned()) };
    let endpoint = at.endpoint(&variables(&REMOTE)).unwrap();
    assert_eq!(endpoint.base_url, "http://127.0.0.1:7070/client/v4");
    assert_eq!((endpoint.account.as_str(), endpoint.token.reveal()), ("ab", "lh_secret"));
    assert!(!format!("{endpoint:?}").contains("lh_secret"));
}

#[test]
fn without_a_folder_the_variables_name_the_server() {
    let endpoint = Where::default().endpoint(&variables(&REMOTE)).unwrap();
    assert_eq!(endpoint.base_url, "http://far:1/client/v4");
    assert_eq!((endpoint.account.as_str(), endpoint.token.reveal()), ("cd", "other"));
    for missing in [ACCOUNT_ID, API_TOKEN] {
        let set: Vec<_> = REMOTE.into_iter().filter(|(name, _)| *name != missing).collect();
        let error = Where::default().endpoint(&variables(&set)).unwrap_err();
        assert!(error.to_string().contains(&format!("{missing} is not")), "{error}");
    }
}

#[test]
fn variables_without_a_base_url_are_meant_for_cloudflare_and_left_alone() {
    let dir = folder();
    let set =
        [(ACCOUNT_ID, "cd"), (API_TOKEN, "other"), (BASE_URL, ""), (DATA_DIR, dir.path().to_str().unwrap())];
    let endpoint = Where::default().endpoint(&variables(&set)).unwrap();
    assert_eq!((endpoint.account.as_str(), endpoint.token.reveal()), ("ab", "lh_secret"));
}

#[test]
fn a_folder_without_a_server_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let at = Where { data_dir: Some(dir.path().join("none")) };
    let error = at.endpoint(&variables(&[])).unwrap_err().to_string();
    assert!(error.contains("none/url") && error.contains("lakehead serve"), "{error}");
}
