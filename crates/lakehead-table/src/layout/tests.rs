use super::*;
use crate::columns::schema_of;
use crate::played::columns;

fn parse(partition_by: &[&str], sort_by: &[&str]) -> Result<Layout, (&'static str, String)> {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    Layout::parse(Some(&texts(partition_by)), &texts(sort_by))
}

#[test]
fn a_layout_becomes_a_spec_and_an_order() {
    let by = ["day(__ingest_ts)", "bucket( 16 , id )", "TRUNCATE(4, name)", "name"];
    let layout =
        parse(&by, &["id", "name DESC", "__ingest_ts asc nulls last", "bucket(2, id) desc nulls first"])
            .unwrap();
    let schema = schema_of(&columns()).unwrap();
    let spec = layout.spec(&schema).unwrap().unwrap();
    let fields: Vec<_> = spec.fields().iter().map(|f| (f.source_id, f.name.as_str(), f.transform)).collect();
    assert_eq!(
        fields,
        [
            (3, "__ingest_ts_day", Transform::Day),
            (1, "id_bucket", Transform::Bucket(16)),
            (2, "name_trunc", Transform::Truncate(4)),
            (2, "name", Transform::Identity),
        ]
    );
    let order = layout.order(&schema).unwrap().unwrap();
    let fields: Vec<_> = order.fields.iter().map(|f| (f.source_id, f.direction, f.null_order)).collect();
    use NullOrder::{First, Last};
    use SortDirection::{Ascending, Descending};
    assert_eq!(
        fields,
        [(1, Ascending, First), (2, Descending, Last), (3, Ascending, Last), (1, Descending, First)]
    );
    let named: Vec<_> = layout.columns().collect();
    assert!(named.contains(&"id") && named.contains(&"__ingest_ts"));
}

#[test]
fn nothing_said_is_the_default_and_an_empty_list_is_no_partition() {
    let schema = schema_of(&columns()).unwrap();
    let default = Layout::parse(None, &[]).unwrap();
    assert!(default.spec(&schema).unwrap().is_none() && default.order(&schema).unwrap().is_none());
    assert!(parse(&[], &[]).unwrap().spec(&schema).unwrap().unwrap().fields().is_empty());
}

#[test]
fn what_cannot_be_read_is_named() {
    let wrong = [
        "",
        "day(",
        "day()",
        "day(a,b)",
        "bucket(id)",
        "bucket(0, id)",
        "bucket(x, id)",
        "nope(id)",
        "a b",
        "day(a) x",
    ];
    for text in wrong {
        let (list, why) = parse(&[text], &[]).unwrap_err();
        assert!(list == "partition_by" && why.contains(&format!("{text:?}")), "{why}");
        assert_eq!(parse(&[], &[text]).unwrap_err().0, "sort_by", "{text}");
    }
    let many = ["id"; 9];
    assert!(parse(&many, &[]).unwrap_err().1.contains("9 fields"));
}

#[test]
fn what_the_table_does_not_allow_is_refused() {
    let schema = schema_of(&columns()).unwrap();
    for text in ["day(name)", "hour(id)", "nobody", "truncate(2, __ingest_ts)"] {
        let refused = parse(&[text], &[]).unwrap().spec(&schema).unwrap_err();
        assert_eq!(refused.kind, CatalogErrorKind::Refused, "{text}");
    }
    assert!(parse(&[], &["nobody"]).unwrap().order(&schema).is_err());
}
