"""Scrapes /metrics every second, in peace and under fire: the ledger balances in each scrape, and its counters never fall."""

import threading
import time

import httpx

from lakehead import Metrics

NEVER_FALL = (
    "pipeline_records_in_total", "pipeline_records_out_total", "pipeline_records_filtered_total", "pipeline_records_dead_lettered_total",
)
NEVER_SEEN = ("pipeline_records_lost_total", "log_corrupt_records_total", "ledger_imbalance")


class Scraper(threading.Thread):
    """Ends with `stop`. `findings` are violations; `positions` says up to where each stream had been written, and when."""

    def __init__(self, url: str):
        super().__init__(name="scraper", daemon=True)
        self.url = f"{url}/metrics"
        self.stop = threading.Event()
        self.findings: list[str] = []
        self.scrapes = 0
        self.positions: list[tuple[float, dict[str, int]]] = []
        self._highest: dict[tuple[str, str], float] = {}

    def run(self):
        client = httpx.Client(trust_env=False, timeout=10)
        while not self.stop.wait(1):
            try:
                answer = client.get(self.url)
            except httpx.HTTPError:
                client.close()
                client = httpx.Client(trust_env=False, timeout=10)
                continue
            if answer.status_code == 200:
                self.take(Metrics(answer.text))
            else:
                self.find(f"/metrics answered {answer.status_code}")
        client.close()

    def find(self, text: str):
        if len(self.findings) < 100:
            self.findings.append(f"ledger: {time.strftime('%H:%M:%S')} {text}")

    def take(self, metrics: Metrics):
        """Holds one scrape against the rules."""
        self.scrapes += 1
        by_pipeline: dict[str, dict[str, float]] = {}
        for sample in metrics.samples:
            if sample.name in NEVER_SEEN and sample.value:
                self.find(f"{sample.name}{sample.labels} is {sample.value:g}")
            if "pipeline" in sample.labels and set(sample.labels) == {"pipeline"}:
                by_pipeline.setdefault(sample.labels["pipeline"], {})[sample.name] = sample.value
        for pipeline, values in by_pipeline.items():
            if "pipeline_records_in_total" not in values:
                continue
            out = sum(values[name] for name in (*NEVER_FALL[1:], "pipeline_lag_records"))
            if out != values["pipeline_records_in_total"]:
                self.find(f"{pipeline} does not balance: {values}")
            for name in NEVER_FALL:
                before = self._highest.get((pipeline, name), 0)
                if values[name] < before:
                    self.find(f"{name} of {pipeline} fell from {before:g} to {values[name]:g}")
                self._highest[pipeline, name] = max(before, values[name])
        streams = {s.labels["stream"]: int(s.value) for s in metrics.samples if s.name == "log_next_position"}
        self.positions.append((time.time(), streams))

    def around(self, stream: str, moment: float) -> str:
        """The range of positions that were given out about then."""
        before = [p[stream] for at, p in self.positions if at <= moment - 2 and stream in p]
        after = [p[stream] for at, p in self.positions if at >= moment and stream in p]
        return f"positions {before[-1] if before else 0}..{after[0] if after else '?'} of {stream}"
