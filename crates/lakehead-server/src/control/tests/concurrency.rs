//! Many callers at once.

use std::sync::Arc;
use std::thread;

use lakehead_model::resource::JsonFormat;

use super::world;
use crate::control::{Error, NewStream};

fn new_stream(name: String) -> NewStream {
    NewStream { name, http: None, worker_binding: None, format: JsonFormat::default(), schema: None }
}

#[test]
fn of_many_who_want_one_name_one_gets_it_and_the_limit_holds() {
    let world = world();
    let results: Vec<Result<(), Error>> = thread::scope(|scope| {
        let callers: Vec<_> = (0..60)
            .map(|i| {
                let control = Arc::clone(&world.control);
                // Ten want the same name; the others want fifty different ones.
                let name = if i < 10 { "wanted".to_owned() } else { format!("s{i}") };
                scope.spawn(move || control.create_stream(new_stream(name)).map(|_| ()))
            })
            .collect();
        callers.into_iter().map(|c| c.join().expect("no panic")).collect()
    });
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 20);
    assert!(results[..10].iter().filter(|r| r.is_ok()).count() <= 1);
    let refused =
        |r: &Result<(), Error>| matches!(r, Err(Error::Exists { .. } | Error::TooMany { .. }) | Ok(()));
    assert!(results.iter().all(refused), "{results:?}");
    assert_eq!(world.control.catalog().streams.len(), 20);
    assert_eq!(world.control.catalog().revision, 20);
}
