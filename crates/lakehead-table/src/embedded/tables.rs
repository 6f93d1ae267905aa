//! Tables as names: made, found, listed, registered, renamed, dropped.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::{Schema, SortOrder, TableMetadata, UnboundPartitionSpec};
use iceberg::{NamespaceIdent, TableIdent};

use super::answers::{Answer, Attempt};
use super::birth::{self, Birth};
use super::metadata_files::{METADATA_BYTES_MAX, parse, random_uuid};
use super::names::{check_table, default_location, location_key, overlap};
use super::purge::Purge;
use super::records::{Expected, RecordKind, RecordWrite, namespace_key, parse_key, table_key};
use super::refusal::{Refusal, RefusalKind};
use super::{CurrentTable, EmbeddedCatalog, Listed, Page, TableRecord, no_table, paged, table_exists};

/// A table to be made, as a client asks for it.
#[derive(Debug, Clone)]
pub struct NewTableRequest {
    /// Ids are given anew.
    pub schema: Schema,
    /// `None`: not partitioned.
    pub partition_spec: Option<UnboundPartitionSpec>,
    /// `None`: not sorted.
    pub sort_order: Option<SortOrder>,
    /// `format-version` among them chooses the version of the format, 2 without.
    pub properties: HashMap<String, String>,
    /// `None`: a folder of its own.
    pub location: Option<String>,
}

/// A table that exists as files and is to get a name.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its newest metadata file, in the bucket.
    pub metadata_location: String,
    /// A table of that name, if there is one, becomes this one. Its files stay.
    pub overwrite: bool,
}

impl EmbeddedCatalog {
    /// Makes a table.
    ///
    /// # Errors
    /// `NoSuchNamespace`, `AlreadyExists`, `BadRequest`, and those of the store and the bucket.
    pub async fn create(
        &self,
        table: &TableIdent,
        request: NewTableRequest,
        attempt: Option<&Attempt>,
    ) -> Result<CurrentTable, Refusal> {
        check_table("table", table)?;
        let _names = self.names.lock().await;
        self.check_free(table).await?;
        let metadata = self.first_metadata(table, request)?;
        self.check_location("location", metadata.location(), None).await?;
        self.add(table, Arc::new(metadata), attempt).await
    }

    /// What [`EmbeddedCatalog::create`] would make; nothing is stored. A commit with `assert-create` makes it.
    ///
    /// # Errors
    /// As `create`.
    pub async fn stage(
        &self,
        table: &TableIdent,
        request: NewTableRequest,
    ) -> Result<Arc<TableMetadata>, Refusal> {
        check_table("table", table)?;
        self.check_free(table).await?;
        let metadata = self.first_metadata(table, request)?;
        self.check_location("location", metadata.location(), None).await?;
        self.make_folder(metadata.location()).await?;
        Ok(Arc::new(metadata))
    }

    /// Makes the folder of metadata in a local bucket: clients write their manifests there before the table exists, and some make
    /// no folders. Nothing is lost if it does not last.
    async fn make_folder(&self, location: &str) -> Result<(), Refusal> {
        let (Some(root), Some(key)) = (self.files().folder(), self.files().key(location)) else {
            return Ok(());
        };
        let folder = root.join(key).join("metadata");
        tokio::fs::create_dir_all(&folder).await.map_err(|e| {
            Refusal::new(
                RefusalKind::Unavailable,
                format!("cannot make the folder {}: {e}", folder.display()),
            )
        })
    }

    fn first_metadata(&self, table: &TableIdent, request: NewTableRequest) -> Result<TableMetadata, Refusal> {
        let uuid = random_uuid(&*self.metadata.random);
        let location = request.location.unwrap_or_else(|| default_location(self.files(), table, uuid));
        let NewTableRequest { schema, partition_spec, sort_order, properties, .. } = request;
        let birth = Birth { uuid, location, schema, partition_spec, sort_order, properties };
        birth::of_request(birth, self.now_ms())
    }

    /// The namespace exists, and the name is free.
    pub(super) async fn check_free(&self, table: &TableIdent) -> Result<(), Refusal> {
        self.namespace(&table.namespace).await?;
        match self.record_of(table).await? {
            Some(_) => Err(table_exists(table)),
            None => Ok(()),
        }
    }

    /// The folder lies in the bucket, and neither in another table's folder nor around one: what is done to the files of one
    /// table must never meet another's. `own`: the table that may be there already.
    pub(super) async fn check_location(
        &self,
        field: &str,
        location: &str,
        own: Option<&TableIdent>,
    ) -> Result<(), Refusal> {
        let folder = location_key(self.files(), field, location)?;
        let own = own.map(|own| format!("{}{}", self.prefix, table_key(&own.namespace, &own.name)));
        for record in self.list(RecordKind::Table, "").await? {
            let other: TableRecord = self.parsed(&record.value, &record.key)?;
            let meets = self.files().key(&other.location).is_some_and(|theirs| overlap(theirs, folder));
            if meets && Some(&record.key) != own.as_ref() {
                let key = record.key.strip_prefix(&self.prefix).unwrap_or(&record.key);
                let text = format!(
                    "{field}: {location:?} is used by table {key}; each table needs a folder of its own"
                );
                return Err(Refusal::bad(text));
            }
        }
        Ok(())
    }

