"""Which web pages may send: every origin that looks like a listed one, every answer a page may get, every list there may be."""

import socket
from itertools import product

import pytest

import legacy
from lakehead import ApiError
from processes import wait_until
from wire import WAYS, Answer, ask, fresh_source, head, in_chunks, plain, request

BODY = b"[{}]"
LISTED = [
    "https://good.example", "http://good.example:8080", "https://xn--bcher-kva.example", "http://localhost:3000", "http://127.0.0.1",
    "https://[::1]:8443",
]
GOOD, EVIL = LISTED[0], "https://evil.example"
MISSING_ID = "0" * 32
ASKS = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization, content-type"]
# Streams of both products with the same list, with `*`, and without any page let in.
LISTING = ["listed", "listed, private", "legacy, listed"]
STAR = ["star", "star, private", "legacy, star"]
CLOSED = ["none", "none, private", "no origins", "legacy, none", "legacy, taken away", "switched off", "missing", "no id"]


class World:
    """The server, and the ingest endpoints by what they let in."""

    def __init__(self, server):
        self.server = server
        many = [GOOD, *(f"https://host-{n}.example" for n in range(99))]
        lists = {"listed": LISTED, "star": ["*"], "none": None, "no origins": [], "many": many}
        self.ids = {name: self.stream(name, origins) for name, origins in lists.items()}
        for name in ("listed", "star", "none"):
            self.ids[f"{name}, private"] = self.stream(f"{name}, private", lists[name], authentication=True)
        self.ids["switched off"] = self.stream("switched off", LISTED, enabled=False)
        for name, origins in (("listed", LISTED), ("star", ["*"]), ("none", None), ("taken away", LISTED), ("many", many)):
            pipeline = legacy.create(server, f"legacy-{name.replace(' ', '-')}", "legacy-bucket", origins=origins)
            self.ids[f"legacy, {name}"] = pipeline["id"]
        # As `wrangler pipelines update --cors-origins none` does it.
        away = legacy.get(server, "legacy-taken-away")
        away["source"][0]["cors"]["origins"] = []
        assert "cors" not in legacy.replace(server, away)["source"][0]
        self.ids |= {"missing": MISSING_ID, "no id": "no-id"}

    def stream(self, name: str, origins: list[str] | None, enabled: bool = True, authentication: bool = False) -> str:
        cors = {} if origins is None else {"cors": {"origins": origins}}
        name = name.replace(", ", "_").replace(" ", "_")
        return self.server.create_stream(name, http={"enabled": enabled, "authentication": authentication, **cors})["id"]

    def target(self, door: str) -> str:
        return f"/ingest/{self.ids[door]}"

    @property
    def bearer(self) -> str:
        return f"Authorization: Bearer {self.server.token}"

    def preflight(self, door: str, *origins: str, asks: list[str] = ASKS) -> Answer:
        lines = [f"Origin: {origin}" for origin in origins]
        return ask(self.server, head("OPTIONS", self.target(door), *lines, *asks), "OPTIONS")

    def post(self, door: str, *origins: str) -> Answer:
        lines = [f"Origin: {origin}" for origin in origins]
        answer = ask(self.server, plain(self.target(door), self.bearer, *lines, body=BODY))
        if door in ("switched off", "missing", "no id"):
            assert answer.status == 404
        else:
            assert answer.committed == 1, "who may send is not the page's to say, but the token's"
        return answer


@pytest.fixture(scope="module")
def world(lasting_server) -> World:
    return World(lasting_server)


def cross_origin(answer: Answer) -> dict[str, str]:
    """The headers of the protocol, short names; that they never speak of credentials."""
    prefix = "access-control-"
    found = {name.removeprefix(prefix): value for name, value in answer.headers if name.startswith(prefix)}
    assert len(found) == sum(name.startswith(prefix) for name, _ in answer.headers), answer
    assert "allow-credentials" not in found, answer
    return found


def let_in(answer: Answer, named: str | None):
    """The answer tells the page's browser that pages of the origin it names (none: no page) may read it."""
    assert answer.header("vary") == "Origin", answer
    expected = {} if named is None else {"allow-origin": named, "expose-headers": "Retry-After, Idempotent-Replayed"}
    assert cross_origin(answer) == expected, answer


