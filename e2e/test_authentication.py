"""Who may send records and who may manage: every way to show a credential, at both doors, and what is said to whom.

Each case has an address of its own, so that none is told that it has tried too often.
"""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from processes import wait_until
from wire import WAYS, Answer, Closed, Wire, ask, fresh_source, plain, request, with_close

RECORD = b'[{"kept":false}]'
NEEDED = (401, 10000, "a bearer token that may send to this stream is needed")
NOT_THIS = (403, 100, "the token may not send to this stream")
NO_STREAM = (404, 1016, "stream does not exist or does not accept HTTP")
SENT = 1
# The management API's.
NOBODY = (401, 10000, "Authentication error")
STRANGER = (403, 10000, "Authentication error")
NO_READ = (403, 100, "Forbidden: the token lacks the permission `read`")
NO_WRITE = (403, 100, "Forbidden: the token lacks the permission `write`")
MISSING_ID = "0" * 32


class World:
    """A server with streams and tokens of every kind. `texts` are what the tables write as {name}."""

    def __init__(self, server):
        self.server = server
        self.private = server.create_stream("private", authentication=True)["id"]
        other = server.create_stream("other", authentication=True)["id"]
        self.off = server.create_stream("off", http={"enabled": False, "authentication": False})["id"]
        self.open = server.create_stream("open")["id"]
        # From the first record on there are figures of what was accepted.
        assert server.post(self.private, b"[{}]", server.bearer).status_code == 200
        expires = datetime.now(UTC) + timedelta(seconds=1.2)
        expired = self.token(["send", "read", "write"], expires_on=expires.isoformat())
        revoked = self.token(["send", "read", "write"])
        server.call("DELETE", f"tokens/{revoked['id']}")
        sender = self.token(["send"])["value"]
        admin = server.token
        self.texts = {
            "admin": admin, "sender": sender, "reader": self.token(["read"])["value"], "writer": self.token(["write"])["value"],
            "bound": self.token(["send"], streams=[self.private])["value"],
            "elsewhere": self.token(["send"], streams=[other])["value"],
            "expired": expired["value"], "revoked": revoked["value"],
            "wrong": sender[:-1] + ("1" if sender.endswith("0") else "0"), "unknown": f"lh_{'0' * 32}_{'0' * 48}",
            "upper": sender.upper(), "part": sender[:-1], "more": sender + "0", "id": sender[3:35],
            "admin_short": admin[:-1], "account": server.account,
            "basic_admin": base64.b64encode(f"admin:{admin}".encode()).decode(),
            "basic_empty": base64.b64encode(b"admin:").decode(),
        }
        wait_until("the token expires", 10, lambda: self.server.call("GET", f"tokens/{expired['id']}")["result"]["status"] == "expired")

    def token(self, permissions: list[str], **more) -> dict:
        return self.server.call("POST", "tokens", {"name": "a test's", "permissions": permissions, **more})["result"]

    def fill(self, text: str) -> str:
        for name, value in self.texts.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def lines(self, lines: list[str]) -> list[str]:
        return [self.fill(line) for line in lines]

    def records(self) -> int:
        """Acknowledged so far, by the streams and by the log."""
        return self.server.metrics().sum("ingest_records_total")

    def answered(self, status: int) -> int:
        """Ingest requests answered so."""
        return sum(s.value for s in self.server.metrics().samples if s.name == "ingest_requests_total" and s.labels["code"] == str(status))

    def streams(self) -> list[dict]:
        return self.server.call("GET", "pipelines/v1/streams")["result"]

    def api(self, method: str, path: str, lines: list[str], body: bytes = b"") -> Answer:
        target = f"/client/v4/accounts/{self.server.account}/{path}"
        return ask(self.server, request(method, target, *self.lines(lines), body=body), method)


@pytest.fixture(scope="module")
def world(lasting_server) -> World:
    return World(lasting_server)


