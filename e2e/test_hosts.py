"""The hosts wrangler contacts by fixed names, played by the server: the documented commands word for word.

Nothing but a hosts file and the authority wrangler trusts differ from the real service. They need port 443 of a loopback address.
"""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import ssl
import stat
import subprocess
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

import legacy
from fixed_hosts import put_behind
from lakehead import BINARY
from processes import wait_until
from wrangler import LEGACY_3, LEGACY_4, NEWEST, Wrangler, printed_curl

OAUTH = "oauth.pipelines.cloudflare.com"
NOTHING = hashlib.sha256(b"").hexdigest()


def free_address() -> str:
    """A loopback address whose port 443 nobody has."""
    for last in range(1, 255):
        address = f"127.43.{os.getpid() % 250}.{last}"
        with socket.socket() as probe:
            try:
                probe.bind((address, 443))
                return address
            except PermissionError:
                pytest.fail("port 443 needs root, or net.ipv4.ip_unprivileged_port_start=443")
            except OSError:
                continue
    raise RuntimeError("no free port 443 on the loopback")


class Played:
    """A server that plays the hosts, and who meets it under their names."""

    def __init__(self, server, address: str, clients, folder):
        self.server = server
        self.address = address
        self.authority = server.data_dir / "hosts/ca.pem"
        self.clients = clients
        self.folder = folder
        self.wranglers: list[Wrangler] = []

    @property
    def r2(self) -> str:
        return f"{self.server.account}.r2.cloudflarestorage.com"

    def lines(self) -> str:
        """What an operator would append to the hosts file."""
        done = subprocess.run(
            [BINARY, "wrangler-hosts", "--config", self.server.configuration, "--data-dir", self.server.data_dir],
            capture_output=True, text=True, timeout=30, check=False,
        )
        assert done.returncode == 0, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def names(self) -> dict[str, str]:
        """Name -> address, of the lines that are no comments."""
        return {name: address for address, name in (line.split() for line in self.lines().splitlines() if line and line[0] != "#")}

    def wrangler(self, version: str) -> Wrangler:
        wrangler = Wrangler(self.clients, self.folder / f"wrangler-{version}", self.server.environment(), version)
        wrangler.visited = put_behind(wrangler, self.lines(), self.authority)
        self.wranglers.append(wrangler)
        return wrangler

    def shell(self, command: str, **variables: str) -> tuple[int, str]:
        """Runs a curl command as it stands in the documentation; status and body. New names are entered before."""
        (wrangler, *_) = self.wranglers
        (wrangler.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.lines()}")
        # All of the program but Node and wrangler: what enters the namespace.
        enter = wrangler.program[:-2]
        loud = command.replace("curl ", "curl --silent --show-error --write-out '\\n%{http_code}' ", 1)
        done = subprocess.run(
            [*enter, "bash", "-c", loud], capture_output=True, text=True, timeout=30, check=False,
            env={"PATH": os.environ["PATH"], "CURL_CA_BUNDLE": str(self.authority), **variables},
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        body, status = done.stdout.rsplit("\n", 1)
        return int(status), body

    def request(self, host: str, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None):
        """A request of a client that trusts the authority alone; the answer and its body."""
        trust = ssl.create_default_context(cafile=self.authority)
        connection = http.client.HTTPSConnection(host, timeout=30)
        connection.sock = trust.wrap_socket(socket.create_connection((self.address, 443), 30), server_hostname=host)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer, answer.read().decode()

    def allow(self, bucket: str, headers: dict[str, str] | None = None):
        """Opens the page for a key and presses its button; the answer."""
        query = urlencode({"accountId": self.server.account, "bucketName": bucket, "pipelineName": "a-pipeline"})
        answer, html = self.request(OAUTH, "GET", f"/oauth/login?{query}")
        assert answer.status == 200, html
        number = re.search(r'name="page" value="([^"]+)"', html)[1]
        own = {"Origin": f"https://{OAUTH}", "Sec-Fetch-Site": "same-origin"}
        return self.request(OAUTH, "POST", "/oauth/login", urlencode({"page": number}), own if headers is None else headers)[0]

    def key(self, bucket: str) -> tuple[str, str]:
        answer = self.allow(bucket)
        target = urlsplit(answer.getheader("Location", ""))
        assert (answer.status, target.netloc) == (303, "localhost:8976")
        query = parse_qs(target.query, strict_parsing=True)
        return query["access-key-id"][0], query["secret-access-key"][0]

    def signed(self, key: tuple[str, str], method: str, host: str, query: str = "", skew_seconds: int = 0) -> tuple[int, str]:
        """A signed request for the root of a host; status and body."""
        at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=skew_seconds)
        time, date = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
        names, scope = "host;x-amz-content-sha256;x-amz-date", f"{date}/auto/s3/aws4_request"
        canonical = f"{method}\n/\n{query}\nhost:{host}\nx-amz-content-sha256:{NOTHING}\nx-amz-date:{time}\n\n{names}\n{NOTHING}"
        text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signing = f"AWS4{key[1]}".encode()
        for part in (date, "auto", "s3", "aws4_request"):
            signing = hmac.digest(signing, part.encode(), "sha256")
        signature = hmac.digest(signing, text.encode(), "sha256").hex()
        answer, body = self.request(host, method, f"/?{query}" if query else "/", headers={
            "x-amz-content-sha256": NOTHING, "x-amz-date": time,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={key[0]}/{scope}, SignedHeaders={names}, Signature={signature}",
        })
        return answer.status, body


@pytest.fixture
def played(make_server, clients, folder) -> Played:
    address = free_address()
    server = make_server(f"[hosts]\nlisten = \"{address}:443\"\n").start()
    server.call("POST", "r2/buckets", {"name": "my-bucket"})
    return Played(server, address, clients, folder)


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
    assert wrangler.visited.read_text() == f"https://{OAUTH}/oauth/login?{urlencode(query)}\n"

    committed = (200, {"success": True, "result": {"committed": 1}})
    status, body = played.shell(f"""curl "https://{id}.pipelines.cloudflare.com/" -d '[{{ "page": "/home" }}]'""")
    assert (status, json.loads(body)) == committed
    status, body = played.shell(printed_curl(text))
    assert (status, json.loads(body)) == committed
    wrangler.text("pipelines", "update", "my-clickstream-pipeline", "--batch-max-seconds", "1")
    records = [record for object in legacy.wait_records(played.server, "my-bucket", 2) for record in object.records]
    assert {"page": "/home"} in records and len(records) == 2


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
