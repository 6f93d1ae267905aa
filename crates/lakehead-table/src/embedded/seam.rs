//! The embedded catalog as the pipelines of this process use it.

use async_trait::async_trait;
use iceberg::{NamespaceIdent, TableIdent};

use super::refusal::RefusalKind;
use super::{CurrentTable, EmbeddedCatalog, NewTableRequest, Page};
use crate::{Catalog, CatalogError, FileAccess, LoadedTable, NewTable, TableChange};

impl From<CurrentTable> for LoadedTable {
    fn from(table: CurrentTable) -> Self {
        let CurrentTable { metadata, metadata_location } = table;
        LoadedTable { metadata, metadata_location: Some(metadata_location), config: FileAccess::default() }
    }
}

#[async_trait]
impl Catalog for EmbeddedCatalog {
    async fn ensure_namespace(&self, namespace: &NamespaceIdent) -> Result<(), CatalogError> {
        match self.create_namespace(namespace, super::namespaces::Properties::new(), None).await {
            Err(refusal) if refusal.kind != RefusalKind::AlreadyExists => Err(refusal.into()),
            _ => Ok(()),
        }
    }

    async fn namespaces(&self, parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>, CatalogError> {
        Ok(self.list_namespaces(parent, &Page::default()).await?.items)
    }

    async fn tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>, CatalogError> {
        Ok(self.list_tables(namespace, &Page::default()).await?.items)
    }

    async fn create_table(&self, table: &TableIdent, new: NewTable) -> Result<LoadedTable, CatalogError> {
        let NewTable { schema, partition_spec, sort_order, properties } = new;
        let request = NewTableRequest { schema, partition_spec, sort_order, properties, location: None };
        Ok(self.create(table, request, None).await?.into())
    }

    async fn load_table(&self, table: &TableIdent) -> Result<Option<LoadedTable>, CatalogError> {
        match self.table(table).await {
            Ok(current) => Ok(Some(current.into())),
            Err(refusal) if refusal.kind == RefusalKind::NoSuchTable => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn commit(&self, change: TableChange) -> Result<LoadedTable, CatalogError> {
        Ok(self.commit_table(change, None).await?.into())
    }
}
