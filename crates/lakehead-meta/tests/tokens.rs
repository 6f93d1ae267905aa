//! Tokens from outside: known by their value alone, gone when revoked, never readable on disk.

use std::path::Path;
use std::sync::Arc;

use lakehead_disk::SystemDisk;
use lakehead_meta::{ErrorKind, NewToken, SqliteRecords, Store, records::Records, records::Space};
use lakehead_model::limits::{TOKEN_STREAMS_MAX, TOKENS_MAX};
use lakehead_model::random::SeededRandom;
use lakehead_model::{Permissions, Secret, StreamId, SystemRandom, Timestamp, Token, TokenId};
use sha2::{Digest, Sha256};

fn open(dir: &Path) -> Store {
    try_open(dir).expect("the store opens")
}

fn try_open(dir: &Path) -> Result<Store, lakehead_meta::Error> {
    Store::open(dir, &SystemDisk, Arc::new(SystemRandom))
}

fn sender(name: &str) -> NewToken {
    NewToken {
        name: name.into(),
        permissions: Permissions { send: true, ..Permissions::default() },
        streams: None,
        bucket: None,
        expires_at: None,
    }
}

fn create(store: &Store, name: &str, at: i64) -> (Arc<Token>, Secret) {
    store.create_token(sender(name), Timestamp(at)).expect("there is room for a token")
}

fn shown(store: &Store, value: &Secret) -> Option<TokenId> {
    store.token_shown(value.reveal().as_bytes()).map(|token| token.id)
}

/// The SHA-256 of a value as hex, made without the store.
fn hash_of(value: &Secret) -> String {
    Sha256::digest(value.reveal()).iter().map(|b| format!("{b:02x}")).collect()
}

fn holds(dir: &Path, needle: &[u8]) -> bool {
    let mut files = 0;
    let mut found = false;
    for entry in std::fs::read_dir(dir).expect("a data directory") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a readable file");
        found |= bytes.windows(needle.len()).any(|w| w == needle);
        files += 1;
    }
    assert!(files >= 2, "the database and the key were looked at");
    found
}

#[test]
fn a_value_has_its_documented_form_and_lets_its_token_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let new = NewToken {
        permissions: Permissions { read: true, write: false, send: true },
        streams: Some(vec![StreamId(1), StreamId(2)]),
        bucket: Some("lake".into()),
        expires_at: Some(Timestamp(900)),
        ..sender("ci")
    };
    let (token, value) = store.create_token(new.clone(), Timestamp(50)).unwrap();
    let NewToken { name, permissions, streams, bucket, expires_at } = new;
    let expected = Token {
        id: token.id,
        name,
        permissions,
        streams,
        bucket,
        created_at: Timestamp(50),
        expires_at,
        last_used_at: None,
    };
    assert_eq!(*token, expected);
    let secret = value.reveal().strip_prefix(&format!("lh_{}_", token.id)).unwrap();
    assert_eq!(secret.len(), 48);
    assert!(secret.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{secret}");
    assert_eq!(store.token_shown(value.reveal().as_bytes()).as_deref(), Some(&expected));
}

#[test]
fn values_and_ids_all_differ() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut seen = std::collections::HashSet::new();
    for i in 0..20 {
        let (token, value) = create(&store, "same name", i);
        assert!(seen.insert(token.id.to_string()));
        assert!(seen.insert(value.reveal()[36..].to_owned()), "the secret parts differ");
    }
}

#[test]
fn tokens_are_there_after_a_reopen_in_order_of_creation() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let made: Vec<_> = [30, 10, 20].iter().map(|&at| create(&store, &format!("at {at}"), at)).collect();
    let before = store.tokens();
    assert_eq!(before.iter().map(|t| t.created_at.0).collect::<Vec<_>>(), [10, 20, 30]);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.tokens(), before);
    for (token, value) in &made {
        assert_eq!(shown(&store, value), Some(token.id));
        assert_eq!(store.token(token.id).as_ref(), Some(token));
    }
    assert_eq!(store.token(TokenId(1)), None);
}

#[test]
fn a_revoked_token_is_gone_at_once_and_after_a_reopen_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (kept, kept_value) = create(&store, "kept", 1);
    let (gone, gone_value) = create(&store, "gone", 2);
    assert!(store.revoke_token(gone.id).unwrap());
    assert!(!store.revoke_token(gone.id).unwrap());
    let check = |store: &Store| {
        assert_eq!(shown(store, &gone_value), None);
        assert_eq!(store.token(gone.id), None);
        assert_eq!(store.token_secret_key(&gone.id.to_string()), None);
        assert_eq!(shown(store, &kept_value), Some(kept.id));
        assert_eq!(store.tokens().len(), 1);
    };
    check(&store);
    // A use noted by a request that was under way must not bring it back.
    store.note_use(gone.id, Timestamp(9));
    store.save_uses().unwrap();
    check(&store);
    drop(store);
    check(&open(dir.path()));
}

