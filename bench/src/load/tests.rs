use super::*;
use crate::discard::Discard;
use crate::pool::Width;

fn load<'a>(discard: &Discard, pool: &'a Pool, paths: &'a [String], bytes: u64) -> Load<'a> {
    Load {
        address: discard.address(),
        pool,
        first_body: 0,
        paths,
        token: "secret",
        connections: 7,
        pace: Pace::Closed,
        bytes,
        limit: Duration::from_secs(60),
    }
}

#[test]
fn a_closed_loop_sends_every_byte_it_was_asked_for_and_counts_as_the_receiver_does() {
    for width in [Width::Events(1), Width::Events(100), Width::Bytes(1_000_000)] {
        let pool = Pool::new(width, 3_000_000, 1);
        let paths = ["/a".to_owned(), "/b".to_owned()];
        let discard = Discard::start(None, Vec::new()).unwrap();
        let outcome = run(&load(&discard, &pool, &paths, 20_000_000)).unwrap();
        let seen = discard.stop();
        assert!(outcome.bytes >= 20_000_000 && outcome.bytes < 22_000_000 + 7_000_000, "{}", outcome.bytes);
        assert_eq!((outcome.requests, outcome.bytes), (seen.requests, seen.body_bytes), "{width:?}");
        assert!(outcome.events >= outcome.requests && outcome.refused == 0);
        assert!(outcome.latency.quantile(0.5) <= outcome.latency.max() && !outcome.latency.max().is_zero());
    }
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let pool = Pool::new(Width::Events(100), 3_000_000, 1);
    let paths = ["/a".to_owned()];
    let discard = Discard::start(None, Vec::new()).unwrap();
    let pace = Pace::Open { bytes_per_second: 20e6 };
    let outcome = run(&Load { pace, ..load(&discard, &pool, &paths, 10_000_000) }).unwrap();
    let rate = outcome.bytes as f64 / outcome.elapsed.as_secs_f64();
    assert!((15e6..21.5e6).contains(&rate), "{rate}");
}

#[test]
fn an_open_loop_charges_a_stall_to_every_request_it_delays() {
    let pool = Pool::new(Width::Events(1), 1_000_000, 1);
    let paths = ["/a".to_owned()];
    // One connection, 1000 requests a second, and the 200th answer comes 300 ms late: the 300 requests behind it wait too.
    let discard = Discard::start(None, vec![(200, Duration::from_millis(300))]).unwrap();
    let mean = pool.body(0).len() as f64;
    let pace = Pace::Open { bytes_per_second: 1000.0 * mean };
    let outcome =
        run(&Load { pace, connections: 1, ..load(&discard, &pool, &paths, (1000.0 * mean) as u64) }).unwrap();
    assert!(outcome.latency.max() >= Duration::from_millis(290), "{:?}", outcome.latency.max());
    assert!(
        outcome.latency.quantile(0.9) >= Duration::from_millis(100),
        "{:?}",
        outcome.latency.quantile(0.9)
    );
}

#[test]
fn an_answer_is_taken_only_whole() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-LENGTH: 3\r\n\r\nabc";
    for end in 0..answer.len() {
        assert_eq!(answer_status(&answer[..end]).unwrap(), None, "{end}");
    }
    assert_eq!(answer_status(answer).unwrap(), Some(200));
    assert!(answer_status(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    assert!(answer_status(b"garbage\r\n\r\n").is_err());
}
