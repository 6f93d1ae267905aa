//! Whether what a commit made is there: every file with its bytes and rows, and the dead letters.

use std::collections::HashMap;
use std::time::Duration;

use lakehead_meta::{Entry, FlowKey, MadeFile};
use lakehead_model::SinkId;
use lakehead_model::resource::Credentials;
use lakehead_sink::{BucketFiles, Recounted, Recounter, Seams};
use lakehead_table::{LiveFiles, NamespaceIdent, TableIdent, live_files};

use super::findings::Findings;
use super::{DifferenceKind as Kind, Parts, left, letters};
use crate::control::{Error, Recount};
use crate::runtime::letters_folder;
use crate::storage::sink_keys;

/// An audit that nobody waits for ends so soon, also while a store does not answer.
const LEFT_WITHIN: Duration = Duration::from_millis(200);

/// Reads buckets, each opened once.
pub(super) struct Output<'a> {
    parts: &'a Parts,
    go_on: &'a dyn Fn() -> bool,
    /// Or why the bucket cannot be read; then it is left alone.
    buckets: HashMap<Place, Result<Opened, String>>,
}

/// A bucket as a sink reaches it; for the files of a table, the table's.
type Place = (String, Option<SinkId>, Option<(String, String, (u64, u64))>);

struct Opened {
    recounter: Recounter,
    /// The files of the table, if it is one.
    live: Option<LiveFiles>,
}

impl<'a> Output<'a> {
    pub(super) fn new(parts: &'a Parts, go_on: &'a dyn Fn() -> bool) -> Self {
        Output { parts, go_on, buckets: HashMap::new() }
    }

    /// Looks at all that a commit made.
    pub(super) fn check(
        &mut self,
        key: FlowKey,
        entry: &Entry,
        recount: &mut Recount,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        if !(self.go_on)() {
            return Err(left());
        }
        recount.commits += u64::from(entry.until > entry.from);
        for file in &entry.made.files {
            recount.files_recorded += 1;
            recount.rows_recorded += file.rows;
            recount.bytes_recorded += file.size_bytes;
            self.check_file(key, entry, file, recount, findings)?;
        }
        self.check_letters(key, entry, recount, findings)
    }

    fn check_letters(
        &self,
        key: FlowKey,
        entry: &Entry,
        recount: &mut Recount,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let Some(recorded) = &entry.made.letters else { return Ok(()) };
        recount.dead_letters_recorded += recorded.records;
        let path = letters_folder(&self.parts.data_dir, key).join(&recorded.name);
        let (statement, name) = (key.statement, &recorded.name);
        match letters::lines(&*self.parts.disk, &path)? {
            None => {
                let text = format!(
                    "the {} dead letters {name} of statement {statement} are not there",
                    recorded.records
                );
                findings.differ(Kind::DeadLettersMissing, statement, entry.from, text);
            }
            Some(found) => {
                recount.dead_letters_found += found;
                if found != recorded.records {
                    let text = format!(
                        "the dead letters {name} of statement {statement} are {found}, and {} were kept apart",
                        recorded.records
                    );
                    findings.differ(Kind::DeadLettersCount, statement, entry.from, text);
                }
            }
        }
        Ok(())
    }

    fn check_file(
        &mut self,
        key: FlowKey,
        entry: &Entry,
        file: &MadeFile,
        recount: &mut Recount,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let table = entry.made.table.as_ref().map(|t| (t.namespace.clone(), t.name.clone(), t.uuid));
        let place = (entry.made.bucket.clone().unwrap_or_default(), entry.made.sink, table);
        let bucket = match self.buckets.entry(place.clone()) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(open(self.parts, &place)?),
        };
        if let Ok(Opened { live: Some(live), .. }) = bucket {
            let times = live.times.get(&file.key).copied().unwrap_or_default();
            let name = entry.made.table.as_ref().map_or("", |table| table.name.as_str());
            let mut differ = |kind, what: &str| {
                let text = format!("{:?} with its {} rows is {what} table {name:?}", file.key, file.rows);
                findings.differ(kind, key.statement, entry.from, text);
            };
            match times {
                1 => {}
                0 if live.only_appended => {
                    differ(Kind::FileMissing, "not in");
                    return Ok(());
                }
                // Compaction, or another client, has put others in its place.
                0 => {
                    recount.files_rewritten += 1;
                    return Ok(());
                }
                _ => differ(Kind::FileTwice, "more than once in"),
            }
        }
        let found = match bucket {
            Ok(Opened { recounter, .. }) => self.parts.async_runtime.block_on(async {
                tokio::select! {
                    found = recounter.recount(&file.key, self.go_on) => found.map_err(|e| e.to_string()),
                    // A store may take minutes not to answer.
                    () = until_left(self.go_on) => Err(String::new()),
                }
            }),
            Err(why) => Err(why.clone()),
        };
        if !(self.go_on)() {
            return Err(left());
        }
        match found {
            Err(why) => {
                findings.unread(format!("bucket {:?}: {why}", place.0));
                *bucket = Err(why);
            }
            Ok(None) => {
                let text =
                    format!("{:?} of bucket {:?} is not there; it had {} rows", file.key, place.0, file.rows);
                findings.differ(Kind::FileMissing, key.statement, entry.from, text);
            }
            Ok(Some(found)) => {
                recount.files_found += 1;
                recount.bytes_found += found.size_bytes;
                recount.rows_found += found.rows.as_ref().copied().unwrap_or(0);
                compare(key, entry, file, &found, findings);
            }
        }
        Ok(())
    }
}

