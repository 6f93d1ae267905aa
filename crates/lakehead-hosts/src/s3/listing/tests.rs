use super::*;
use crate::account::KeyPair;
use lakehead_model::Secret;

/// A bucket of these keys, sorted.
struct Keys(Vec<String>);

impl Account for Keys {
    fn account_id(&self) -> &str {
        ""
    }

    fn secret_access_key(&self, _: &str) -> Result<Option<Secret>, String> {
        Err("not for this test".to_owned())
    }

    fn may_read(&self, _: &str, _: &str) -> Result<bool, String> {
        Err("not for this test".to_owned())
    }

    fn bucket_exists(&self, _: &str) -> Result<bool, String> {
        Err("not for this test".to_owned())
    }

    fn list_objects(&self, _: &str, query: &ListQuery) -> Result<Vec<ListedObject>, String> {
        assert!((1..=1001).contains(&query.keys_max));
        let matching = self.0.iter().filter(|key| {
            key.starts_with(&query.prefix) && query.after.as_ref().is_none_or(|after| *key > after)
        });
        let objects = matching.take(query.keys_max).map(|key| ListedObject {
            key: key.clone(),
            size_bytes: 5,
            modified: Timestamp(1_795_305_600_123_456),
            etag: "e<tag".to_owned(),
        });
        Ok(objects.collect())
    }

    fn mint_key(&self, _: &str, _: &str) -> Result<KeyPair, String> {
        Err("not for this test".to_owned())
    }
}

fn bucket(keys: &[&str]) -> Keys {
    let mut keys: Vec<_> = keys.iter().map(|&key| key.to_owned()).collect();
    keys.sort();
    Keys(keys)
}

fn listing(query: &str) -> Result<Listing, S3Error> {
    Listing::from_parameters(&percent::parameters(query, false).unwrap())
}

/// What stands between the tags, in order.
fn values(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open).skip(1).map(|rest| rest.split_once(&close).unwrap().0.to_owned()).collect()
}

/// Keys and groups of all pages, and the number of pages.
fn walk(keys: &Keys, query: &str) -> (Vec<String>, Vec<String>, usize) {
    let (mut objects, mut groups, mut pages) = (Vec::new(), Vec::new(), 0);
    let mut token = String::new();
    loop {
        let xml = listing(&format!("list-type=2&{query}{token}")).unwrap().page(keys, "b").unwrap();
        pages += 1;
        assert!(pages < 100, "the pages have no end");
        let (these, mut common) = (values(&xml, "Key"), values(&xml, "Prefix"));
        common.remove(0);
        assert_eq!(values(&xml, "KeyCount"), [(these.len() + common.len()).to_string()]);
        objects.extend(these);
        groups.extend(common);
        let next = values(&xml, "NextContinuationToken");
        assert_eq!(values(&xml, "IsTruncated"), [(!next.is_empty()).to_string()]);
        match next.first() {
            Some(next) => token = format!("&continuation-token={next}"),
            None => return (objects, groups, pages),
        }
    }
}

#[test]
fn pages_hold_every_key_once_whatever_their_size() {
    let all: Vec<String> = (0..23).map(|i| format!("k{i:02}")).collect();
    let keys = Keys(all.clone());
    for (size, pages) in [(1, 23), (2, 12), (22, 2), (23, 1), (1000, 1), (5000, 1)] {
        assert_eq!(walk(&keys, &format!("max-keys={size}")), (all.clone(), vec![], pages), "{size}");
    }
    assert_eq!(walk(&keys, "start-after=k20").0, ["k21", "k22"]);
    assert_eq!(walk(&keys, "prefix=k1&max-keys=3").0.len(), 10);
    assert_eq!(walk(&keys, "prefix=none"), (vec![], vec![], 1));
}

