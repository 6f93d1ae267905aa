use lakehead_disk::SystemDisk;
use lakehead_meta::FlowState;
use lakehead_model::PipelineId;
use lakehead_model::clock::ManualClock;
use lakehead_model::random::SeededRandom;
use serde_json::json;

use super::*;

struct Flows {
    _dir: tempfile::TempDir,
    store: Arc<Store>,
    clock: Arc<ManualClock>,
    watched: Arc<Watched>,
    table: Uuid,
    key: FlowKey,
}

fn flows() -> Flows {
    let dir = tempfile::tempdir().unwrap();
    let random = Arc::new(SeededRandom::new(5));
    let key = FlowKey { pipeline: PipelineId::random(&*random), statement: 0 };
    let store = Arc::new(Store::open(dir.path(), &SystemDisk, random).unwrap());
    store.create_flows(&[(key, FlowState::default())]).unwrap();
    let table = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
    Flows { _dir: dir, store, clock: Arc::default(), watched: Arc::default(), table, key }
}

impl Flows {
    fn intend(&self, text: &str) {
        self.store.record_intent(self.key, Position::ZERO, text.as_bytes()).unwrap();
    }

    async fn look(&self, table: Uuid) -> Result<Unresolved, CatalogError> {
        let (store, watched) = (Arc::clone(&self.store), Arc::clone(&self.watched));
        let claims = FlowClaims::new(store, table, watched, self.clock.clone());
        claims.unresolved(&TableIdent::from_strs(["a", "b"]).unwrap()).await
    }
}

fn intent(table: Uuid) -> String {
    let (high, low) = table.as_u64_pair();
    json!({
        "next": FlowState::default(),
        "bucket": "lake",
        "files": [{"key": "t/data/x.parquet", "staged": "x.part", "size_bytes": 1, "rows": 1, "crc32c": 0}],
        "letters": null,
        "table": {"uuid": [high, low], "version": 1, "spec_id": 0, "partitions": []},
    })
    .to_string()
}

#[tokio::test]
async fn files_of_intents_are_claimed_and_one_that_stays_holds_its_table() {
    let flows = flows();
    assert_eq!(flows.look(flows.table).await.unwrap(), Unresolved::default());
    flows.intend(&intent(flows.table));
    let first = flows.look(flows.table).await.unwrap();
    assert_eq!((first.commit, first.keys.contains("t/data/x.parquet")), (false, true));
    flows.clock.advance(UNDECIDED_AFTER);
    assert!(flows.look(flows.table).await.unwrap().commit);
    // Another table is not held.
    let other = flows.look(Uuid::from_u128(1)).await.unwrap();
    assert_eq!((other.commit, other.keys.len()), (false, 1));
    flows.store.record_commit(flows.key, Position::ZERO, &FlowState::default()).unwrap();
    assert_eq!(flows.look(flows.table).await.unwrap(), Unresolved::default());
    // The next one has its own time.
    flows.intend(&intent(flows.table));
    assert!(!flows.look(flows.table).await.unwrap().commit);
}

#[tokio::test]
async fn an_intent_that_cannot_be_read_is_an_error_so_that_nothing_is_deleted() {
    let flows = flows();
    flows.intend("{\"letters\": 3}");
    let error = flows.look(flows.table).await.unwrap_err();
    assert!(error.text.contains("cannot be read"), "{error}");
}
