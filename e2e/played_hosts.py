"""A server that plays the hosts wrangler contacts by fixed names, and who meets it under these names."""

import datetime
import hashlib
import hmac
import http.client
import os
import re
import socket
import ssl
import subprocess
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from fixed_hosts import put_behind
from lakehead import BINARY
from wrangler import Wrangler

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