#[test]
fn a_delimiter_folds_keys_into_groups_over_pages() {
    let last = format!("a/{0}{0}", char::MAX);
    let keys = bucket(&["0", "a/1", "a/2", "a/b/3", &last, "a0", "b/1", "c", "d//x"]);
    let groups = vec!["a/".to_owned(), "b/".to_owned(), "d/".to_owned()];
    for size in 1..8 {
        let (objects, found, _) = walk(&keys, &format!("delimiter=%2F&max-keys={size}"));
        assert_eq!(
            (objects, found),
            (vec!["0".to_owned(), "a0".to_owned(), "c".to_owned()], groups.clone()),
            "{size}"
        );
    }
    let (objects, found, _) = walk(&keys, "delimiter=/&prefix=a/&max-keys=1");
    assert_eq!((objects, found), (vec!["a/1".to_owned(), "a/2".to_owned(), last], vec!["a/b/".to_owned()]));
}

#[test]
fn a_group_larger_than_a_page_of_the_account_ends() {
    let odd = (0..2500).map(|i| format!("g/{}{i:04}", char::MAX));
    let mut keys: Vec<String> =
        (0..2500).map(|i| format!("g/{i:04}")).chain(odd).chain(["h".to_owned()]).collect();
    keys.sort();
    let (objects, groups, pages) = walk(&Keys(keys), "delimiter=/");
    assert_eq!((objects, groups, pages), (vec!["h".to_owned()], vec!["g/".to_owned()], 1));
}

#[test]
fn a_bucket_of_large_groups_is_listed_in_pages_that_cost_a_bounded_number_of_calls() {
    let group = |g: usize| (0..1001).map(move |i| format!("{g:03}/{i:04}"));
    let keys = Keys((0..100).flat_map(group).collect());
    let (objects, groups, pages) = walk(&keys, "delimiter=/");
    assert_eq!((objects.len(), groups.len(), pages), (0, 100, 4));
    assert!(groups.is_sorted());
}

#[test]
fn names_are_escaped_or_encoded() {
    let keys = bucket(&["a&b <c>", "ü/x"]);
    let xml = listing("list-type=2&prefix=").unwrap().page(&keys, "b").unwrap();
    assert_eq!(values(&xml, "Key"), ["a&amp;b &lt;c&gt;", "ü/x"]);
    assert_eq!(values(&xml, "ETag")[0], "&quot;e&lt;tag&quot;");
    assert_eq!(values(&xml, "LastModified")[0], "2026-11-22T00:00:00.123Z");
    assert_eq!((values(&xml, "Size")[0].as_str(), values(&xml, "Name")[0].as_str()), ("5", "b"));
    let xml = listing("list-type=2&encoding-type=url&delimiter=/").unwrap().page(&keys, "b").unwrap();
    assert_eq!(values(&xml, "Key"), ["a%26b%20%3Cc%3E"]);
    assert_eq!(values(&xml, "Prefix"), ["", "%C3%BC/"]);
    assert_eq!(values(&xml, "EncodingType"), ["url"]);
}

#[test]
fn no_keys_at_all_may_be_asked_for() {
    let xml = listing("list-type=2&max-keys=0").unwrap().page(&bucket(&["a"]), "b").unwrap();
    assert_eq!(
        (values(&xml, "KeyCount"), values(&xml, "IsTruncated")),
        (vec!["0".to_owned()], vec!["false".to_owned()])
    );
}

#[test]
fn parameters_that_mean_something_else_are_refused_by_name() {
    for (query, named) in [
        ("list-type=1", "list-type"),
        ("list-type=2&max-keys=-1", "max-keys"),
        ("list-type=2&max-keys=x", "max-keys"),
        ("list-type=2&encoding-type=xml", "encoding-type"),
        ("list-type=2&continuation-token=", "continuation-token"),
        ("list-type=2&continuation-token=kzz", "continuation-token"),
        ("list-type=2&continuation-token=kff", "continuation-token"),
        ("list-type=2&continuation-token=%C3%BC", "continuation-token"),
    ] {
        let outcome = listing(query);
        assert!(
            matches!(outcome, Err(S3Error::InvalidArgument(name, _)) if name == named),
            "{query}: {outcome:?}"
        );
    }
    for query in ["", "location", "list-type=2&versions", "uploads"] {
        assert!(matches!(listing(query), Err(S3Error::NotImplemented(_))), "{query}");
    }
}
