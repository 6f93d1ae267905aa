"""Tokens: made, listed and revoked with `lakehead tokens`, shown to the ingest endpoint and to the API."""

import json
import os
import subprocess
import time
from datetime import datetime, timedelta, timezone

import httpx
import pytest

from lakehead import BINARY, ApiError
from processes import free_port, wait_until

RECORDS = [{"n": 1}, {"n": 2}]


def tokens(server, *arguments, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """`lakehead tokens …` for the server's data folder."""
    return subprocess.run(
        [BINARY, "tokens", *arguments, "--data-dir", server.data_dir], capture_output=True, text=True, timeout=30,
        check=False, env={**os.environ, **(environment or {})},
    )


def succeeded(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}\n{done.stderr}"
    return done.stdout


def create(server, *arguments, name: str = "a test's") -> dict:
    """The new token, `value` included."""
    return json.loads(succeeded(tokens(server, "create", "--name", name, "--json", *arguments)))


def listed(server, token: dict) -> dict:
    everything = json.loads(succeeded(tokens(server, "list", "--json")))
    return next(entry for entry in everything if entry["id"] == token["id"])


def send(server, stream: dict, value: str | None) -> httpx.Response:
    headers = {"authorization": f"Bearer {value}"} if value is not None else {}
    return server.post(stream["id"], json.dumps(RECORDS).encode(), headers)


def accepted(answer: httpx.Response):
    assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
    assert answer.json() == {"success": True, "result": {"committed": len(RECORDS)}}


@pytest.fixture
def stream(server) -> dict:
    return server.create_stream("events", authentication=True)


def test_a_token_is_printed_once_and_sends(server, stream):
    done = tokens(server, "create", "--name", "ci", "--allow", "send")
    value = succeeded(done).strip()
    assert value.startswith("lh_") and len(value) == 3 + 32 + 1 + 48, value
    assert "ci" in done.stderr and "this one time only" in done.stderr and value not in done.stderr
    accepted(send(server, stream, value))
    table = succeeded(tokens(server, "list"))
    assert value[3:35] in table and "ci" in table and "active" in table
    secret = value[36:]
    assert secret not in table and secret not in succeeded(tokens(server, "list", "--json"))


def test_wrong_unknown_and_revoked_tokens_are_refused_in_the_same_words(server, stream):
    kept, gone = create(server, "--allow", "send"), create(server, "--allow", "send")
    accepted(send(server, stream, gone["value"]))
    assert succeeded(tokens(server, "revoke", gone["id"])) == f"Revoked {gone['id']}.\n"
    value = kept["value"]
    last = "1" if value.endswith("0") else "0"
    shown = [
        gone["value"], value[:-1] + last, value[:-1], value + "0", f"lh_{'0' * 32}_{'0' * 48}", value[3:35], "x", value.upper(),
    ]
    answers = [send(server, stream, wrong) for wrong in shown]
    assert {answer.status_code for answer in answers} == {401}, [(a.status_code, a.text) for a in answers]
    assert len({answer.text for answer in answers}) == 1, [a.text for a in answers]
    assert send(server, stream, None).status_code == 401
    accepted(send(server, stream, value))


def test_a_revoked_token_stays_revoked_after_a_restart_and_others_go_on(server, stream):
    kept, gone = create(server, "--allow", "send"), create(server, "--allow", "send")
    succeeded(tokens(server, "revoke", gone["id"]))
    server.kill()
    server.start()
    assert send(server, stream, gone["value"]).status_code == 401
    accepted(send(server, stream, kept["value"]))
    done = tokens(server, "revoke", gone["id"])
    assert done.returncode == 1 and done.stdout == "" and "[code: " in done.stderr, done.stderr


def test_a_token_does_what_it_is_allowed_and_nothing_else(server, stream):
    reader, writer, sender = (create(server, "--allow", word)["value"] for word in ("read", "write", "send"))
    both = create(server, "--allow", "read,send")["value"]
    names = [s["name"] for s in server.call("GET", "pipelines/v1/streams", token=reader)["result"]]
    assert names == ["events"]
    body = {"name": "made_by_a_writer", "http": {"enabled": True, "authentication": False}, "format": {"type": "json", "unstructured": True}}
    made = server.call("POST", "pipelines/v1/streams", body, token=writer)["result"]
    for value in (reader, writer):
        assert send(server, stream, value).status_code == 403
    for value, method, path in [
        (sender, "GET", "pipelines/v1/streams"), (sender, "DELETE", f"pipelines/v1/streams/{made['id']}"),
        (reader, "DELETE", f"pipelines/v1/streams/{made['id']}"), (reader, "POST", "pipelines/v1/streams"),
        (both, "POST", "pipelines/v1/streams"), (sender, "GET", "tokens"),
    ]:
        with pytest.raises(ApiError) as refused:
            server.call(method, path, {**body, "name": "never"} if method == "POST" else None, token=value)
        assert refused.value.status == 403, (method, path, refused.value)
    accepted(send(server, stream, sender))
    accepted(send(server, stream, both))
    assert {s["name"] for s in server.call("GET", "pipelines/v1/streams", token=both)["result"]} == {"events", "made_by_a_writer"}


@pytest.mark.parametrize(("has", "wants"), [("read", "write"), ("send", "send"), ("write", "send"), ("write", "read")])
def test_no_token_makes_a_token_that_may_what_it_may_not_itself(server, has, wants):
    value = create(server, "--allow", has)["value"]
    with pytest.raises(ApiError) as refused:
        server.call("POST", "tokens", {"name": "more", "permissions": [wants]}, token=value)
    assert refused.value.status == 403, refused.value
    assert len(json.loads(succeeded(tokens(server, "list", "--json")))) == 1


def test_a_bound_token_sends_to_its_streams_alone(server, stream):
    other = server.create_stream("other", authentication=True)
    by_name = create(server, "--allow", "send", "--stream", "events")
    by_id = create(server, "--allow", "send", "--stream", stream["id"], "--stream", "other")
    assert by_name["streams"] == [stream["id"]] and by_id["streams"] == [stream["id"], other["id"]]
    accepted(send(server, stream, by_name["value"]))
    assert send(server, other, by_name["value"]).status_code == 403
    accepted(send(server, stream, by_id["value"]))
    accepted(send(server, other, by_id["value"]))
    done = tokens(server, "create", "--name", "n", "--allow", "send", "--stream", "no_such")
    assert done.returncode == 1 and done.stdout == "" and "no_such" in done.stderr, done.stderr


def test_a_token_may_be_bound_to_a_legacy_pipeline_by_its_name(server, stream):
    legacy = server.call("POST", "pipelines", {
        "name": "my-clicks", "metadata": {}, "transforms": [],
        "source": [{"type": "http", "format": "json", "authentication": True}],
        "destination": {
            "type": "r2", "format": "json", "compression": {"type": "none"}, "batch": {}, "path": {"bucket": "lake"},
            "credentials": {"endpoint": "http://127.0.0.1:1", "access_key_id": "unused", "secret_access_key": "unused"},
        },
    })["result"]
    token = create(server, "--allow", "send", "--stream", "my-clicks")
    assert token["streams"] == [legacy["id"]]
    accepted(send(server, legacy, token["value"]))
    assert send(server, stream, token["value"]).status_code == 403


def test_a_token_of_a_deleted_stream_is_worth_nothing_for_the_next_one_of_its_name(server, stream):
    token = create(server, "--allow", "send", "--stream", "events")
    server.call("DELETE", f"pipelines/v1/streams/{stream['id']}")
    again = server.create_stream("events", authentication=True)
    assert again["id"] != stream["id"]
    assert send(server, again, token["value"]).status_code == 403
    assert listed(server, token)["streams"] == [stream["id"]]


def test_a_token_ends_when_it_expires(server, stream):
    soon = (datetime.now(timezone.utc) + timedelta(seconds=3)).isoformat()
    token = create(server, "--allow", "send", "--expires", soon)
    long = create(server, "--allow", "send", "--expires", "30d")
    assert token["status"] == "active" and listed(server, long)["status"] == "active"
    accepted(send(server, stream, token["value"]))
    wait_until("the token expires", 10, lambda: send(server, stream, token["value"]).status_code == 401)
    assert datetime.now(timezone.utc) >= datetime.fromisoformat(soon), "it did not expire early"
    assert listed(server, token)["status"] == "expired"
    accepted(send(server, stream, long["value"]))
    days = (datetime.fromisoformat(long["expires_on"]) - datetime.now(timezone.utc)) / timedelta(days=1)
    assert 29.9 < days <= 30
    done = tokens(server, "create", "--name", "n", "--allow", "send", "--expires", "2020-01-01T00:00:00Z")
    assert done.returncode == 1 and "expires_on" in done.stderr, done.stderr


def test_the_list_shows_the_last_use_and_keeps_it_over_a_restart(server, stream):
    used, idle, failed = (create(server, "--allow", word) for word in ("send", "send", "read"))
    assert listed(server, used)["last_used_on"] is None
    before = datetime.now(timezone.utc)
    accepted(send(server, stream, used["value"]))
    seen = datetime.fromisoformat(listed(server, used)["last_used_on"])
    assert before - timedelta(seconds=1) <= seen <= datetime.now(timezone.utc) + timedelta(seconds=1)
    assert listed(server, idle)["last_used_on"] is None
    assert server.stop() == 0
    server.start()
    assert datetime.fromisoformat(listed(server, used)["last_used_on"]) == seen
    assert listed(server, idle)["last_used_on"] is None
    server.call("GET", "pipelines/v1/streams", token=failed["value"])
    assert listed(server, failed)["last_used_on"] is not None, "a call of the API is a use as well"


def test_neither_values_nor_their_hashes_are_in_the_data_folder_or_the_log(server, stream):
    token = create(server, "--allow", "send", name="canary-name")
    accepted(send(server, stream, token["value"]))
    assert server.stop() == 0
    hashed = subprocess.run(
        ["sha256sum"], input=token["value"], capture_output=True, text=True, check=True,
    ).stdout.split()[0]
    files = [path for path in server.data_dir.rglob("*") if path.is_file()] + [server.output]
    contents = [path.read_bytes() for path in files]
    assert any(b"canary-name" in content for content in contents), "the search finds what is there"
    for secret in (token["value"][36:].encode(), hashed.encode(), bytes.fromhex(hashed)):
        assert not any(secret in content for content in contents), "a secret is on disk"


def test_many_wrong_tokens_are_told_to_wait_and_a_valid_one_is_not(server, stream):
    value = create(server, "--allow", "send")["value"]
    wrong = f"lh_{'0' * 32}_{'0' * 48}"
    began = time.monotonic()
    answers = [send(server, stream, wrong) for _ in range(150)]
    refilled = (time.monotonic() - began) / 0.6
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert 100 <= len(answers) - len(refused) <= 101 + refilled, "a hundred at once, and a hundred a minute"
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    for _ in range(20):
        accepted(send(server, stream, value))


def test_the_commands_reach_a_server_through_the_variables_of_env(server, stream):
    environment = {**server.environment(), "HTTP_PROXY": f"http://127.0.0.1:{free_port()}", "NO_PROXY": ""}
    done = subprocess.run(
        [BINARY, "tokens", "create", "--name", "n", "--allow", "send"], capture_output=True, text=True, timeout=30,
        check=False, env={**os.environ, **environment},
    )
    accepted(send(server, stream, succeeded(done).strip()))


def test_what_is_wrong_is_said(server):
    done = tokens(server, "create", "--name", "x" * 121, "--allow", "send")
    assert done.returncode == 1 and "name" in done.stderr and "120" in done.stderr and "[code: " in done.stderr, done.stderr
    done = tokens(server, "create", "--name", "n", "--allow", "admin")
    assert done.returncode == 2 and "read, write, send" in done.stderr, done.stderr
    token = server.data_dir / "admin_token"
    kept = token.read_text()
    token.write_text("lh_not-the-token-of-this-server\n")
    done = tokens(server, "list")
    assert done.returncode == 1 and "admin_token" in done.stderr and "was refused" in done.stderr, done.stderr
    assert "lh_not" not in done.stderr
    token.write_text(kept)
    assert server.stop() == 0
    done = tokens(server, "list")
    assert done.returncode == 1 and done.stdout == "" and "is it running?" in done.stderr, done.stderr
