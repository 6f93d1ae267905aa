use super::*;

fn token() -> Token {
    Token {
        id: TokenId(0xab),
        name: "ci".into(),
        permissions: Permissions { send: true, ..Permissions::default() },
        streams: None,
        bucket: None,
        created_at: Timestamp(5),
        expires_at: None,
        last_used_at: None,
    }
}

#[test]
fn permissions_are_words_in_one_order() {
    for (given, kept) in [
        (r#"["send"]"#, r#"["send"]"#),
        (r#"["send","read","send"]"#, r#"["read","send"]"#),
        (r#"["write","send","read"]"#, r#"["read","write","send"]"#),
    ] {
        let permissions: Permissions = serde_json::from_str(given).unwrap();
        assert_eq!(serde_json::to_string(&permissions).unwrap(), kept);
    }
    let all = Permissions { read: true, write: true, send: true };
    assert_eq!(all.to_string(), "read, write, send");
}

#[test]
fn permissions_that_do_not_exist_are_refused_by_name() {
    let refused = Permissions::from_words("permissions", ["send", "Write"]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "permissions: \"Write\" is not a permission; there are read, write and send"
    );
    assert!(Permissions::from_words("permissions", []).is_err());
    for wrong in ["[]", r#"["admin"]"#, r#""send""#, "null", "[1]"] {
        assert!(serde_json::from_str::<Permissions>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_token_expires_at_its_moment_and_not_before() {
    let token = Token { expires_at: Some(Timestamp(100)), ..token() };
    assert!(!token.is_expired(Timestamp(99)));
    assert!(token.is_expired(Timestamp(100)));
    assert!(token.is_expired(Timestamp(101)));
    assert!(!self::token().is_expired(Timestamp(i64::MAX)));
}

#[test]
fn sending_needs_the_permission_and_the_stream() {
    let (bound_to, other) = (StreamId(1), StreamId(2));
    let bound = Token { streams: Some(vec![bound_to]), ..token() };
    assert!(token().may_send_to(bound_to) && token().may_send_to(other));
    assert!(bound.may_send_to(bound_to) && !bound.may_send_to(other));
    assert!(!Token { streams: Some(vec![]), ..token() }.may_send_to(bound_to));
    let reader = Permissions { read: true, write: true, send: false };
    assert!(!Token { permissions: reader, ..token() }.may_send_to(bound_to));
    assert!(!Token { permissions: reader, ..bound }.may_send_to(bound_to));
}

#[test]
fn a_token_is_the_same_after_json() {
    let full = Token {
        streams: Some(vec![StreamId(7), StreamId(8)]),
        expires_at: Some(Timestamp(9)),
        last_used_at: Some(Timestamp(8)),
        ..token()
    };
    for token in [token(), full] {
        let text = serde_json::to_string(&token).unwrap();
        assert_eq!(serde_json::from_str::<Token>(&text).unwrap(), token, "{text}");
    }
    let text = serde_json::to_string(&token()).unwrap();
    assert!(text.starts_with(r#"{"id":"000000000000000000000000000000ab","name":"ci""#), "{text}");
}

#[test]
fn names_have_1_to_120_characters_and_none_that_moves_the_cursor() {
    for good in ["a", "CI, staging", "Zürich ✓", &"ü".repeat(120)] {
        assert_eq!(check_name("name", good), Ok(()), "{good:?}");
    }
    for (wrong, why) in [("", "is empty"), ("  ", "is empty"), ("a\nb", "'\\n'"), ("\u{1b}[2J", "'\\u{1b}'")]
    {
        assert!(check_name("name", wrong).unwrap_err().reason.contains(why), "{wrong:?}");
    }
    let refused = check_name("name", &"ü".repeat(121)).unwrap_err();
    assert_eq!(refused.to_string(), "name: has 121 characters; the limit is 120");
}

#[test]
fn a_token_is_bound_to_some_streams_or_not_at_all() {
    let streams: Vec<_> = (0..=TOKEN_STREAMS_MAX as u128).map(StreamId).collect();
    assert!(check_streams("streams", &[]).is_err());
    assert_eq!(check_streams("streams", &streams[..1]), Ok(()));
    assert_eq!(check_streams("streams", &streams[..TOKEN_STREAMS_MAX]), Ok(()));
    assert!(check_streams("streams", &streams).is_err());
}