def preflight_lets_in(answer: Answer, named: str):
    assert (answer.status, answer.body, answer.header("vary")) == (204, b"", "Origin"), answer
    assert cross_origin(answer) == {
        "allow-origin": named, "expose-headers": "Retry-After, Idempotent-Replayed", "allow-methods": "POST",
        "allow-headers": "authorization, content-encoding, content-type, idempotency-key", "max-age": "86400",
    }


def preflight_refuses(answer: Answer):
    assert (answer.status, answer.body, answer.header("vary")) == (403, b"", "Origin"), answer
    assert cross_origin(answer) == {}


@pytest.mark.parametrize(("door", "origin"), list(product(LISTING, LISTED)))
def test_a_listed_origin_is_let_in_by_its_name(world, door, origin):
    preflight_lets_in(world.preflight(door, origin), origin)
    let_in(world.post(door, origin), origin)


@pytest.mark.parametrize("origin", [
    "http://good.example", "https://good.example:443", "https://good.example:8080", "http://good.example:80", "https://good.example:",
    "http://good.example:8081", "http://good.example:808", "http://good.example:80800", "http://localhost", "http://localhost:3001",
    "https://GOOD.example", "HTTPS://good.example", "https://Good.Example", "https://XN--BCHER-KVA.example",
    "https://good.example.", "https://good.example/", "https://good.example/path", "https://good.example?q", "https://good.example#f",
    "https://good.example.evil.example", "https://good.example.com.evil.example", "https://evilgood.example", "https://evil-good.example",
    "https://sub.good.example", "https://good.exampl", "https://good.examplee", "https://ood.example", "good.example", "//good.example",
    "https://good.example@evil.example", "https://evil.example@good.example", "https://evil.example#https://good.example",
    "https://evil.example?https://good.example", "https://evil.example https://good.example", "https://good.example https://evil.example",
    "https://good.example, https://evil.example", "https://good.example,", "https://good.example\\.evil.example",
    "https://good.example%00.evil.example", "https://good.example%2eevil.example", "https://good.example`.evil.example",
    "https://good_example", "https://goodxexample", "https://bücher.example", "https://xn--bcher-kvb.example", "https://b\xc3\xbccher.example",
    "http://127.0.0.1:80", "http://127.1", "http://2130706433", "https://[::1]", "https://[0:0:0:0:0:0:0:1]:8443", "https://::1:8443",
    "null", "NULL", "*", "", "https://", "about:blank", "file://", "chrome-extension://good.example", "data:", "https://*", EVIL,
    "https://" + "good.example." * 300,
], ids=lambda origin: ascii(origin)[:60])
def test_an_origin_that_only_looks_like_a_listed_one_is_not_let_in(world, origin):
    strange = world.preflight("none", EVIL)
    preflight_refuses(strange)
    for door in LISTING:
        assert world.preflight(door, origin).said == strange.said
        let_in(world.post(door, origin), None)


@pytest.mark.parametrize("origins", [
    [GOOD, GOOD], [GOOD, EVIL], [EVIL, GOOD], ["", GOOD], [GOOD, "null"],
], ids=str)
@pytest.mark.parametrize("door", [*LISTING, *STAR])
def test_two_origins_are_none(world, door, origins):
    preflight_refuses(world.preflight(door, *origins))
    let_in(world.post(door, *origins), None)


@pytest.mark.parametrize("door", STAR)
@pytest.mark.parametrize("origin", [GOOD, EVIL, "null", "file://", "https://any.example:1234"])
def test_a_star_lets_every_page_in_and_names_none(world, door, origin):
    preflight_lets_in(world.preflight(door, origin), "*")
    let_in(world.post(door, origin), "*")


@pytest.mark.parametrize("door", CLOSED)
@pytest.mark.parametrize("origin", [GOOD, EVIL, "null", "*", ""])
def test_a_preflight_says_the_same_of_what_lets_no_page_in_and_of_what_does_not_exist(world, door, origin):
    answer = world.preflight(door, origin)
    preflight_refuses(answer)
    assert answer.said == world.preflight("missing", EVIL).said
    let_in(world.post(door, origin), None)


@pytest.mark.parametrize("door", ["many", "legacy, many"])
def test_a_hundred_origins_are_each_let_in(world, door):
    for origin in [GOOD, "https://host-0.example", "https://host-98.example"]:
        preflight_lets_in(world.preflight(door, origin), origin)
    preflight_refuses(world.preflight(door, "https://host-99.example"))