#[test]
fn only_the_whole_value_is_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (token, value) = create(&store, "a", 1);
    let (_, other) = create(&store, "b", 2);
    let (id, text) = (token.id, value.reveal());
    let last = if text.ends_with('0') { "1" } else { "0" };
    let wrong = [
        String::new(),
        "lh_".into(),
        format!("lh_{id}"),
        format!("lh_{id}_"),
        // The right id with: another token's secret, a secret that is off by its last digit, more, less, upper case.
        format!("lh_{id}_{}", &other.reveal()[36..]),
        format!("{}{last}", &text[..text.len() - 1]),
        format!("{text}0"),
        format!("{text}\n"),
        text[..text.len() - 1].into(),
        text.to_uppercase(),
        format!(" {text}"),
        // The hash, which is the secret access key, is not the value.
        format!("lh_{id}_{}", hash_of(&value)),
        hash_of(&value),
        text[36..].into(),
        // An id nobody has; the number zero among them.
        format!("lh_{:032x}_{}", 0, &text[36..]),
        format!("lh_{:032x}_{}", 7, &text[36..]),
        "x".repeat(1 << 20),
    ];
    for wrong in wrong {
        assert!(store.token_shown(wrong.as_bytes()).is_none(), "{:.100}", wrong);
    }
    for bytes in [&b"lh_\xff\xfe"[..], &[0; 84], &[b"lh_".as_slice(), &[0xc3; 81]].concat()] {
        assert!(store.token_shown(bytes).is_none(), "{bytes:?}");
    }
    assert_eq!(shown(&store, &value), Some(id));
}

#[test]
fn neither_values_nor_hashes_are_on_disk_or_in_debug_output() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (token, value) = create(&store, "canary-name", 1);
    store.note_use(token.id, Timestamp(2));
    store.save_uses().unwrap();
    let (hash, secret) = (hash_of(&value), &value.reveal()[36..]);
    let debug = format!("{store:?} {token:?} {value:?}");
    assert!(!debug.contains(secret) && !debug.contains(&hash), "{debug}");
    drop(store);
    assert!(holds(dir.path(), b"canary-name"), "the search finds what is there");
    assert!(!holds(dir.path(), secret.as_bytes()));
    assert!(!holds(dir.path(), hash.as_bytes()));
    assert!(!holds(dir.path(), &Sha256::digest(value.reveal())));
}

#[test]
fn an_expired_token_is_shown_as_itself_and_says_that_it_is_expired() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let new = NewToken { expires_at: Some(Timestamp(100)), ..sender("short") };
    let (_, value) = store.create_token(new, Timestamp(1)).unwrap();
    drop(store);
    let token = open(dir.path()).token_shown(value.reveal().as_bytes()).unwrap();
    assert!(!token.is_expired(Timestamp(99)) && token.is_expired(Timestamp(100)));
}

#[test]
fn a_use_is_seen_at_once_and_on_disk_after_it_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (used, value) = create(&store, "used", 1);
    let (idle, _) = create(&store, "idle", 2);
    let last = |store: &Store, id| store.token(id).unwrap().last_used_at;
    store.note_use(used.id, Timestamp(70));
    store.note_use(used.id, Timestamp(60));
    store.note_use(TokenId(5), Timestamp(60));
    assert_eq!(last(&store, used.id), Some(Timestamp(70)), "the clock of another thread may be behind");
    assert_eq!(store.tokens()[0].last_used_at, Some(Timestamp(70)));
    drop(store);

    let store = open(dir.path());
    assert_eq!(last(&store, used.id), None, "what was not saved is lost with the process");
    store.note_use(used.id, Timestamp(80));
    store.save_uses().unwrap();
    drop(store);

    let store = open(dir.path());
    assert_eq!(last(&store, used.id), Some(Timestamp(80)));
    assert_eq!(last(&store, idle.id), None);
    assert_eq!(shown(&store, &value), Some(used.id));
}

#[test]
fn uses_are_written_once_and_only_where_there_were_any() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (used, _) = create(&store, "used", 1);
    let (idle, _) = create(&store, "idle", 2);
    for _ in 0..3 {
        store.note_use(used.id, Timestamp(70));
        store.save_uses().unwrap();
    }
    drop(store);
    let records = SqliteRecords::open(&dir.path().join("meta.sqlite")).unwrap();
    let version = |id: TokenId| records.get(Space::Token, &id.to_string()).unwrap().unwrap().version;
    assert_eq!(version(used.id), 2, "written when it was made, and for its use");
    assert_eq!(version(idle.id), 1);
}

