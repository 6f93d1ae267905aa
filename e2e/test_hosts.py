"""The hosts wrangler contacts by fixed names, played by the server: the documented commands word for word.

Nothing but a hosts file and the authority wrangler trusts differ from the real service. They need port 443 of a loopback address.
"""

import json
import re
import socket
import ssl
import stat
from urllib.parse import urlencode

import pytest

import legacy
from played_hosts import OAUTH
from processes import wait_until
from wrangler import LEGACY_3, LEGACY_4, NEWEST, printed_curl


def words(text: str) -> str:
    return " ".join(text.split())


def created(text: str, name: str) -> str:
    match = re.search(rf'Successfully created pipeline "{name}" with id ([0-9a-f]{{32}})', text, re.IGNORECASE)
    assert match, text
    return match[1]


@pytest.mark.parametrize("version", [LEGACY_4, LEGACY_3])
def test_the_documented_create_works_word_for_word(played, version):
    wrangler = played.wrangler(version)
    text = wrangler.text("pipelines", "create", "my-clickstream-pipeline", "--r2-bucket", "my-bucket")
    id = created(text, "my-clickstream-pipeline")
    shown = ['Authorizing R2 bucket "my-bucket"', 'ipeline named "my-clickstream-pipeline"', "You can now send data to your"]
    if version == LEGACY_4:
        shown += ["Authentication: off Format: JSON", "Type: R2 Bucket: my-bucket Format: newline-delimited JSON Compression: GZIP"]
    for part in shown:
        assert part in words(text), text
    query = {"accountId": played.server.account, "bucketName": "my-bucket", "pipelineName": "my-clickstream-pipeline"}
    page = f"https://{OAUTH}/oauth/login?{urlencode(query)}\n"
    assert wrangler.visited.read_text() == page

    committed = (200, {"success": True, "result": {"committed": 1}})
    status, body = played.shell(f"""curl "https://{id}.pipelines.cloudflare.com/" -d '[{{ "page": "/home" }}]'""")
    assert (status, json.loads(body)) == committed
    status, body = played.shell(printed_curl(text))
    assert (status, json.loads(body)) == committed
    wrangler.text("pipelines", "update", "my-clickstream-pipeline", "--batch-max-seconds", "1")
    records = [record for object in legacy.wait_records(played.server, "my-bucket", 2) for record in object.records]
    assert {"page": "/home"} in records and len(records) == 2
    # An update that names the bucket asks for another key.
    wrangler.text("pipelines", "update", "my-clickstream-pipeline", "--r2-bucket", "my-bucket", "--compression", "none")
    assert wrangler.visited.read_text() == page * 2
    assert legacy.get(played.server, "my-clickstream-pipeline")["destination"]["compression"] == {"type": "none"}