@pytest.mark.parametrize("lines", [
    [], ["Access-Control-Request-Method: DELETE"], ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-other"],
    ["Access-Control-Request-Method: POST", "Access-Control-Request-Private-Network: true"], ["Authorization: Bearer wrong"],
    ["Authorization: Bearer wrong", "Authorization: Bearer wrong"], ["Cookie: a=b"],
], ids=str)
def test_a_preflight_asks_for_no_token_and_is_told_what_there_is(world, lines):
    for door in LISTING:
        preflight_lets_in(world.preflight(door, GOOD, asks=lines), GOOD)
    preflight_refuses(world.preflight("missing", GOOD, asks=lines))


def test_options_without_an_origin_is_no_preflight(world):
    answers = {door: ask(world.server, head("OPTIONS", world.target(door), *ASKS), "OPTIONS") for door in (*LISTING, *STAR, *CLOSED)}
    for answer in answers.values():
        assert answer.error == (405, 10405, "records are sent with POST") and answer.header("allow") == "POST"
        assert cross_origin(answer) == {}
    assert len({answer.said for answer in answers.values()}) == 1


@pytest.mark.parametrize("door", [*LISTING, *STAR])
def test_without_an_origin_nothing_is_said_of_origins(world, door):
    for write in (plain, in_chunks):
        answer = ask(world.server, write(world.target(door), world.bearer, body=BODY))
        assert answer.committed == 1 and cross_origin(answer) == {}


GZIP = "Content-Encoding: gzip"
# What a page may do wrong -> the request for a target, and how the refusal begins.
REFUSALS = {
    "no array": (lambda t, *lines: plain(t, *lines, body=b"{}"), (400, 1004)),
    "no JSON": (lambda t, *lines: plain(t, *lines, body=b"[{]"), (400, 1003)),
    "no UTF-8": (lambda t, *lines: in_chunks(t, *lines, body=b'[{"a":"\xff"}]'), (400, 1003)),
    "no gzip": (lambda t, *lines: plain(t, *lines, GZIP, body=b"[{}]"), (400, 1003)),
    "another method": (lambda t, *lines: request("PUT", t, *lines, body=b"[{}]"), (405, 10405)),
    "too large": (lambda t, *lines: head("POST", t, *lines, "Content-Length: 5000001"), (413, 10413)),
    "a record too large": (lambda t, *lines: plain(t, *lines, body=b'[{"a":"' + b"x" * (1 << 20) + b'"}]'), (413, 10413)),
    "an encoding": (lambda t, *lines: plain(t, *lines, "Content-Encoding: compress", body=b"[{}]"), (415, 10415)),
}


@pytest.mark.parametrize(("door", "named"), [*((door, GOOD) for door in LISTING), *((door, "*") for door in STAR), ("none, private", None)])
@pytest.mark.parametrize("wrong", REFUSALS)
def test_a_page_can_read_why_it_was_refused(world, wrong, door, named):
    write, expected = REFUSALS[wrong]
    answer = ask(world.server, write(world.target(door), f"Origin: {GOOD}", world.bearer))
    assert answer.error[:2] == expected
    let_in(answer, named)
    answer = ask(world.server, write(world.target(door), f"Origin: {EVIL}", world.bearer))
    assert answer.error[:2] == expected
    let_in(answer, "*" if named == "*" else None)


@pytest.mark.parametrize(("door", "named"), [("listed, private", GOOD), ("star, private", "*"), ("none, private", None), ("missing", None)])
def test_a_page_can_read_that_its_token_is_not_good_enough(world, door, named):
    reader = world.server.call("POST", "tokens", {"name": "n", "permissions": ["read"]})["result"]["value"]
    source, origin = fresh_source(), f"Origin: {GOOD}"
    for shown, expected in [
        ([], (401, 10000)), (["Authorization: Bearer wrong"], (401, 10000)), ([f"Authorization: Bearer {reader}"], (403, 100)),
    ]:
        answer = ask(world.server, plain(world.target(door), origin, *shown, body=BODY), source=source)
        assert answer.error[:2] == expected
        let_in(answer, named)
    wrong = plain(world.target(door), origin, "Authorization: Bearer wrong", body=BODY)
    answers = [ask(world.server, wrong, source=source) for _ in range(120)]
    assert answers[-1].error[:2] == (429, 10429) and int(answers[-1].header("retry-after")) >= 1
    for answer in answers:
        let_in(answer, named)


