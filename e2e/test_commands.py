"""The commands and the configuration, as an operator meets them."""

import os
import stat
import subprocess

import pytest

from lakehead import BINARY


def run(*arguments, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BINARY, *arguments], capture_output=True, text=True, timeout=30, check=False, env={**os.environ, **(environment or {})},
    )


@pytest.mark.parametrize(("text", "named"), [
    ("lissten = \"127.0.0.1:0\"\n", "lissten"),
    ("[log]\nquota = 5\n", "quota"),
    ("[log]\nquota_bytes = \"much\"\n", "quota_bytes"),
    ("[buckets.lake]\nendpont = \"http://x\"\n", "endpont"),
    ("data_dir = [\n", "line 1"),
])
def test_a_configuration_with_a_mistake_is_refused_by_name(folder, text, named):
    file = folder / "lakehead.toml"
    file.write_text(text)
    done = run("serve", "--config", file, "--data-dir", folder / "data", "--listen", "127.0.0.1:0")
    assert done.returncode == 78 and named in done.stderr, done.stderr
    assert not (folder / "data").exists()


def test_an_unknown_variable_is_refused_by_name(folder):
    done = run("serve", "--data-dir", folder / "data", environment={"LAKEHEAD_LISSTEN": "127.0.0.1:0"})
    assert done.returncode == 78 and "LAKEHEAD_LISSTEN" in done.stderr, done.stderr


def test_env_before_the_first_start_says_what_to_do(folder):
    done = run("env", "--data-dir", folder / "data")
    assert done.returncode != 0 and done.stdout == "" and "lakehead serve" in done.stderr


def test_the_effective_configuration_is_logged_without_secrets(make_server):
    secret = "a-secret-nobody-may-see"
    server = make_server(
        "[buckets.lake]\nendpoint = \"http://127.0.0.1:1\"\nregion = \"x\"\naccess_key_id = \"an-id\"\n"
        f"secret_access_key = \"{secret}\"\n[log]\nretention_seconds = 4711\n"
    ).start()
    text = server.output.read_text()
    assert "4711" in text and "an-id" in text
    assert secret not in text and server.token not in text


def test_health_readiness_metrics_and_the_exports_for_clients(server):
    for path in ("/healthz", "/readyz"):
        assert server.http.get(f"{server.url}{path}").status_code == 200
    variables = server.environment()
    assert variables["CLOUDFLARE_API_BASE_URL"] == f"{server.url}/client/v4" == variables["CLOUDFLARE_BASE_URL"]
    assert len(variables["CLOUDFLARE_ACCOUNT_ID"]) == 32 and len(variables["CLOUDFLARE_API_TOKEN"]) >= 40
    for file in server.data_dir.iterdir():
        if "token" in file.name or "key" in file.name:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    names = {sample.name for sample in server.metrics().samples}
    assert {"build_info", "log_size_bytes", "log_quota_bytes", "log_fsync_duration_seconds_count"} <= names


def test_account_and_token_stay_over_restarts(server):
    before = server.environment()
    assert server.stop() == 0
    server.start()
    server._account = None
    assert server.environment() == before