# What is shown -> what ingest says (records sent, or a refusal).
INGEST = {
    "no header": ([], NEEDED),
    "empty": (["Authorization:"], NEEDED),
    "only a space": (["Authorization:  "], NEEDED),
    "scheme alone": (["Authorization: Bearer"], NEEDED),
    "scheme and spaces": (["Authorization: Bearer     "], NEEDED),
    "scheme and tabs": (["Authorization: Bearer\t\t"], NEEDED),
    "scheme twice": (["Authorization: Bearer Bearer {sender}"], NEEDED),
    "token alone": (["Authorization: {sender}"], NEEDED),
    "no space": (["Authorization: Bearer{sender}"], NEEDED),
    "a tab for the space": (["Authorization: Bearer\t{sender}"], NEEDED),
    "another scheme": (["Authorization: Token {sender}"], NEEDED),
    "quoted": (['Authorization: Bearer "{sender}"'], NEEDED),
    "with a parameter": (["Authorization: Bearer {sender}, realm=x"], NEEDED),
    "two tokens": (["Authorization: Bearer {sender} {sender}"], NEEDED),
    "basic, the administrator's password": (["Authorization: Basic {basic_admin}"], NEEDED),
    "basic, administrator with empty password": (["Authorization: Basic {basic_empty}"], NEEDED),
    "bearer, administrator with empty password": (["Authorization: Bearer admin:"], NEEDED),
    "lower-case scheme": (["Authorization: bearer {sender}"], SENT),
    "upper-case scheme": (["AUTHORIZATION: BEARER {sender}"], SENT),
    "spaces around": (["Authorization:   Bearer   {sender}   "], SENT),
    "two headers, the same": (["Authorization: Bearer {sender}"] * 2, NEEDED),
    "two headers, good and wrong": (["Authorization: Bearer {sender}", "Authorization: Bearer {wrong}"], NEEDED),
    "two headers, wrong and good": (["Authorization: Bearer {wrong}", "Authorization: Bearer {sender}"], NEEDED),
    "two headers, empty and good": (["Authorization:", "Authorization: Bearer {sender}"], NEEDED),
    "in another header": (["X-Authorization: Bearer {sender}"], NEEDED),
    "for a proxy": (["Proxy-Authorization: Bearer {sender}"], NEEDED),
    "in a cookie": (["Cookie: token={sender}; Authorization=Bearer {sender}"], NEEDED),
    "a pair of the API": (["X-Auth-Email: a@b.example", "X-Auth-Key: {admin}"], NEEDED),
    "a service key": (["X-Auth-User-Service-Key: {admin}"], NEEDED),
    "wrong secret": (["Authorization: Bearer {wrong}"], NEEDED),
    "unknown": (["Authorization: Bearer {unknown}"], NEEDED),
    "one letter short": (["Authorization: Bearer {part}"], NEEDED),
    "one letter more": (["Authorization: Bearer {more}"], NEEDED),
    "in upper case": (["Authorization: Bearer {upper}"], NEEDED),
    "its id": (["Authorization: Bearer {id}"], NEEDED),
    "the administrator's cut short": (["Authorization: Bearer {admin_short}"], NEEDED),
    "the account's id": (["Authorization: Bearer {account}"], NEEDED),
    "a path": (["Authorization: Bearer ../admin_token"], NEEDED),
    "SQL": (["Authorization: Bearer ' OR 1=1 --"], NEEDED),
    "bytes that are no ASCII": (["Authorization: Bearer \xff\xfe\x80"], NEEDED),
    "60 kB": (["Authorization: Bearer " + "a" * 60_000], NEEDED),
    "300 kB": (["Authorization: Bearer " + "a" * 300_000], NEEDED),
    "revoked": (["Authorization: Bearer {revoked}"], NEEDED),
    "expired": (["Authorization: Bearer {expired}"], NEEDED),
    "may read": (["Authorization: Bearer {reader}"], NOT_THIS),
    "may write": (["Authorization: Bearer {writer}"], NOT_THIS),
    "bound to another stream": (["Authorization: Bearer {elsewhere}"], NOT_THIS),
    "bound to this stream": (["Authorization: Bearer {bound}"], SENT),
    "the administrator's": (["Authorization: Bearer {admin}"], SENT),
}


@pytest.mark.parametrize("shown", INGEST)
def test_ingest_lets_in_who_may_send_and_says_the_same_either_way(world, shown):
    lines, expected = INGEST[shown]
    status = 200 if expected == SENT else expected[0]
    before, answered = world.records(), world.answered(status)
    answers = {}
    for way, write in WAYS.items():
        answer = ask(world.server, write(f"/ingest/{world.private}", *world.lines(lines), body=RECORD))
        answers[way] = answer
        assert (answer.committed if expected == SENT else answer.error) == expected, way
        assert answer.header("www-authenticate") == ("Bearer" if expected == NEEDED else None)
    assert len({answer.said for answer in answers.values()}) == 1, answers
    assert world.records() - before == (len(WAYS) if expected == SENT else 0)
    assert world.answered(status) - answered == len(WAYS)