    /// Writes first metadata and the record of a new table.
    async fn add(
        &self,
        table: &TableIdent,
        metadata: Arc<TableMetadata>,
        attempt: Option<&Attempt>,
    ) -> Result<CurrentTable, Refusal> {
        let metadata_location = self.metadata.write(&metadata, 0).await?;
        let record = TableRecord {
            uuid: metadata.uuid(),
            location: metadata.location().to_owned(),
            metadata_location: metadata_location.clone(),
            number: 0,
        };
        let done = self.put_alone(table, &record, Expected::Absent, attempt).await;
        match done {
            Ok(()) => {
                tracing::info!(%table, uuid = %record.uuid, location = record.location, "table created");
                Ok(CurrentTable { metadata, metadata_location })
            }
            Err(refusal) => {
                if refusal.kind != RefusalKind::Unknown {
                    self.metadata.remove(&metadata_location).await;
                }
                Err(refusal)
            }
        }
    }

    async fn put_alone(
        &self,
        table: &TableIdent,
        record: &TableRecord,
        expected: Expected,
        attempt: Option<&Attempt>,
    ) -> Result<(), Refusal> {
        let mut writes = vec![self.table_write(table, record, expected)?];
        writes.extend(self.answer_writes(attempt, answer(table, record)).await?);
        self.write_alone(writes, attempt).await
    }

    pub(super) fn table_write(
        &self,
        table: &TableIdent,
        record: &TableRecord,
        expected: Expected,
    ) -> Result<RecordWrite, Refusal> {
        let key = table_key(&table.namespace, &table.name);
        Ok(self.record(RecordKind::Table, &key, expected, Some(self.json(record)?)))
    }

    /// The record of a table and its version.
    pub(super) async fn record_of(&self, table: &TableIdent) -> Result<Option<(TableRecord, u64)>, Refusal> {
        let found = self.get(RecordKind::Table, &table_key(&table.namespace, &table.name)).await?;
        found.map(|record| Ok((self.parsed(&record.value, &record.key)?, record.version))).transpose()
    }

