use super::*;

fn share(budget: &Arc<MemoryBudget>, held: usize) -> Share {
    let mut share = Share::new(budget.clone());
    share.hold(held);
    share
}

#[test]
fn one_writer_may_hold_three_quarters_of_the_total() {
    let budget = Arc::new(MemoryBudget::new(100 << 20));
    let mut one = share(&budget, 75 << 20);
    assert!(!one.exceeded());
    one.hold((75 << 20) + 1);
    assert!(one.exceeded());
}

#[test]
fn only_the_writer_above_its_fair_share_flushes_while_memory_gets_short() {
    let budget = Arc::new(MemoryBudget::new(100 << 20));
    let big = share(&budget, 60 << 20);
    let small = share(&budget, 20 << 20);
    assert!(big.exceeded());
    assert!(!small.exceeded());
}

#[test]
fn beyond_the_total_everybody_flushes_down_to_the_floor_so_that_an_idle_writer_cannot_break_the_bound() {
    let budget = Arc::new(MemoryBudget::new(100 << 20));
    let _idle = share(&budget, 99 << 20);
    let mut active = share(&budget, FLOOR_BYTES);
    assert!(!active.exceeded(), "at the floor");
    active.hold(FLOOR_BYTES + 1);
    assert!(active.exceeded());
}

#[test]
fn a_dropped_writer_gives_back_what_it_held() {
    let budget = Arc::new(MemoryBudget::new(100));
    drop(share(&budget, 70));
    assert_eq!(budget.held_bytes(), 0);
    let one = share(&budget, 75);
    assert!(!one.exceeded(), "it has the whole budget to itself again");
}
