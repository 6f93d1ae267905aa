"""A plan follows from its seed, and has what was wished for."""

from torture import plan


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    plans = [[str(step) for step in plan.mixed(seed, 300, 40, set())] for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_every_fault_and_every_kill_is_planned():
    steps = plan.mixed(3, 600, 60, set())
    kinds = plan.kinds(steps)
    assert set(kinds) == {*plan.MIXED, "kill"} and kinds["kill"] == 60
    assert 600 <= sum(step.seconds for step in steps) < 900
    assert all(0.2 <= step.wait <= 8 for step in steps if step.kind == "kill")


def test_kills_may_be_all_there_is_to_speak_of():
    assert plan.kinds(plan.mixed(4, 60, 300, {"clock"}))["kill"] == 300


def test_faults_can_be_left_out():
    assert not {"clock", "disk_full"} & set(plan.kinds(plan.mixed(5, 100, 10, {"clock", "disk_full"})))


def test_the_last_life_has_no_fault_that_ends_the_server():
    assert not plan.DEADLY & set(plan.kinds(plan.last_life(6, 500, set())))


def test_a_plan_of_power_has_its_cuts():
    assert plan.kinds(plan.power(7, 30))["power_cut"] == 30
