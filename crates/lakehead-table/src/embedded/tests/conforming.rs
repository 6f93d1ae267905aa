//! What every catalog must do, this one does.

use super::*;
use crate::conformance::{CHECKS, Subject};

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_every_catalog_must_do() {
    for (name, check) in CHECKS {
        println!("{name}");
        let world = world();
        let subject = Subject {
            catalog: world.catalog.clone(),
            namespace: "fresh".to_owned(),
            is_nested: true,
            gives_existing: false,
        };
        check(subject).await;
    }
}
