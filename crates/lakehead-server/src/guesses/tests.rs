use std::net::{Ipv4Addr, Ipv6Addr};

use lakehead_model::clock::ManualClock;

use super::*;

fn guesses() -> (Guesses, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (Guesses::new(Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

fn peer(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// How many attempts in a row are within the limit, of `of`.
fn within(guesses: &Guesses, peer: IpAddr, of: u32) -> u32 {
    (0..of).map(|_| u32::from(guesses.failed(peer))).sum()
}

#[test]
fn a_hundred_attempts_at_once_and_then_a_hundred_a_minute() {
    let (guesses, clock) = guesses();
    let peer = peer("192.0.2.1");
    assert_eq!(within(&guesses, peer, 100), 100);
    assert_eq!(within(&guesses, peer, 1000), 0);
    clock.advance(Duration::from_millis(599));
    assert!(!guesses.failed(peer));
    clock.advance(Duration::from_millis(1));
    assert!(guesses.failed(peer));
    assert!(
        !guesses.failed(peer),
        "attempts that were too many are not paid for later, nor is there more than one"
    );
    clock.advance(Duration::from_secs(30));
    assert_eq!(within(&guesses, peer, 1000), 50);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(within(&guesses, peer, 1000), 100, "no more than a full bucket is saved up");
}

#[test]
fn who_keeps_guessing_gets_a_hundred_a_minute_for_ever() {
    let (guesses, clock) = guesses();
    let peer = peer("192.0.2.1");
    let mut allowed = 0;
    for _ in 0..10 * 60 * 10 {
        allowed += within(&guesses, peer, 5);
        clock.advance(Duration::from_millis(100));
    }
    assert_eq!(
        allowed,
        100 + 10 * 100 - 1,
        "a full bucket, and ten minutes' refill but for the moment of the last"
    );
}

#[test]
fn retry_after_is_long_enough() {
    let (guesses, clock) = guesses();
    let peer = peer("192.0.2.1");
    assert_eq!(within(&guesses, peer, 101), 100);
    clock.advance(Duration::from_secs(RETRY_AFTER_SECONDS));
    assert!(guesses.failed(peer));
}

#[test]
fn addresses_do_not_pay_for_each_other() {
    let (guesses, _) = guesses();
    assert_eq!(within(&guesses, peer("192.0.2.1"), 200), 100);
    for other in ["192.0.2.2", "2001:db8::1", "::1", "127.0.0.1"] {
        assert_eq!(within(&guesses, peer(other), 200), 100, "{other}");
    }
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_address() {
    let (guesses, _) = guesses();
    assert_eq!(within(&guesses, peer("2001:db8:0:1::1"), 200), 100);
    assert!(!guesses.failed(peer("2001:db8:0:1:ffff:ffff:ffff:ffff")));
    assert!(guesses.failed(peer("2001:db8:0:2::1")));
}

#[test]
fn an_ipv4_address_in_ipv6_is_the_ipv4_address_alone() {
    let (guesses, _) = guesses();
    assert_eq!(within(&guesses, peer("::ffff:192.0.2.1"), 200), 100);
    assert!(!guesses.failed(peer("192.0.2.1")));
    assert!(guesses.failed(peer("::ffff:192.0.2.2")));
    // The same 32 bits as an IPv4 address and as the end of a prefix.
    assert_eq!(Address::of(peer("0.0.0.1")), Address::V4(1));
    assert_eq!(Address::of(peer("0:0:0:1::")), Address::V6(1));
}

/// The `n`th of many addresses.
fn nth(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))
}

fn remembered(guesses: &Guesses) -> usize {
    let buckets = guesses.buckets.lock();
    assert_eq!(buckets.full_at.len(), buckets.order.len());
    assert!(buckets.order.iter().all(|(full_at, address)| buckets.full_at[address] == *full_at));
    buckets.full_at.len()
}

#[test]
fn no_more_than_ten_thousand_addresses_are_remembered() {
    let (guesses, _) = guesses();
    for n in 0..30_000 {
        assert!(guesses.failed(nth(n)));
        assert!(guesses.failed(IpAddr::V6(Ipv6Addr::from_bits(u128::from(n) << 64))));
    }
    assert_eq!(remembered(&guesses), ADDRESSES_MAX);
}

#[test]
fn who_guesses_most_is_remembered_while_strangers_come_and_go() {
    let (guesses, _) = guesses();
    let guesser = peer("192.0.2.1");
    assert_eq!(within(&guesses, guesser, 200), 100);
    for n in 0..20_000 {
        assert!(guesses.failed(nth(n)));
    }
    assert!(!guesses.failed(guesser));
}

#[test]
fn a_newcomer_is_remembered_although_all_others_have_guessed_more() {
    let (guesses, _) = guesses();
    for n in 0..10_000 {
        assert_eq!(within(&guesses, nth(n), 2), 2);
    }
    assert_eq!(within(&guesses, peer("192.0.2.1"), 200), 100);
    assert_eq!(remembered(&guesses), ADDRESSES_MAX);
}

#[test]
fn full_buckets_are_forgotten() {
    let (guesses, clock) = guesses();
    for n in 0..1000 {
        guesses.failed(nth(n));
    }
    assert_eq!(within(&guesses, nth(0), 10), 10);
    clock.advance(Duration::from_secs(1));
    guesses.failed(nth(5000));
    assert_eq!(remembered(&guesses), 2, "the one with eleven failures, and the newest");
    clock.advance(Duration::from_secs(60));
    guesses.failed(nth(5000));
    assert_eq!(remembered(&guesses), 1);
}

#[test]
fn many_threads_together_get_no_more_than_one() {
    let (guesses, _) = guesses();
    let peer = peer("192.0.2.1");
    let allowed: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| within(&guesses, peer, 100))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 100);
}
