use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Turnstile;

#[test]
fn no_more_turns_are_given_than_there_are_and_a_turn_given_back_is_given_again() {
    let turnstile = Turnstile::new(2);
    let (first, second) = (turnstile.try_enter(), turnstile.try_enter());
    assert!(first.is_some() && second.is_some());
    assert!(turnstile.try_enter().is_none());
    drop(first);
    assert!(turnstile.try_enter().is_some());
}

#[test]
fn who_waits_enters_when_a_turn_is_given_back() {
    let turnstile = Arc::new(Turnstile::new(2));
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let _turn = turnstile.enter();
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    assert!(turnstile.try_enter().is_some(), "all turns are back");
}