#[test]
fn the_secret_access_key_is_the_hash_of_the_value() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (token, value) = create(&store, "s3", 1);
    let id = token.id.to_string();
    assert_eq!(store.token_secret_key(&id), Some(Secret::new(hash_of(&value))));
    for wrong in
        ["", "0", &id[1..], &id.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A"), value.reveal()]
    {
        assert_eq!(store.token_secret_key(wrong), None, "{wrong:?}");
    }
    drop(store);
    assert_eq!(open(dir.path()).token_secret_key(&id), Some(Secret::new(hash_of(&value))));
}

#[test]
fn there_may_be_a_thousand_tokens_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let streams: Vec<_> = (0..TOKEN_STREAMS_MAX as u128).map(StreamId).collect();
    let mut made = Vec::new();
    for i in 0..i64::try_from(TOKENS_MAX).unwrap() {
        let expires_at = (i < 3).then_some(Timestamp(10_000));
        let new = NewToken { streams: Some(streams.clone()), expires_at, ..sender(&"n".repeat(120)) };
        made.push(store.create_token(new, Timestamp(i)).unwrap());
    }
    let refused = store.create_token(sender("one more"), Timestamp(0)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Limit);
    assert!(refused.to_string().contains("1000 tokens"), "{refused}");
    for (token, _) in &made {
        store.note_use(token.id, Timestamp(5_000));
    }
    store.save_uses().unwrap();
    drop(store);

    let store = open(dir.path());
    assert_eq!(store.tokens().len(), TOKENS_MAX);
    assert!(store.tokens().iter().all(|t| t.last_used_at == Some(Timestamp(5_000))));
    assert!(made.iter().all(|(token, value)| shown(&store, value) == Some(token.id)));
    assert!(store.revoke_token(made[500].0.id).unwrap());
    create(&store, "in the place of the revoked one", 1);
    let now = Timestamp(9_999);
    assert_eq!(store.create_token(sender("none has expired"), now).unwrap_err().kind(), ErrorKind::Limit);
    create(&store, "in the place of three that have expired", 10_000);
    assert_eq!(store.tokens().len(), TOKENS_MAX - 2);
    drop(store);
    assert_eq!(open(dir.path()).tokens().len(), TOKENS_MAX - 2);
}

#[test]
fn tokens_are_no_part_of_the_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let watch = store.watch();
    let (token, _) = create(&store, "quiet", 1);
    store.note_use(token.id, Timestamp(2));
    store.save_uses().unwrap();
    store.revoke_token(token.id).unwrap();
    assert!(!watch.has_changed().unwrap());
    assert_eq!(store.catalog().revision, 0);
}

#[test]
fn a_lost_or_foreign_key_is_reported_when_there_are_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (token, value) = create(&store, "a", 1);
    drop(store);
    let key = dir.path().join("secret.key");
    let saved = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert!(try_open(dir.path()).unwrap_err().to_string().contains("secret.key"));
    assert!(!key.exists());
    std::fs::write(&key, "00".repeat(32)).unwrap();
    let error = try_open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&format!("token/{}", token.id)), "{error}");
    std::fs::write(&key, saved).unwrap();
    assert_eq!(shown(&open(dir.path()), &value), Some(token.id));
}

#[test]
fn a_hash_cannot_be_passed_off_as_that_of_another_token() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (weak, _) = create(&store, "weak", 1);
    let (strong, _) = create(&store, "strong", 2);
    drop(store);
    let records = SqliteRecords::open(&dir.path().join("meta.sqlite")).unwrap();
    let record = |id: TokenId| records.get(Space::Token, &id.to_string()).unwrap().unwrap();
    let field = |id| -> serde_json::Value { serde_json::from_slice(&record(id).value).unwrap() };
    let mut forged = field(strong.id);
    forged["sealed_sha256"] = field(weak.id)["sealed_sha256"].take();
    let write = lakehead_meta::records::Write {
        space: Space::Token,
        key: strong.id.to_string(),
        expect: lakehead_meta::records::Expect::Any,
        value: Some(serde_json::to_vec(&forged).unwrap()),
    };
    records.write(None, &[write]).unwrap();
    drop(records);
    assert_eq!(try_open(dir.path()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn an_id_drawn_twice_is_a_conflict_and_the_first_token_stays() {
    let dir = tempfile::tempdir().unwrap();
    let seeded = || Store::open(dir.path(), &SystemDisk, Arc::new(SeededRandom::new(1))).unwrap();
    let store = seeded();
    // The key of the vault is drawn first; a store opened again draws the ids from the start.
    drop(store);
    let store = seeded();
    let (first, value) = create(&store, "first", 1);
    drop(store);
    let store = seeded();
    let refused = store.create_token(sender("second"), Timestamp(2)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(shown(&store, &value), Some(first.id));
    assert_eq!(store.tokens().len(), 1);
}
