"""The sample data, read by Python alone: what the tests compare the product's output with."""

import gzip
import json
from pathlib import Path

DATA = Path(__file__).parent / "data"


def web_requests() -> list[dict]:
    with gzip.open(DATA / "web_requests.ndjson.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def github_events() -> list[dict]:
    with gzip.open(DATA / "github_events.json.gz", "rt", encoding="utf-8") as text:
        return json.load(text)


def tweets() -> list[dict]:
    with gzip.open(DATA / "twitter_search.json.gz", "rt", encoding="utf-8") as text:
        return json.load(text)["statuses"]
