"""Producers: threads that send batches of unlike sizes and shapes, and tell the oracle what was answered.

Keyed producers repeat a request with its `Idempotency-Key` until it is answered 2xx, and now and then once more after that.
The others never repeat a request whose outcome they do not know. Both misbehave: bodies half sent, and answers not waited for.
"""

import gzip
import http.client
import json
import random
import threading
import time
import uuid

from torture.oracle import ACKED, REFUSED, UNKNOWN, Oracle
from torture.records import PAD_DIGITS, Batch

ANSWER_SECONDS = 20
COUNTS = [1] * 6 + [2, 3, 5, 8, 12, 20, 40, 80, 200, 500]
# Targets of a body's size; pads fill it up.
BODIES = [0] * 12 + [2_000] * 6 + [20_000] * 4 + [100_000] * 3 + [400_000, 950_000]
RECORD_BYTES = 260
BYTES_PER_SECOND = 300_000
# What a server may say that has kept nothing.
REFUSALS = (429, 503)
# A body that was under way while the server or the producer stood still; nothing of it is kept, either.
TOO_SLOW = 408


class Broken(Exception):
    """No answer: it is not known what became of the request."""


class Producer(threading.Thread):
    """One client. `stop` ends it after the request it is at; a keyed one first gets its answer."""

    def __init__(
        self, number: int, seed: int, port: int, targets: dict[bool, str], oracle: Oracle, keyed: bool = False, pause: float = 0.1,
    ):
        super().__init__(name=f"producer-{number}", daemon=True)
        self.number, self.port, self.targets, self.oracle, self.keyed = number, port, targets, oracle, keyed
        self.dice = random.Random(f"{seed}/{number}")
        self.pause = pause
        self.stop = threading.Event()
        self.give_up_at = float("inf")
        self.next_number = 0
        self.connection: http.client.HTTPConnection | None = None

    def run(self):
        try:
            while not self.stop.is_set():
                sent = self.one_request()
                self.stop.wait(self.dice.expovariate(1 / self.pause) + sent / BYTES_PER_SECOND)
        except Exception as error:  # A harness that lost a producer has seen less than it says.
            self.oracle.complain(f"harness: {self.name} ended: {error!r}")
            raise
        finally:
            self.close()

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def one_request(self) -> int:
        """Sends a fresh batch and settles it; the bytes of its body."""
        dice = self.dice
        count, typed = dice.choice(COUNTS), dice.random() < 0.6
        pads = max(0, (dice.choice(BODIES) - count * RECORD_BYTES) // count // PAD_DIGITS)
        if typed:
            pads = min(pads, 40)
        batch = Batch(self.oracle.run, self.number, self.next_number, count, pads, typed)
        self.next_number += count
        headers, body = self.dress(batch)
        key = str(uuid.UUID(int=dice.getrandbits(128), version=4)) if self.keyed else None
        if key:
            headers["Idempotency-Key"] = key
        manner = dice.random()
        again = key and dice.random() < 0.05
        if not self.connect():
            return 0
        request = self.oracle.issue(batch, key)
        if manner < 0.02:
            self.half_sent(headers, body, typed)
            if not key:
                self.oracle.settle(request, REFUSED)
                return len(body)
        elif manner < 0.03:
            self.not_waiting(headers, body, typed)
            if not key:
                self.oracle.settle(request, UNKNOWN)
                return len(body)
        self.until_settled(request, headers, body)
        if again and request.outcome == ACKED and not self.stop.is_set():
            self.oracle.count("repeats after a 200")
            self.until_settled(request, headers, body)
        return len(body)

    def probe(self, typed: bool, pads: int = 0) -> int:
        """One record, at once and without a repeat; the status, 0 without an answer. For a producer that is not running."""
        batch = Batch(self.oracle.run, self.number, self.next_number, 1, pads, typed)
        self.next_number += 1
        if not self.connect():
            return 0
        request = self.oracle.issue(batch, None)
        request.tries = 1
        try:
            status, text, wait = self.ask({"Content-Type": "application/json"}, f"[{batch.texts()[0]}]".encode(), typed)
        except Broken:
            return 0
        self.answered(request, status, text, wait)
        return status

    def dress(self, batch: Batch) -> tuple[dict[str, str], bytes]:
        """Headers and body in one of the forms a client may choose."""
        texts = batch.texts()
        if self.dice.random() < 0.5:
            kind, body = "application/x-ndjson", "\n".join(texts) + self.dice.choice(["", "\n"])
        else:
            kind, body = "application/json", "[" + self.dice.choice([",", ", ", ",\n"]).join(texts) + "]"
        headers, content = {"Content-Type": kind}, body.encode()
        if self.dice.random() < 0.25:
            headers["Content-Encoding"] = "gzip"
            content = gzip.compress(content, 1)
        return headers, content

    def connect(self) -> bool:
        """Whether there is a connection; while the server is down, waits a little."""
        if self.connection:
            return True
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.connect()
        except OSError:
            connection.close()
            self.stop.wait(0.03)
            return False
        self.connection = connection
        return True

    def until_settled(self, request, headers: dict[str, str], body: bytes):
        """Asks once, or with a key until the answer is a 2xx."""
        while True:
            if not self.connect():
                if not request.key or time.monotonic() > self.give_up_at:
                    return
                time.sleep(0.02)
                continue
            request.tries += 1
            if request.tries > 1:
                self.oracle.count("retries by key")
            try:
                status, text, wait = self.ask(headers, body, request.batch.typed)
            except Broken:
                self.oracle.count("answers lost")
                if not request.key:
                    self.oracle.settle(request, UNKNOWN)
                    return
            else:
                if self.answered(request, status, text, wait):
                    return
            if time.monotonic() > self.give_up_at:
                self.oracle.complain(f"producer {self.number}: no 2xx for request {request.number} after {request.tries} tries")
                return
            time.sleep(0.05)

    def answered(self, request, status: int, text: bytes, wait: str | None) -> bool:
        """Takes note of an answer; whether it settles the request. 503 with code 10504 says that nobody knows."""
        if status == 200:
            try:
                right = json.loads(text) == {"success": True, "result": {"committed": request.batch.count}}
            except ValueError:
                right = False
            if not right:
                self.oracle.complain(f"request {request.number}: 200 with {text[:200]!r} for {request.batch.count} records")
            self.oracle.settle(request, ACKED)
            return True
        self.oracle.count(f"answers {status}")
        unknown = status == 503 and b"10504" in text
        if status == TOO_SLOW:
            pass
        elif status not in REFUSALS:
            self.oracle.complain(f"request {request.number} of producer {self.number}: {status} {text[:300]!r}")
        elif wait is None:
            self.oracle.complain(f"request {request.number}: {status} without Retry-After")
        if request.key:
            return False
        self.oracle.settle(request, UNKNOWN if unknown else REFUSED)
        time.sleep(0.05)
        return True

    def ask(self, headers: dict[str, str], body: bytes, typed: bool) -> tuple[int, bytes, str | None]:
        """Status, text, and `Retry-After`. Raises `Broken` if the answer did not come."""
        try:
            self.connection.request("POST", self.targets[typed], body, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Broken from error
        if answer.will_close:
            self.close()
        return answer.status, text, answer.headers.get("Retry-After")

    def begin(self, headers: dict[str, str], length: int, typed: bool):
        self.connection.putrequest("POST", self.targets[typed])
        for name, value in headers.items():
            self.connection.putheader(name, value)
        self.connection.putheader("Content-Length", str(length))
        self.connection.endheaders()

    def half_sent(self, headers: dict[str, str], body: bytes, typed: bool):
        """Says more than it sends, then goes."""
        self.oracle.count("half-sent bodies")
        try:
            self.begin(headers, len(body), typed)
            self.connection.send(body[:self.dice.randrange(len(body))])
        except OSError:
            pass
        self.close()

    def not_waiting(self, headers: dict[str, str], body: bytes, typed: bool):
        """Sends all of it and goes without the answer."""
        self.oracle.count("answers not waited for")
        try:
            self.begin(headers, len(body), typed)
            self.connection.send(body)
        except OSError:
            pass
        self.close()


class Fleet:
    """The producers of a stretch of time. Every stretch has producers of its own, so that no id comes twice."""

    def __init__(self, seed: int, port: int, targets: dict[bool, str], oracle: Oracle, size: int, keyed: bool, pause: float):
        self.make = lambda number, keyed: Producer(number, seed, port, targets, oracle, keyed, pause)
        self.size, self.keyed = size, keyed
        self.producers: list[Producer] = []
        self.stretch = 0

    def start(self):
        self.stretch += 1
        numbers = range(self.stretch * 1000, self.stretch * 1000 + self.size)
        self.producers = [self.make(number, self.keyed and number % 2 == 0) for number in numbers]
        for producer in self.producers:
            producer.start()

    def stop(self, patience_seconds: float = 60):
        """Returns when all have ended; keyed ones have got their answers, or say that they have not."""
        for producer in self.producers:
            producer.give_up_at = time.monotonic() + patience_seconds
            producer.stop.set()
        for producer in self.producers:
            producer.join(timeout=patience_seconds + ANSWER_SECONDS + 10)
            assert not producer.is_alive(), f"{producer.name} does not end"
        self.producers = []