/// Ends when nobody waits for the audit any more.
async fn until_left(go_on: &dyn Fn() -> bool) {
    while go_on() {
        tokio::time::sleep(LEFT_WITHIN).await;
    }
}

/// One difference a file for its bytes, and one for its rows.
fn compare(key: FlowKey, entry: &Entry, file: &MadeFile, found: &Recounted, findings: &mut Findings) {
    let bucket = entry.made.bucket.as_deref().unwrap_or_default();
    let mut differ = |kind, what: String| {
        let text = format!("{:?} of bucket {bucket:?} {what}", file.key);
        findings.differ(kind, key.statement, entry.from, text);
    };
    if found.size_bytes != file.size_bytes {
        differ(
            Kind::FileSize,
            format!("has {} bytes, and {} were written", found.size_bytes, file.size_bytes),
        );
    } else if found.crc32c != file.crc32c {
        let what = format!(
            "has other content: its CRC-32C is {:08x}, and {:08x} was written",
            found.crc32c, file.crc32c
        );
        differ(Kind::FileContent, what);
    }
    match &found.rows {
        Ok(rows) if *rows == file.rows => {}
        Ok(rows) => differ(Kind::FileRows, format!("holds {rows} rows, and {} were written", file.rows)),
        Err(why) => differ(Kind::FileRows, format!("had {} rows, which cannot be counted: {why}", file.rows)),
    }
}

/// Opens a bucket as the flows do: with the credentials of the configuration, of the sink, or those the sink had while it wrote
/// there.
fn open(parts: &Parts, place: &Place) -> Result<Result<Opened, String>, Error> {
    let (bucket, sink, table) = place;
    if let Some((namespace, name, uuid)) = table {
        return open_table(parts, (bucket, *sink), (namespace, name, *uuid));
    }
    let keys = match sink {
        None => None,
        Some(sink) => {
            let catalog = parts.store.catalog();
            let writes_there = catalog.any_sink(*sink).is_some_and(|sink| sink.config.bucket() == bucket);
            sink_keys(&parts.store, *sink, bucket, !writes_there)?
        }
    };
    let opened = parts.storage.locate(bucket, keys.as_ref()).and_then(|bucket| {
        let (disk, random) = (parts.disk.clone(), parts.random.clone());
        Recounter::new(bucket, disk, random, parts.uploads.clone()).map_err(|e| e.to_string())
    });
    Ok(opened.map(|recounter| Opened { recounter, live: None }))
}

/// Opens the place of a table's files, and reads which it has.
fn open_table(
    parts: &Parts,
    (bucket, sink): (&str, Option<SinkId>),
    (namespace, name, uuid): (&str, &str, (u64, u64)),
) -> Result<Result<Opened, String>, Error> {
    let token = match sink.map(|sink| parts.store.sink_credentials(sink)).transpose()?.flatten() {
        Some(Credentials::Token(token)) => Some(token),
        _ => None,
    };
    let look = async {
        let catalog = parts.catalogs.of(bucket, token.as_ref())?;
        let namespace = NamespaceIdent::from_strs(namespace.split('.')).map_err(|e| e.to_string())?;
        let ident = TableIdent::new(namespace, name.to_owned());
        let loaded = catalog.load_table(&ident).await.map_err(|e| e.to_string())?;
        let loaded = loaded
            .filter(|loaded| loaded.metadata.uuid().as_u64_pair() == uuid)
            .ok_or_else(|| format!("table {ident} that was written is gone"))?;
        let place = parts.catalogs.storage(bucket, &loaded)?.bucket;
        let seams = Seams::new(parts.clock.clone(), parts.random.clone(), parts.disk.clone());
        let files = BucketFiles::open(&place, &seams).map_err(|e| e.to_string())?;
        let live = live_files(&loaded.metadata, &files).await.map_err(|e| e.to_string())?;
        let recounter =
            Recounter::new(place, parts.disk.clone(), parts.random.clone(), parts.uploads.clone());
        Ok(Opened { recounter: recounter.map_err(|e| e.to_string())?, live: Some(live) })
    };
    Ok(parts.async_runtime.block_on(look))
}
