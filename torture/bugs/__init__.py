"""Bugs planted on purpose, as patches against the product, each with the run of the harness that must find it.

`make torture-bugs` builds each in a copy of the tree and demands that the harness fails, with the finding expected. A patch that
does not apply any more is a failure: it has to follow the product.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """`name`.patch; `words` are the arguments of the harness; one of `kinds` must be among its findings."""

    name: str
    words: str
    kinds: tuple[str, ...]


# Records that are published again. Names of files follow from the records, so what differs may also be held up by what is there.
AGAIN = ("twice", "stuck")
SHORT = "--quick --acks 200 --seed 20261122"
BUGS = [
    Bug("acknowledge_before_sync", f"{SHORT} --power --cuts 8", ("lost",)),
    # Few records: files that are cut by time are cut elsewhere when they are made again, those cut by size are not.
    Bug("commit_without_intent", f"{SHORT} --minutes 1.5 --kills 30 --only s3_stall,s3_applied_500 --pause 1", AGAIN),
    Bug("position_stays_behind", f"{SHORT} --minutes 0.4 --kills 8 --only s3_applied_reset", (*AGAIN, "ledger")),
    Bug("blind_retry", f"{SHORT} --minutes 0.5 --kills 4 --only s3_applied_reset,s3_applied_500", ("twice",)),
]