@pytest.mark.parametrize("shown", [name for name, (_, expected) in INGEST.items() if expected in (NEEDED, NOT_THIS)])
def test_whoever_is_not_let_in_learns_nothing_of_what_exists(world, shown):
    lines = world.lines(INGEST[shown][0])
    for way, write in WAYS.items():
        source = fresh_source()
        targets = {
            "private": world.private, "missing": MISSING_ID, "switched off": world.off, "no id": "no-id", "nothing": "",
            "upper case": MISSING_ID.replace("0", "A"),
        }
        said = {name: ask(world.server, write(f"/ingest/{id}", *lines, body=RECORD), source=source).said for name, id in targets.items()}
        assert len(set(said.values())) == 1, (way, said)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shown", ["admin", "sender"])
def test_who_may_send_anywhere_is_told_what_does_not_exist(world, way, shown):
    line = world.fill(f"Authorization: Bearer {{{shown}}}")
    for id in (MISSING_ID, world.off, "no-id"):
        assert ask(world.server, WAYS[way](f"/ingest/{id}", line, body=RECORD)).error == NO_STREAM


@pytest.mark.parametrize("name", ["token", "access_token", "api_token", "key", "Authorization"])
def test_a_token_in_the_address_is_none(world, name):
    before = world.records()
    for shown in ("{sender}", "Bearer%20{sender}"):
        target = f"/ingest/{world.private}?{name}={world.fill(shown)}"
        for write in WAYS.values():
            assert ask(world.server, write(target, body=RECORD)).error == NEEDED
    userinfo = world.fill("http://admin:{admin}@localhost/ingest/") + world.private
    assert ask(world.server, plain(userinfo, body=RECORD)).error == NEEDED
    assert world.records() == before


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x08, 0x0B, 0x0D, 0x1B, 0x7F], ids="{:#04x}".format)
@pytest.mark.parametrize("place", ["in the token", "in front", "behind", "in the scheme", "in the name"])
@pytest.mark.parametrize("way", ["plain", "close"])
def test_control_bytes_in_the_header_are_no_request(world, byte, place, way):
    token, control = world.texts["sender"].encode(), bytes([byte])
    line = {
        "in the token": b"Authorization: Bearer " + token[:20] + control + token[20:],
        "in front": b"Authorization: Bearer " + control + token,
        "behind": b"Authorization: Bearer " + token + control,
        "in the scheme": b"Authorization: Bea" + control + b"rer " + token,
        "in the name": b"Autho" + control + b"rization: Bearer " + token,
    }[place]
    before = world.records()
    content = WAYS[way](f"/ingest/{world.private}", line, body=RECORD)
    with Wire(world.server, fresh_source()) as wire:
        answer = wire.send(content).answer()
        assert (answer.status, answer.body) == (400, b""), answer
        assert wire.is_closed()
    assert world.records() == before


@pytest.mark.parametrize("way", WAYS)
def test_a_megabyte_of_token_is_refused_before_it_is_held(world, way):
    content = WAYS[way](f"/ingest/{world.private}", "Authorization: Bearer " + "a" * 1_000_000, body=RECORD)
    before = world.records()
    with Wire(world.server, fresh_source()) as wire:
        answer = wire.send(content).answer()
        assert (answer.status, answer.body) == (431, b""), answer
        assert wire.is_closed()
    assert world.records() == before


@pytest.mark.parametrize("way", WAYS)
def test_the_body_of_a_refused_request_is_never_a_request_of_its_own(world, way):
    # To an open stream: would it be read as a request, it would be accepted.
    inner = plain(f"/ingest/{world.open}", body=RECORD) * 3
    for lines in (["Authorization: Bearer {wrong}"], ["Authorization: Bearer {reader}"], []):
        before = world.records()
        with Wire(world.server, fresh_source()) as wire:
            answer = wire.send(WAYS[way](f"/ingest/{world.private}", *world.lines(lines), body=inner)).answer()
            assert answer.error in (NEEDED, NOT_THIS)
            try:
                following = wire.end().answer()
            except Closed:
                following = None
            assert following is None, following
        assert world.records() == before


def test_a_good_token_is_not_kept_for_the_next_request_of_the_connection(world):
    for write in (plain, WAYS["chunked"]):
        with Wire(world.server, fresh_source()) as wire:
            target, good = f"/ingest/{world.private}", world.fill("Authorization: Bearer {sender}")
            assert wire.send(write(target, good, body=RECORD)).answer().committed == 1
            assert wire.send(write(target, body=RECORD)).answer().error == NEEDED


