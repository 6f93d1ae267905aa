"""The torture harness: producers that hold the server to its word, faults from a seeded plan, and a judge that reads what came out.

    producers ──POST──► lakehead serve ──► local bucket                    plan(seed) ──► faults
        │ every answer        │  ▲ └──► fault proxy ──► SeaweedFS                          (kill -9, SIGSTOP, disk full, …)
        ▼                     │  └──── scraper: /metrics every second
      oracle ◄── judge ◄──────┴── all output, past the proxy, with DuckDB; dead letters; the ledger at rest

- One of the outlets is a table of the server's own catalog, under upkeep all the while; it is read through the catalog.
- A record's id is 128 bits of a hash of (seed, producer, number), its other fields come from a hash of the id, and a seal goes
  over all of them (`records.py`). So the oracle keeps a line for each request and none for each record.
- A 2xx is a debt: each id of the request has exactly one fate in each outlet (delivered, filtered, dead letter with its reason).
  A refused request has none. One whose answer was lost has all of its fates or none, the same in every outlet.
- Half of the producers send `Idempotency-Key` and repeat a request until it is answered 2xx; their records are there once.
- What the plan wants (kills, fault kinds) and what makes a run worth anything (acknowledgements) must have been seen: a run in
  which nothing happened fails.

`make torture ARGS="--seed 7 --minutes 10"`; `python -m torture --help` says the rest. Reuses server, store and processes of `e2e/`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
