//! What DataFusion offers, what of it is listed, and what we add, held against the file in the repository.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::{Registry, offered, ours};

/// Set to write the file instead of comparing it.
const WRITE: &str = "LAKEHEAD_TEST_WRITE";

#[test]
fn functions_that_an_upgrade_adds_or_takes_away_are_noticed() {
    let registry = Registry::get();
    let mut lines = BTreeSet::new();
    for function in offered() {
        let listed = registry.find(function.name()).is_some_and(|f| *f == function);
        let replaced = registry.find(function.name()).is_some();
        let state = if listed {
            "listed  "
        } else if replaced {
            "replaced"
        } else {
            "withheld"
        };
        let mut names = function.aliases().to_vec();
        names.sort();
        lines.insert(format!("{state} {} {}", function.name(), names.join(" ")).trim_end().to_owned());
    }
    for function in ours() {
        lines.insert(
            format!("ours     {} {}", function.name(), function.aliases().join(" ")).trim_end().to_owned(),
        );
    }
    let made = lines.into_iter().map(|line| line + "\n").collect::<String>();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/functions/offered.txt");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let (kept, made): (BTreeSet<_>, BTreeSet<_>) = (kept.lines().collect(), made.lines().collect());
    assert!(
        kept == made,
        "functions changed; gone: {:?}; new: {:?}. Decide for each whether SQL may call it (LISTED), then run with {WRITE}=1",
        kept.difference(&made).collect::<Vec<_>>(),
        made.difference(&kept).collect::<Vec<_>>()
    );
}

#[test]
fn nothing_that_sees_more_than_its_row_is_listed() {
    for name in
        ["version", "arrow_metadata", "with_metadata", "current_time", "to_local_time", "regexp_count"]
    {
        assert!(Registry::get().find(name).is_none(), "{name}");
    }
}

/// The documented names that are no first names.
const ALIASES: &[&str] = &[
    "pow",
    "ifnull",
    "trim",
    "length",
    "char_length",
    "instr",
    "position",
    "substring",
    "datetrunc",
    "datepart",
    "date_format",
    "make_list",
    "array_push_back",
    "array_push_front",
    "array_cat",
    "array_contains",
    "array_extract",
    "array_indexof",
    "array_empty",
    "array_join",
    "string_to_list",
    "list_append",
    "list_push_back",
    "list_prepend",
    "list_push_front",
    "list_concat",
    "list_cat",
    "list_has",
    "list_contains",
    "list_has_all",
    "list_has_any",
    "list_element",
    "list_extract",
    "list_slice",
    "list_pop_front",
    "list_pop_back",
    "list_position",
    "list_indexof",
    "list_positions",
    "list_remove",
    "list_remove_n",
    "list_remove_all",
    "list_replace",
    "list_replace_n",
    "list_replace_all",
    "list_resize",
    "list_repeat",
    "list_reverse",
    "list_sort",
    "list_distinct",
    "list_union",
    "list_intersect",
    "list_except",
    "list_length",
    "list_dims",
    "list_ndims",
    "list_empty",
    "list_to_string",
    "list_join",
];

#[test]
fn every_documented_alias_is_a_function() {
    let missing: Vec<_> = ALIASES.iter().filter(|name| Registry::get().find(name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_reference_for_users_names_every_function() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql.md");
    let text = std::fs::read_to_string(path).unwrap();
    let missing: Vec<_> = Registry::get()
        .functions()
        .into_iter()
        .filter(|name| !text.contains(&format!("`{name}(")) && name != "get_field")
        .collect();
    assert!(missing.is_empty(), "docs/sql.md does not name {missing:?}");
}