def test_too_many_guesses_are_told_so_and_harm_nobody_else_at_the_address(world):
    told = (429, 10429, "too many wrong credentials came from this address; wait a minute")
    source, wrong = fresh_source(), world.fill("Authorization: Bearer {wrong}")
    for target in (world.private, MISSING_ID) * 2:
        # The bucket holds a hundred and refills while this runs.
        write = with_close if target == MISSING_ID else plain
        answers = [ask(world.server, write(f"/ingest/{target}", wrong, body=RECORD), source=source) for _ in range(60)]
    assert answers[-1].error == told and int(answers[-1].header("retry-after")) >= 1
    assert {answer.error for answer in answers} <= {told, NEEDED}
    target = f"/client/v4/accounts/{world.server.account}/pipelines/v1/streams"
    assert ask(world.server, request("GET", target, wrong), "GET", source).error == told
    for write in WAYS.values():
        for shown, expected in (("{sender}", SENT), ("{reader}", NOT_THIS)):
            answer = ask(world.server, write(f"/ingest/{world.private}", world.fill(f"Authorization: Bearer {shown}"), body=RECORD), source=source)
            assert (answer.committed if expected == SENT else answer.error) == expected
        # Who shows nothing does not guess.
        assert ask(world.server, write(f"/ingest/{world.private}", body=RECORD), source=source).error == NEEDED


# What is shown -> what the management API says to a GET and to a POST; `None`: it answers.
PAIR = ["X-Auth-Email: a@b.example"]
API = {
    **{
        name: (lines, NOBODY, NOBODY)
        for name, (lines, expected) in INGEST.items()
        if expected == NEEDED and name in (
            "no header", "empty", "only a space", "scheme alone", "scheme and spaces", "scheme and tabs", "token alone", "no space",
            "a tab for the space", "another scheme", "basic, the administrator's password", "basic, administrator with empty password",
            "two headers, the same", "two headers, good and wrong", "two headers, wrong and good", "two headers, empty and good",
            "in another header", "for a proxy", "in a cookie", "a service key",
        )
    },
    **{
        name: (INGEST[name][0], STRANGER, STRANGER)
        for name in (
            "bearer, administrator with empty password", "wrong secret", "unknown", "one letter short", "one letter more",
            "in upper case", "its id", "the administrator's cut short", "the account's id", "revoked", "expired", "scheme twice",
            "quoted", "two tokens", "bytes that are no ASCII", "60 kB", "300 kB", "SQL",
        )
    },
    "administrator, two headers": (["Authorization: Bearer {admin}"] * 2, NOBODY, NOBODY),
    "a key without an e-mail": (["X-Auth-Key: {admin}"], NOBODY, NOBODY),
    "an e-mail without a key": (PAIR, NOBODY, NOBODY),
    "an e-mail with an empty key": ([*PAIR, "X-Auth-Key:"], NOBODY, NOBODY),
    "an e-mail with a key of spaces": ([*PAIR, "X-Auth-Key:    "], NOBODY, NOBODY),
    "an e-mail with two keys": ([*PAIR, "X-Auth-Key: {admin}", "X-Auth-Key: {admin}"], NOBODY, NOBODY),
    "two e-mails with a key": ([*PAIR, *PAIR, "X-Auth-Key: {admin}"], NOBODY, NOBODY),
    "a key behind a scheme": ([*PAIR, "X-Auth-Key: Bearer {admin}"], STRANGER, STRANGER),
    "an e-mail with a wrong key": ([*PAIR, "X-Auth-Key: {admin_short}"], STRANGER, STRANGER),
    "administrator by name, empty key": (["X-Auth-Email: admin", "X-Auth-Key:"], NOBODY, NOBODY),
    "a good key beside a wrong token": ([*PAIR, "X-Auth-Key: {admin}", "Authorization: Bearer {wrong}"], STRANGER, STRANGER),
    "a good key beside an empty token": ([*PAIR, "X-Auth-Key: {admin}", "Authorization:"], NOBODY, NOBODY),
    "may send": (["Authorization: Bearer {sender}"], NO_READ, NO_WRITE),
    "may send to one stream": (["Authorization: Bearer {bound}"], NO_READ, NO_WRITE),
    "may read": (["Authorization: Bearer {reader}"], None, NO_WRITE),
    "may write": (["Authorization: Bearer {writer}"], NO_READ, None),
    "may read, lower case": (["Authorization: bearer {reader}"], None, NO_WRITE),
    "may read, as a key": ([*PAIR, "X-Auth-Key: {reader}"], None, NO_WRITE),
    "the administrator's": (["Authorization: Bearer {admin}"], None, None),
    "the administrator's as a key": ([*PAIR, "X-Auth-Key: {admin}"], None, None),
}
# Refused for its content by whoever is let in, so that nothing is left behind.
NO_NAME = b'{"http":{"enabled":true,"authentication":false}}'


