//! Buckets: where objects are, and the rules for making and deleting them.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use lakehead_meta::{Catalog, Change};
use lakehead_model::resource::Bucket;
use lakehead_model::{Timestamp, name};

pub use super::local_buckets::LocalBuckets;
use super::{Control, Error, Kind, ObjectEntry};

/// An object and its bytes.
pub struct Object {
    /// Length of what `bytes` gives.
    pub size_bytes: u64,
    /// The content, from its begin.
    pub bytes: Box<dyn Read + Send>,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

/// The storage behind bucket names. Names are checked (`lakehead_model::name::check_bucket`) before they come here; keys
/// are arbitrary text from the network and must never lead outside their bucket. Calls block.
pub trait BucketStore: Send + Sync {
    /// Makes the place for objects; fine if it exists.
    ///
    /// # Errors
    /// `Unavailable`.
    fn create(&self, bucket: &str) -> Result<(), Error>;

    /// Whether it holds no object. A bucket without a place is empty.
    ///
    /// # Errors
    /// `Unavailable`.
    fn is_empty(&self, bucket: &str) -> Result<bool, Error>;

    /// Removes the place for objects if there is no object in it; fine if it does not exist.
    ///
    /// # Errors
    /// `NotEmpty`, `Unavailable`.
    fn delete_if_empty(&self, bucket: &str) -> Result<(), Error>;

    /// The object with this key.
    ///
    /// # Errors
    /// `Missing(Object)`, also for keys that can name no object; `Unavailable`.
    fn get_object(&self, bucket: &str, key: &str) -> Result<Object, Error>;

    /// Names of the buckets that exist because the configuration says so. They can be neither made nor deleted.
    fn configured(&self) -> Vec<String> {
        Vec::new()
    }

    /// The first `keys_max` objects whose keys begin with `prefix` and follow `after`, by the bytes of their keys.
    ///
    /// # Errors
    /// `NotHere` for a bucket in another system, `Unavailable`.
    fn list_objects(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        keys_max: usize,
    ) -> Result<Vec<ObjectEntry>, Error>;

    /// How much is in the bucket; `None` if that would take too long to find out.
    ///
    /// # Errors
    /// `Unavailable`.
    fn usage(&self, bucket: &str) -> Result<Option<Usage>, Error> {
        let _ = bucket;
        Ok(None)
    }
}

/// What a bucket holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of objects.
    pub objects: u64,
    /// Their lengths together.
    pub size_bytes: u64,
}

/// A bucket to be made.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in `Bucket`")]
pub struct NewBucket {
    pub name: String,
    pub location: Option<String>,
    pub storage_class: Option<String>,
    pub jurisdiction: Option<String>,
}

impl Control {
    /// Makes a bucket.
    ///
    /// # Errors
    /// `BucketName`, `Exists`, `Conflict`, `NotHere`, `Unavailable`.
    pub fn create_bucket(&self, new: NewBucket) -> Result<Arc<Bucket>, Error> {
        name::check_bucket("name", &new.name).map_err(Error::BucketName)?;
        let (_guard, catalog) = self.begin();
        if catalog.buckets.contains_key(&new.name) || self.is_configured(&new.name) {
            return Err(Error::Exists { kind: Kind::Bucket, name: new.name });
        }
        self.parts.buckets.create(&new.name)?;
        let bucket = Bucket {
            name: new.name,
            location: new.location,
            storage_class: new.storage_class,
            jurisdiction: new.jurisdiction,
            catalog: None,
            created_at: self.parts.clock.now(),
        };
        self.commit(&catalog, &[Change::PutBucket(bucket.clone())])?;
        tracing::info!(bucket = bucket.name, "bucket created");
        Ok(Arc::new(bucket))
    }

    /// What makes the bucket a sink writes to, unless it is there.
    pub(super) fn bucket_for(
        &self,
        catalog: &Catalog,
        name: &str,
        jurisdiction: Option<&str>,
    ) -> Result<Option<Change>, Error> {
        if catalog.buckets.contains_key(name) {
            return Ok(None);
        }
        self.parts.buckets.create(name)?;
        Ok(Some(Change::PutBucket(Bucket {
            name: name.to_owned(),
            location: None,
            storage_class: None,
            jurisdiction: jurisdiction.map(str::to_owned),
            catalog: None,
            created_at: self.parts.clock.now(),
        })))
    }