@pytest.mark.parametrize("door", ["missing", "no id", "switched off"])
def test_what_does_not_exist_lets_no_page_read_that(world, door):
    answer = ask(world.server, plain(world.target(door), f"Origin: {GOOD}", world.bearer, body=BODY))
    assert answer.error[:2] == (404, 1016)
    let_in(answer, None)


@pytest.mark.parametrize("origins", [[EVIL], ["null"], ["http://good.example"], [GOOD, GOOD]], ids=str)
@pytest.mark.parametrize("door", ["listed", "legacy, listed", "none", "legacy, none", "no origins"])
def test_a_page_that_is_not_let_in_is_not_stored_without_a_token_whether_its_browser_asked_or_not(world, door, origins):
    lines = [f"Origin: {origin}" for origin in origins]
    before = world.server.metrics().sum("ingest_records_total")
    for write in (plain, in_chunks):
        answer = ask(world.server, write(world.target(door), "Content-Type: text/plain", *lines, body=BODY))
        assert answer.error == (403, 10403, "web pages of this origin may not send to this stream")
        let_in(answer, None)
    assert world.server.metrics().sum("ingest_records_total") == before


def test_a_page_of_the_server_itself_needs_no_permission(world):
    own = f"Origin: http://{world.server.url.removeprefix('http://')}"
    host = f"Host: {world.server.url.removeprefix('http://')}"
    request_of = head("POST", world.target("none"), host, own, f"Content-Length: {len(BODY)}") + BODY
    assert ask(world.server, request_of).committed == 1


