"""What the scraper finds in scrapes made by hand."""

import pytest

from lakehead import Metrics
from torture.scraper import Scraper

RIGHT = {
    "pipeline_records_in_total": 10, "pipeline_records_out_total": 5, "pipeline_records_filtered_total": 2,
    "pipeline_records_dead_lettered_total": 1, "pipeline_lag_records": 2, "pipeline_records_lost_total": 0, "ledger_imbalance": 0,
}


def scrape(**values) -> Metrics:
    lines = [f'lakehead_{name}{{pipeline="p"}} {value}' for name, value in {**RIGHT, **values}.items()]
    return Metrics("\n".join([*lines, 'lakehead_log_next_position{stream="s"} 7']))


@pytest.fixture
def scraper():
    return Scraper("http://127.0.0.1:1")


def test_what_balances_and_rises_is_right(scraper):
    scraper.take(scrape())
    scraper.take(scrape(pipeline_records_in_total=12, pipeline_records_out_total=7))
    assert scraper.findings == []
    assert scraper.around("s", 0) == "positions 0..7 of s"


@pytest.mark.parametrize("values, words", [
    ({"pipeline_records_out_total": 4}, "does not balance"),
    ({"ledger_imbalance": 1}, "ledger_imbalance"),
    ({"pipeline_records_lost_total": 1}, "pipeline_records_lost_total"),
])
def test_a_wrong_scrape_is_found(scraper, values, words):
    scraper.take(scrape(**values))
    assert len(scraper.findings) == 1 and words in scraper.findings[0]


def test_a_counter_that_falls_is_found(scraper):
    scraper.take(scrape())
    scraper.take(scrape(pipeline_records_out_total=4, pipeline_lag_records=3))
    assert len(scraper.findings) == 1 and "fell from 5 to 4" in scraper.findings[0]