def test_the_documented_authentication_and_cors_settings_work_word_for_word(played):
    wrangler = played.wrangler(LEGACY_4)
    text = wrangler.text("pipelines", "create", "my-pipeline", "--r2-bucket", "my-bucket", "--require-http-auth", "true")
    id = created(text, "my-pipeline")
    assert "Authentication: on" in words(text)
    documented = (
        f'curl https://{id}.pipelines.cloudflare.com -H "Content-Type: application/json" \\\n'
        ' -H "Authorization: Bearer ${API_TOKEN}" \\\n'
        """ -d '[{"foo":"bar"}, {"foo":"bar"}, {"foo":"bar"}]'"""
    )
    status, body = played.shell(documented, API_TOKEN=played.server.token)
    assert (status, json.loads(body)) == (200, {"success": True, "result": {"committed": 3}})
    assert played.shell(documented, API_TOKEN="wrong")[0] == 401

    host = f"{id}.pipelines.cloudflare.com"

    def allowed(origin: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return played.request(host, "OPTIONS", "/", headers=headers)[0].getheader("Access-Control-Allow-Origin")

    assert allowed("https://mydomain.com") is None
    wrangler.text("pipelines", "update", "my-pipeline", "--cors-origins", "https://mydomain.com", "http://localhost:8787")
    assert [allowed(o) for o in ("https://mydomain.com", "http://localhost:8787", "https://evil.example")] == [
        "https://mydomain.com", "http://localhost:8787", None,
    ]
    wrangler.text("pipelines", "update", "my-pipeline", "--cors-origins", "*")
    assert allowed("https://evil.example") == "*"


def test_the_newest_wrangler_creates_a_sink_without_keys(played):
    text = played.wrangler(NEWEST).text("pipelines", "sinks", "create", "files", "--type", "r2", "--bucket", "my-bucket")
    assert re.search(r"Successfully created sink 'files' with id '[0-9a-f]{32}'", text), text
    (sink,) = played.server.call("GET", "pipelines/v1/sinks")["result"]
    assert (sink["name"], sink["config"]["bucket"]) == ("files", "my-bucket") and "credentials" not in sink["config"]


def test_a_key_opens_its_bucket_alone_and_outlives_a_restart(played):
    played.server.call("POST", "r2/buckets", {"name": "another-bucket"})
    key = played.key("my-bucket")
    for _ in range(2):
        assert played.signed(key, "HEAD", f"my-bucket.{played.r2}") == (200, "")
        assert played.signed(key, "HEAD", f"another-bucket.{played.r2}")[0] == 403
        assert played.signed(key, "HEAD", f"no-such-bucket.{played.r2}")[0] in (403, 404)
        assert played.server.stop() == 0
        played.server.start()
    wrong = (key[0], key[1][:-1] + ("0" if key[1][-1] != "0" else "1"))
    for refused, code in [
        (played.signed(wrong, "GET", f"my-bucket.{played.r2}", "list-type=2"), "SignatureDoesNotMatch"),
        (played.signed(("nobody", key[1]), "GET", f"my-bucket.{played.r2}", "list-type=2"), "InvalidAccessKeyId"),
        (played.signed(key, "GET", f"my-bucket.{played.r2}", "list-type=2", skew_seconds=-1000), "RequestTimeTooSkewed"),
    ]:
        assert refused[0] == 403 and f"<Code>{code}</Code>" in refused[1], refused


def test_listing_shows_the_objects_of_the_bucket(played):
    for name in ("b/2.json", "a&1.json"):
        path = played.server.bucket("my-bucket") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
    key = played.key("my-bucket")
    status, body = played.signed(key, "GET", f"my-bucket.{played.r2}", "list-type=2")
    assert status == 200 and re.findall("<Key>(.*?)</Key><LastModified>.*?<Size>(\\d+)</Size>", body) == [("a&amp;1.json", "3"), ("b/2.json", "3")]
    status, body = played.signed(key, "GET", f"my-bucket.{played.r2}", "delimiter=%2F&list-type=2&max-keys=1")
    assert status == 200 and "<IsTruncated>true</IsTruncated>" in body and "<Key>a&amp;1.json</Key>" in body


def test_no_key_without_a_click_on_the_servers_own_page(played):
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": f"https://{OAUTH}", "Sec-Fetch-Site": "cross-site"}):
        assert played.allow("my-bucket", headers).status == 403
    query = {"accountId": "f" * 32, "bucketName": "my-bucket", "pipelineName": "p"}
    assert played.request(OAUTH, "GET", f"/oauth/login?{urlencode(query)}")[0].status == 400
    query = {"accountId": played.server.account, "bucketName": "no-such-bucket", "pipelineName": "p"}
    answer, html = played.request(OAUTH, "GET", f"/oauth/login?{urlencode(query)}")
    assert answer.status == 404 and "wrangler r2 bucket create no-such-bucket" in html


def test_secrets_stand_in_no_log_and_in_no_file(played):
    _, secret = played.key("my-bucket")
    played.server.stop()
    assert secret not in played.server.output.read_text()
    holding = [p for p in played.server.data_dir.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]
    assert holding == []


def test_the_lines_hold_every_name_and_the_certificates_stay(played):
    stream = played.server.create_stream("events")
    pipeline = legacy.create(played.server, "older", "my-bucket")
    names = played.names()
    assert set(names.values()) == {played.address}
    expected = {
        OAUTH, played.r2, f"my-bucket.{played.r2}", f"{stream['id']}.ingest.cloudflare.com", f"{pipeline['id']}.pipelines.cloudflare.com",
    }
    assert expected <= set(names) and "api.cloudflare.com" not in names
    assert f"export NODE_EXTRA_CA_CERTS='{played.authority}'" in played.lines()
    answer, _ = played.request(f"{stream['id']}.ingest.cloudflare.com", "POST", "/", "[{}]")
    assert answer.status == 200
    before = {p.name: p.read_bytes() for p in played.authority.parent.iterdir()}
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in played.authority.parent.iterdir()}
    assert modes["ca.pem"] == 0o644 and modes["ca.key"] == modes["tls.key"] == 0o600
    assert played.server.stop() == 0
    played.server.start()
    assert {p.name: p.read_bytes() for p in played.authority.parent.iterdir()} == before


def test_stopping_does_not_wait_for_idle_connections(played):
    trust = ssl.create_default_context(cafile=played.authority)
    with trust.wrap_socket(socket.create_connection((played.address, 443), 30), server_hostname=OAUTH):
        assert played.server.stop() == 0
    wait_until("nobody listens", 5, lambda: socket.socket().connect_ex((played.address, 443)) != 0)
