use std::collections::BTreeSet;

use super::*;

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn namespaces_nest_and_those_above_come_by_themselves() {
    let catalog = world().catalog;
    catalog.create_namespace(&namespace(&["a", "b", "c"]), texts(&[("k", "v")]), None).await.unwrap();
    let odd = namespace(&["a", "ü/ %"]);
    catalog.create_namespace(&odd, BTreeMap::new(), None).await.unwrap();
    let all = Page::default();
    assert_eq!(catalog.list_namespaces(None, &all).await.unwrap().items, [namespace(&["a"])]);
    let below = catalog.list_namespaces(Some(&namespace(&["a"])), &all).await.unwrap().items;
    assert_eq!(below, [odd, namespace(&["a", "b"])], "by their escaped names");
    assert_eq!(catalog.namespace(&namespace(&["a", "b", "c"])).await.unwrap(), texts(&[("k", "v")]));
    let again = catalog.create_namespace(&namespace(&["a", "b"]), BTreeMap::new(), None).await;
    refused(again, RefusalKind::AlreadyExists, "a.b");
    let missing = catalog.list_namespaces(Some(&namespace(&["x"])), &all).await;
    refused(missing, RefusalKind::NoSuchNamespace, "x");
    refused(catalog.namespace(&namespace(&["a", "c"])).await, RefusalKind::NoSuchNamespace, "a.c");
}

#[tokio::test]
async fn properties_are_set_removed_and_missing() {
    let catalog = world().catalog;
    let n = namespace(&["n"]);
    catalog.create_namespace(&n, texts(&[("a", "1"), ("b", "2")]), None).await.unwrap();
    let removals: BTreeSet<_> = ["a".to_owned(), "x".to_owned()].into();
    let changes = catalog.update_properties(&n, &removals, &texts(&[("c", "3")]), None).await.unwrap();
    let expected = serde_json::json!({ "updated": ["c"], "removed": ["a"], "missing": ["x"] });
    assert_eq!(changes.to_json(), expected);
    assert_eq!(catalog.namespace(&n).await.unwrap(), texts(&[("b", "2"), ("c", "3")]));
    let both = catalog.update_properties(&n, &removals, &texts(&[("a", "3")]), None).await;
    refused(both, RefusalKind::Unprocessable, "\"a\"");
}

#[tokio::test]
async fn a_namespace_that_holds_something_stays() {
    let (world, ..) = World::with_table().await;
    let catalog = &world.catalog;
    let n = namespace(&["n"]);
    refused(
        catalog.drop_namespace(&n, None).await,
        RefusalKind::NamespaceNotEmpty,
        "1 tables and 0 namespaces",
    );
    catalog.drop_table(&table("t"), false, None).await.unwrap();
    catalog.create_namespace(&namespace(&["n", "m"]), BTreeMap::new(), None).await.unwrap();
    refused(
        catalog.drop_namespace(&n, None).await,
        RefusalKind::NamespaceNotEmpty,
        "0 tables and 1 namespaces",
    );
    catalog.drop_namespace(&namespace(&["n", "m"]), None).await.unwrap();
    catalog.drop_namespace(&n, None).await.unwrap();
    refused(catalog.drop_namespace(&n, None).await, RefusalKind::NoSuchNamespace, "n");
}

#[tokio::test]
async fn pages_hold_everything_once() {
    let catalog = world().catalog;
    for i in 0..7 {
        catalog.create_namespace(&namespace(&["n", &format!("m{i}")]), BTreeMap::new(), None).await.unwrap();
    }
    let parent = namespace(&["n"]);
    let (mut page, mut seen, mut pages) = (Page { size: Some(3), token: None }, Vec::new(), 0);
    loop {
        let listed = catalog.list_namespaces(Some(&parent), &page).await.unwrap();
        seen.extend(listed.items);
        pages += 1;
        match listed.next_page_token {
            None => break,
            token => page.token = token,
        }
    }
    let expected: Vec<_> = (0..7).map(|i| namespace(&["n", &format!("m{i}")])).collect();
    assert_eq!((seen, pages), (expected, 3));
    page.token = Some("nonsense".to_owned());
    refused(catalog.list_namespaces(Some(&parent), &page).await, RefusalKind::BadRequest, "pageToken");
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    let catalog = world().catalog;
    for (levels, text) in [
        (vec![""], "empty"),
        (vec!["a", " "], "empty"),
        (vec!["a\u{1f}b"], "control"),
        (vec!["a"; 11], "11 levels"),
        (vec![&*"x".repeat(256)], "256 bytes"),
    ] {
        let made = catalog.create_namespace(&namespace(&levels), BTreeMap::new(), None).await;
        refused(made, RefusalKind::BadRequest, text);
    }
}
