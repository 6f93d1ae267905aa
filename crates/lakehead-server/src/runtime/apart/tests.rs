use super::*;

const KEY: FlowKey = FlowKey { pipeline: PipelineId(7), statement: 1 };

#[test]
fn a_flow_rejoins_when_it_has_been_well_for_long_enough() {
    let apart = Apart::default();
    apart.set(KEY);
    assert!(apart.rejoin(REJOIN_AFTER * 9).is_empty(), "it has not caught up");
    apart.is_well(KEY, Duration::from_secs(1));
    apart.is_well(KEY, Duration::from_secs(5));
    assert!(apart.rejoin(REJOIN_AFTER).is_empty(), "only since a second");
    assert_eq!(apart.rejoin(REJOIN_AFTER + Duration::from_secs(1)), [PipelineId(7)]);
    assert!(!apart.contains(KEY));
}

#[test]
fn a_failure_begins_the_time_anew() {
    let apart = Apart::default();
    apart.set(KEY);
    apart.is_well(KEY, Duration::ZERO);
    apart.is_unwell(KEY);
    assert!(apart.rejoin(REJOIN_AFTER * 2).is_empty());
    apart.forget(PipelineId(8));
    assert!(apart.contains(KEY));
    apart.forget(PipelineId(7));
    assert!(!apart.contains(KEY));
}

#[test]
fn a_flow_that_is_not_apart_stays_with_the_others() {
    let apart = Apart::default();
    apart.is_well(KEY, Duration::ZERO);
    assert!(!apart.contains(KEY));
}