@pytest.mark.parametrize("shown", API)
def test_the_api_lets_in_who_may_read_and_who_may_write(world, shown):
    lines, to_get, to_post = API[shown]
    before = world.streams()
    got = world.api("GET", "pipelines/v1/streams", lines)
    if to_get is None:
        assert got.status == 200 and json.loads(got.body)["success"] is True
    else:
        assert got.error == to_get
        assert got.header("www-authenticate") == ("Bearer" if to_get[0] == 401 else None)
    posted = world.api("POST", "pipelines/v1/streams", [*lines, "Content-Type: application/json"], NO_NAME)
    assert posted.error == to_post if to_post else posted.error[:2] == (400, 1001)
    if to_post:
        for path in (f"pipelines/v1/streams/{world.open}", f"pipelines/v1/streams/{MISSING_ID}"):
            assert world.api("DELETE", path, lines).said == posted.said, "refused alike, whether it is there or not"
    if to_get:
        for path in (f"pipelines/v1/streams/{world.open}", f"pipelines/v1/streams/{MISSING_ID}", "pipelines/nothing"):
            assert world.api("GET", path, lines).said == got.said, "refused alike, whether it is there or not"
    assert world.streams() == before


@pytest.mark.parametrize("shown", ["sender", "reader", "writer", "bound"])
@pytest.mark.parametrize(("method", "path"), [("GET", "tokens"), ("POST", "tokens"), ("GET", "tokens/{id}"), ("DELETE", "tokens/{id}")])
def test_tokens_are_the_administrators_alone(world, shown, method, path):
    before = world.server.call("GET", "tokens")["result"]
    body = b'{"name":"more","permissions":["send"]}'
    refused = world.api(method, world.fill(path), [f"Authorization: Bearer {{{shown}}}", "Content-Type: application/json"], body)
    assert refused.error == (403, 100, "Forbidden: only the administrator's token can manage tokens")
    after = world.server.call("GET", "tokens")["result"]
    # That it was shown is noted.
    for token in [*before, *after]:
        token.pop("last_used_on")
    assert after == before


@pytest.mark.parametrize("shown", ["admin", "sender", "wrong", "unknown"])
def test_another_account_is_as_closed_as_one_that_does_not_exist(world, shown):
    line = world.fill(f"Authorization: Bearer {{{shown}}}")
    for account in (MISSING_ID, "f" * 32, world.server.account[:-1], world.server.account + "0", "no-id"):
        target = f"/client/v4/accounts/{account}/pipelines/v1/streams"
        assert ask(world.server, request("GET", target, line), "GET").error == STRANGER


def test_nothing_of_what_was_refused_is_there(world):
    """Runs last: the streams hold what was acknowledged and nothing else."""
    server = world.server
    assert {s["name"] for s in world.streams()} == {"private", "other", "off", "open"}
    acknowledged = {name: server.metrics().sum("ingest_records_total", stream=name) for name in ("private", "other", "off", "open")}
    assert acknowledged["private"] > 0 and not any(acknowledged[name] for name in ("other", "off", "open"))
    for name, count in acknowledged.items():
        server.create_sink(f"sink_{name}", "out", {"type": "json", "unstructured": True}, path=name)
        server.create_pipeline(f"copy_{name}", f"INSERT INTO sink_{name} SELECT * FROM {name}")
        server.wait_delivered(f"copy_{name}", count)


def test_a_server_whose_administrators_token_is_empty_does_not_start(make_server):
    server = make_server().start()
    assert server.stop() == 0
    for text in ("", "\n", " " * 40):
        (server.data_dir / "admin_token").write_text(text)
        server.spawn()
        assert server.process.child.wait(timeout=30) != 0
        assert "admin_token: a token has at least 20 visible ASCII characters" in server.process.tail(1)