    /// All buckets whose name holds `part`, by name: those that were made and those of the configuration.
    pub fn buckets(&self, part: &str) -> Vec<Arc<Bucket>> {
        let mut all = self.catalog().buckets.clone();
        for name in self.parts.buckets.configured() {
            all.entry(name.clone()).or_insert_with(|| Arc::new(configured_bucket(name)));
        }
        all.into_values().filter(|b| b.name.contains(part)).collect()
    }

    /// The bucket of this name.
    ///
    /// # Errors
    /// `Missing`.
    pub fn bucket(&self, name: &str) -> Result<Arc<Bucket>, Error> {
        match self.catalog().buckets.get(name) {
            Some(bucket) => Ok(Arc::clone(bucket)),
            None if self.is_configured(name) => Ok(Arc::new(configured_bucket(name.to_owned()))),
            None => Err(Error::Missing(Kind::Bucket)),
        }
    }

    fn is_configured(&self, name: &str) -> bool {
        self.parts.buckets.configured().iter().any(|n| n == name)
    }

    /// How much is in a bucket, if that is quickly found out.
    ///
    /// # Errors
    /// `Missing`, `Unavailable`.
    pub fn bucket_usage(&self, name: &str) -> Result<Option<Usage>, Error> {
        let bucket = self.bucket(name)?;
        self.parts.buckets.usage(&bucket.name)
    }

    /// Deletes a bucket that holds no object and no table, and that no sink writes to.
    ///
    /// # Errors
    /// `Missing`, `NotHere`, `InUse`, `NotEmpty`, `Conflict`, `Unavailable`.
    pub fn delete_bucket(&self, name: &str) -> Result<(), Error> {
        let (_guard, catalog) = self.begin();
        if self.is_configured(name) {
            let text = format!("bucket {name:?} is part of the server's configuration; remove it there");
            return Err(Error::NotHere(text));
        }
        let bucket = catalog.buckets.get(name).ok_or(Error::Missing(Kind::Bucket))?;
        let sinks: Vec<_> = catalog.sinks_of_bucket(name).iter().map(|s| s.name.clone()).collect();
        if !sinks.is_empty() {
            let text =
                format!("bucket {name:?} is written to by {}; delete these sinks first", sinks.join(", "));
            return Err(Error::InUse(text));
        }
        let tables = bucket.catalog.as_ref().map_or(Ok(0), |catalog| self.count_tables(&catalog.id))?;
        if tables > 0 {
            let text = format!("the catalog of bucket {name:?} has {tables} tables; drop them first");
            return Err(Error::InUse(text));
        }
        self.parts.buckets.delete_if_empty(&bucket.name)?;
        self.commit(&catalog, &[Change::DeleteBucket(bucket.name.clone())])?;
        if let Some(catalog) = &bucket.catalog {
            self.parts.store.forget_catalog(&catalog.id)?;
        }
        tracing::info!(bucket = bucket.name, "bucket deleted");
        Ok(())
    }

    /// Some of the objects of a bucket, as [`BucketStore::list_objects`] has them.
    ///
    /// # Errors
    /// `Missing`, `NotHere`, `Unavailable`.
    pub fn objects(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        keys_max: usize,
    ) -> Result<Vec<ObjectEntry>, Error> {
        let bucket = self.bucket(bucket)?;
        self.parts.buckets.list_objects(&bucket.name, prefix, after, keys_max)
    }

    /// An object of a bucket.
    ///
    /// # Errors
    /// `Missing` of the bucket or the object, `Unavailable`.
    pub fn object(&self, bucket: &str, key: &str) -> Result<Object, Error> {
        let bucket = self.bucket(bucket)?;
        self.parts.buckets.get_object(&bucket.name, key)
    }
}

/// The configuration says nothing about a bucket but where it is.
fn configured_bucket(name: String) -> Bucket {
    Bucket {
        name,
        location: None,
        storage_class: None,
        jurisdiction: None,
        catalog: None,
        created_at: Timestamp(0),
    }
}