@pytest.mark.parametrize("origin", [GOOD, EVIL, "null"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_the_management_api_lets_no_page_in(world, method, origin):
    account = f"/client/v4/accounts/{world.server.account}"
    # Nothing is there for any of the methods to change.
    paths = [
        "/client/v4/user", "/client/v4/user/tokens/verify", "/client/v4/accounts", "/client/v4/memberships", account,
        f"{account}/pipelines/v1/streams/{MISSING_ID}", f"{account}/pipelines/none", f"{account}/r2/buckets/none",
        f"{account}/tokens/{MISSING_ID}", f"{account}/no/such/path", "/metrics", "/healthz", "/readyz", "/",
    ]
    for path in paths:
        for lines in ([], [world.bearer], ["Authorization: Bearer wrong"]):
            answer = ask(world.server, request(method, path, f"Origin: {origin}", *ASKS, *lines, body=b"{}"), method)
            assert cross_origin(answer) == {}, (path, lines)


@pytest.mark.parametrize("origin", [
    "null", "", " ", "good.example", "//good.example", "https://", "https:good.example", "https://good.example/", "https://good.example/path",
    "https://good.example?q", "https://good.example#f", "https://user@good.example", "ftp://good.example", "ws://good.example", "file://",
    " https://good.example", "https://good.example ", "https://good example", "https://*.good.example", "https://*", "**", "* ",
    "https://bücher.example", "https://good.example\r\nX-Other: y", "https://good.example\n", "https://good.example\0", "https://good.example,",
    "https://good.example, https://evil.example", "HTTPS://good.example", "javascript:alert(1)",
    "https://GOOD.example", "https://good.example:443", "http://good.example:80", "https://good.example:99999", "https://:", "https://a:b:c",
], ids=ascii)
def test_what_is_no_origin_cannot_be_listed(world, origin):
    def refused(field: str, call):
        with pytest.raises(ApiError) as error:
            call()
        assert (error.value.status, error.value.code) == (400, 1001)
        assert error.value.message.startswith(f"{field}.cors.origins[1]: "), error.value.message
        assert " is not an origin as browsers send it; `*` or `https://host[:port]` is needed" in error.value.message

    server = world.server
    origins = ["https://a.example", origin]
    http = {"enabled": True, "authentication": False, "cors": {"origins": origins}}
    refused("http", lambda: server.create_stream("never", http=http))
    refused("http", lambda: server.call("PATCH", f"pipelines/v1/streams/{world.ids['none']}", {"http": http}))
    refused("source", lambda: legacy.create(server, "never", "legacy-bucket", origins=origins))
    pipeline = legacy.get(server, "legacy-none")
    pipeline["source"][0]["cors"] = {"origins": origins}
    refused("source", lambda: legacy.replace(server, pipeline))
    assert not {"never"} & {s["name"] for s in server.call("GET", "pipelines/v1/streams")["result"]}
    preflight_refuses(world.preflight("none", "https://a.example"))
    preflight_refuses(world.preflight("legacy, none", "https://a.example"))


def test_a_list_of_101_origins_is_refused(world):
    origins = [f"https://host-{n}.example" for n in range(101)]
    for call, field in [
        (lambda: world.server.create_stream("never", http={"enabled": True, "authentication": False, "cors": {"origins": origins}}), "http"),
        (lambda: legacy.create(world.server, "never", "legacy-bucket", origins=origins), "source"),
    ]:
        with pytest.raises(ApiError) as error:
            call()
        assert (error.value.status, error.value.code) == (400, 1001)
        assert error.value.message == f"{field}.cors.origins: has 101 entries; the limit is 100"


@pytest.mark.parametrize("origins", ["*", GOOD, [1], [None], {}, 1, True], ids=str)
def test_what_is_no_list_of_texts_is_refused(world, origins):
    with pytest.raises(ApiError) as error:
        world.server.create_stream("never", http={"enabled": True, "authentication": False, "cors": {"origins": origins}})
    assert (error.value.status, error.value.code) == (400, 1001)
    assert error.value.message.startswith("http.cors.origins"), error.value.message


def test_a_change_of_the_list_holds_for_the_next_request(world):
    server, id = world.server, world.ids["no origins"]
    for origins, named in [([EVIL], EVIL), (["*"], "*"), ([GOOD], None), ([], None)]:
        server.call("PATCH", f"pipelines/v1/streams/{id}", {"http": {"enabled": True, "authentication": False, "cors": {"origins": origins}}})
        let_in(world.post("no origins", EVIL), named)


def test_a_page_can_read_that_the_server_stops(server):
    id = server.create_stream("events", http={"enabled": True, "authentication": False, "cors": {"origins": [GOOD]}})["id"]
    # A request under way keeps the server from ending.
    held = socket.create_connection(("127.0.0.1", server.port))
    held.sendall(head("POST", f"/ingest/{id}", "Content-Length: 4") + b"[")
    assert ask(server, plain(f"/ingest/{id}", f"Origin: {GOOD}", body=BODY)).committed == 1
    server.signal_stop()
    wait_until("the server stops", 5, lambda: ask(server, request("GET", "/readyz"), "GET").status == 503, every=0.01)
    for origin, named in ((GOOD, GOOD), (EVIL, None)):
        answer = ask(server, plain(f"/ingest/{id}", f"Origin: {origin}", f"Authorization: Bearer {server.token}", body=BODY))
        assert answer.error[:2] == (503, 10503) and int(answer.header("retry-after")) > 0
        let_in(answer, named)
    preflight_lets_in(ask(server, head("OPTIONS", f"/ingest/{id}", f"Origin: {GOOD}", *ASKS), "OPTIONS"), GOOD)
    held.sendall(b"{}]")
    assert b"200 OK" in held.recv(1000)
    held.close()
    assert server.process.child.wait(timeout=30) == 0


def test_a_page_can_read_that_the_log_is_full(make_server):
    server = make_server("[log]\nquota_bytes = 67108864\nsegment_bytes = 16777216\n").start()
    id = server.create_stream("events", http={"enabled": True, "authentication": False, "cors": {"origins": [GOOD]}})["id"]
    content = plain(f"/ingest/{id}", f"Origin: {GOOD}", body=b'[{"pad":"' + b"x" * 1_000_000 + b'"}]')
    for accepted in range(100):
        answer = ask(server, content)
        let_in(answer, GOOD)
        if answer.status != 200:
            break
    assert accepted > 4 and answer.error[:2] == (503, 10507) and int(answer.header("retry-after")) > 0
    # Asked again, it is said again, and the same to who is no page.
    again = ask(server, content.replace(GOOD.encode(), f"{EVIL}\r\nAuthorization: Bearer {server.token}".encode()))
    assert again.error == answer.error
    let_in(again, None)
    answers = [ask(server, write(f"/ingest/{id}", body=content.split(b"\r\n\r\n", 1)[1])) for write in WAYS.values()]
    assert len({a.said for a in answers}) == 1 and answers[0].error == answer.error and cross_origin(answers[0]) == {}
    assert server.metrics().sum("ingest_records_total") == accepted
