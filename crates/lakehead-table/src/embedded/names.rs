//! What namespaces and tables may be called, and where a new table lies.

use iceberg::{NamespaceIdent, TableIdent};
use lakehead_sink::BucketFiles;
use uuid::Uuid;

use super::refusal::Refusal;

/// Levels of a namespace.
pub const LEVELS_MAX: usize = 10;
/// Bytes of a level or of a table's name.
pub const NAME_BYTES_MAX: usize = 255;
/// The folder in a bucket that holds the tables made without a location of their own.
pub const TABLES_FOLDER: &str = "__r2_data_catalog";
/// As much of a name as a folder's name repeats, for people.
const FOLDER_CHARS_MAX: usize = 64;

pub(super) fn check_namespace(field: &str, levels: &[String]) -> Result<(), Refusal> {
    if levels.is_empty() || levels.len() > LEVELS_MAX {
        let text = format!("{field}: has {} levels; a namespace has 1 to {LEVELS_MAX}", levels.len());
        return Err(Refusal::bad(text));
    }
    levels.iter().try_for_each(|level| check_name(field, level))
}

pub(super) fn check_table(field: &str, table: &TableIdent) -> Result<(), Refusal> {
    check_namespace(&format!("{field}.namespace"), &table.namespace)?;
    check_name(&format!("{field}.name"), &table.name)
}

fn check_name(field: &str, name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() {
        return Err(Refusal::bad(format!(
            "{field}: a name in it is empty; 1 to {NAME_BYTES_MAX} bytes are needed"
        )));
    }
    if name.len() > NAME_BYTES_MAX {
        let text = format!("{field}: a name in it has {} bytes; the limit is {NAME_BYTES_MAX}", name.len());
        return Err(Refusal::bad(text));
    }
    match name.chars().find(|c| c.is_control()) {
        Some(c) => Err(Refusal::bad(format!("{field}: holds {c:?}; control characters are not allowed"))),
        None => Ok(()),
    }
}

/// A folder that no other table has had or will have.
pub(super) fn default_location(files: &BucketFiles, table: &TableIdent, uuid: Uuid) -> String {
    let namespace: Vec<_> = table.namespace.iter().map(|level| folder_name(level)).collect();
    files.uri(&format!("{TABLES_FOLDER}/{}/{}-{uuid}", namespace.join("."), folder_name(&table.name)))
}

/// Whether the folder is one that [`default_location`] made: nothing but its table's files is in it.
pub(super) fn is_own_folder(key: &str) -> bool {
    let mut parts = key.split('/');
    let uuid = |part: &str| {
        part.len() > 36 && part.get(part.len() - 36..).is_some_and(|id| Uuid::parse_str(id).is_ok())
    };
    parts.next() == Some(TABLES_FOLDER)
        && parts.next().is_some()
        && parts.next().is_some_and(uuid)
        && parts.next().is_none()
}

fn folder_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    name.chars().take(FOLDER_CHARS_MAX).map(plain).collect()
}

/// The key of a table's folder, which must lie in the bucket.
pub(super) fn location_key<'a>(
    files: &BucketFiles,
    field: &str,
    location: &'a str,
) -> Result<&'a str, Refusal> {
    files.key(location.trim_end_matches('/')).ok_or_else(|| {
        Refusal::bad(format!(
            "{field}: {location:?} is not below {}; leave it out for a folder there",
            files.root()
        ))
    })
}

/// Whether one folder is the other one or lies in it.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(a, b) || within(b, a)
}

pub(super) fn ident(levels: Vec<String>) -> Result<NamespaceIdent, Refusal> {
    NamespaceIdent::from_vec(levels).map_err(|e| Refusal::bad(format!("namespace: {}", e.message())))
}