    /// The table as it is now.
    ///
    /// # Errors
    /// `NoSuchTable`, `Damaged`, and those of the store and the bucket.
    pub async fn table(&self, table: &TableIdent) -> Result<CurrentTable, Refusal> {
        loop {
            let (record, version) = self.record_of(table).await?.ok_or_else(|| no_table(table))?;
            let metadata_location = record.metadata_location;
            match self.metadata.read(&metadata_location).await {
                Ok(metadata) => return Ok(CurrentTable { metadata, metadata_location }),
                // Commits between the two looks may have removed the file.
                Err(refusal) if refusal.kind == RefusalKind::Damaged => match self.record_of(table).await? {
                    Some((_, now)) if now == version => return Err(refusal),
                    _ => {}
                },
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// The table of a kept answer: as it is now, or else as it was then.
    ///
    /// # Errors
    /// As [`EmbeddedCatalog::table`]; `NoSuchTable` if neither is there any more.
    pub async fn answered_table(
        &self,
        table: &TableIdent,
        uuid: uuid::Uuid,
        metadata_location: &str,
    ) -> Result<CurrentTable, Refusal> {
        match self.table(table).await {
            Ok(current) if current.metadata.uuid() == uuid => return Ok(current),
            Ok(_) => {}
            Err(refusal) if refusal.kind == RefusalKind::NoSuchTable => {}
            Err(refusal) => return Err(refusal),
        }
        let metadata = self.metadata.read(metadata_location).await.map_err(|refusal| match refusal.kind {
            RefusalKind::Damaged => no_table(table),
            _ => refusal,
        })?;
        Ok(CurrentTable { metadata, metadata_location: metadata_location.to_owned() })
    }

    /// Where the metadata of a table is, without reading it.
    ///
    /// # Errors
    /// `NoSuchTable`, and those of the store.
    pub async fn metadata_location(&self, table: &TableIdent) -> Result<String, Refusal> {
        let found = self.record_of(table).await?;
        found.map(|(record, _)| record.metadata_location).ok_or_else(|| no_table(table))
    }

    /// The tables of a namespace, by name.
    ///
    /// # Errors
    /// `NoSuchNamespace`, and those of the store.
    pub async fn list_tables(
        &self,
        namespace: &NamespaceIdent,
        page: &Page,
    ) -> Result<Listed<TableIdent>, Refusal> {
        self.namespace(namespace).await?;
        let prefix = namespace_key(namespace);
        let mut found = Vec::new();
        for record in self.list(RecordKind::Table, &prefix).await? {
            let key = record.key.strip_prefix(&self.prefix).unwrap_or(&record.key);
            if let Some((levels, Some(name))) = parse_key(key)
                && levels.len() == namespace.len()
            {
                found.push((key.to_owned(), TableIdent::new(namespace.clone(), name)));
            }
        }
        paged(&prefix, found, page)
    }

    /// Gives a name to a table that exists as files.
    ///
    /// # Errors
    /// As [`EmbeddedCatalog::create`].
    pub async fn register(
        &self,
        table: &TableIdent,
        registration: &Registration,
        attempt: Option<&Attempt>,
    ) -> Result<CurrentTable, Refusal> {
        check_table("table", table)?;
        let field = "metadata-location";
        let location = &registration.metadata_location;
        let bad = |what: String| Refusal::bad(format!("{field}: {location:?} {what}"));
        let key = location_key(self.files(), field, location)?;
        match self.files().size(key).await? {
            None => return Err(bad("is not there".to_owned())),
            Some(bytes) if bytes > METADATA_BYTES_MAX as u64 => {
                return Err(bad(format!("has {bytes} bytes; the limit is {METADATA_BYTES_MAX}")));
            }
            Some(_) => {}
        }
        let content = self.files().get(key).await?.ok_or_else(|| bad("is not there".to_owned()))?;
        let (metadata, _) = parse(&content).map_err(bad)?;
        let _names = self.names.lock().await;
        let _table = self.lock_tables([table]).await;
        self.namespace(&table.namespace).await?;
        let expected = match self.record_of(table).await? {
            None => Expected::Absent,
            Some((_, version)) if registration.overwrite => Expected::Version(version),
            Some(_) => return Err(table_exists(table)),
        };
        let own = registration.overwrite.then_some(table);
        self.check_location("the location in the metadata", metadata.location(), own).await?;
        let record = TableRecord {
            uuid: metadata.uuid(),
            location: metadata.location().to_owned(),
            metadata_location: self.files().uri(key),
            number: number_of(location),
        };
        self.put_alone(table, &record, expected, attempt).await?;
        tracing::info!(%table, uuid = %record.uuid, location = record.location, "table registered");
        Ok(CurrentTable { metadata: Arc::new(metadata), metadata_location: record.metadata_location })
    }

    /// Gives a table another name; its files stay where they are.
    ///
    /// # Errors
    /// `NoSuchTable`, `NoSuchNamespace`, `AlreadyExists`, `BadRequest`, and those of the store.
    pub async fn rename(
        &self,
        from: &TableIdent,
        to: &TableIdent,
        attempt: Option<&Attempt>,
    ) -> Result<(), Refusal> {
        check_table("destination", to)?;
        let _names = self.names.lock().await;
        let _tables = self.lock_tables([from, to]).await;
        let (record, version) = self.record_of(from).await?.ok_or_else(|| no_table(from))?;
        self.check_free(to).await?;
        let key = table_key(&from.namespace, &from.name);
        let mut writes = vec![
            self.record(RecordKind::Table, &key, Expected::Version(version), None),
            self.table_write(to, &record, Expected::Absent)?,
        ];
        writes.extend(self.answer_writes(attempt, Answer::Nothing).await?);
        self.write_alone(writes, attempt).await?;
        tracing::info!(%from, %to, uuid = %record.uuid, "table renamed");
        Ok(())
    }

    /// Takes a table's name away. With `purge` its files are deleted, in a while; without, they stay.
    ///
    /// # Errors
    /// `NoSuchTable`, and those of the store.
    pub async fn drop_table(
        self: &Arc<Self>,
        table: &TableIdent,
        purge: bool,
        attempt: Option<&Attempt>,
    ) -> Result<(), Refusal> {
        let _names = self.names.lock().await;
        let _table = self.lock_tables([table]).await;
        let (record, version) = self.record_of(table).await?.ok_or_else(|| no_table(table))?;
        let (key, id) = (table_key(&table.namespace, &table.name), record.uuid.to_string());
        let mut writes = vec![
            self.record(RecordKind::Table, &key, Expected::Version(version), None),
            self.record(RecordKind::Maintenance, &id, Expected::Any, None),
        ];
        let purge = purge.then(|| Purge::of(&record));
        if let Some(purge) = &purge {
            writes.push(self.record(RecordKind::Purge, &id, Expected::Any, Some(self.json(purge)?)));
        }
        writes.extend(self.answer_writes(attempt, Answer::Nothing).await?);
        self.write_alone(writes, attempt).await?;
        tracing::info!(%table, uuid = %record.uuid, purge = purge.is_some(), "table dropped");
        if let Some(purge) = purge {
            self.begin_purge(purge);
        }
        Ok(())
    }
}

/// What a table is answered with again.
pub(super) fn answer(table: &TableIdent, record: &TableRecord) -> Answer {
    Answer::Table {
        table: table.clone(),
        uuid: record.uuid,
        metadata_location: record.metadata_location.clone(),
    }
}

/// The number in the name of a metadata file that somebody else made; 0 if there is none.
fn number_of(location: &str) -> u64 {
    let name = location.rsplit('/').next().unwrap_or_default();
    let digits = name.trim_start_matches('v').split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}
