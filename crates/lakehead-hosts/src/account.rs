//! The seam to the server: what the played hosts ask of the account they stand for.

use lakehead_model::{Secret, Timestamp};

/// The account behind the played hosts. The methods may block; they are called on threads that may.
///
/// ```text
///   oauth ── mint_key(bucket, pipeline) ─► key pair
///   s3 ───── secret_access_key(id) ─► signature valid? ─► may_read(id, bucket)? ─► bucket_exists / list_objects
/// ```
///
/// The texts of errors end in the log and, shortened to "internal error", at the client; they hold no secrets.
pub trait Account: Send + Sync + 'static {
    /// 32 lower-case hex digits.
    fn account_id(&self) -> &str;

    /// The secret that belongs to an access key id; nothing if there is no such key.
    ///
    /// # Errors
    /// A text that says why it could not be looked up.
    fn secret_access_key(&self, access_key_id: &str) -> Result<Option<Secret>, String>;

    /// Whether this key, whose signature was valid, opens this bucket for reading. The bucket may not exist.
    ///
    /// # Errors
    /// A text that says why it could not be looked up.
    fn may_read(&self, access_key_id: &str, bucket: &str) -> Result<bool, String>;

    /// Whether there is such a bucket. `bucket` is text from the wire.
    ///
    /// # Errors
    /// A text that says why it could not be looked up.
    fn bucket_exists(&self, bucket: &str) -> Result<bool, String>;

    /// Objects of an existing bucket in the order of their keys' bytes: those that match `query`, at most
    /// [`ListQuery::keys_max`]. Fewer mean that there are no more.
    ///
    /// # Errors
    /// A text that says why the bucket could not be read.
    fn list_objects(&self, bucket: &str, query: &ListQuery) -> Result<Vec<ListedObject>, String>;

    /// Makes a key pair that reads this bucket, for the pipeline of this name (which does not exist yet). Somebody
    /// at this machine has just agreed to it. Works at once: the client shows it within a second.
    ///
    /// # Errors
    /// A text that says why not.
    fn mint_key(&self, bucket: &str, pipeline: &str) -> Result<KeyPair, String>;
}

/// What a client signs its requests with.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// Public: it stands in every request. Letters, digits, `-`, `_`.
    pub access_key_id: String,
    pub secret_access_key: Secret,
}

/// Which objects to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Keys begin with it. May be empty.
    pub prefix: String,
    /// Keys are greater than it, by their bytes. It need not be the key of an object.
    pub after: Option<String>,
    /// 1 to 1,001.
    pub keys_max: usize,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    pub size_bytes: u64,
    pub modified: Timestamp,
    /// Without quotes.
    pub etag: String,
}
