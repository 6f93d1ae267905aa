"""Cloudflare's documented sample of creating a sink, run as it is printed."""

import os
import subprocess
import sys

# The account id stands in the sample, so the server is given it before its first start.
ACCOUNT = "0123105f4ecef8ad9ca31a8372d0c353"
SAMPLE = """\
import os
from cloudflare import Cloudflare

client = Cloudflare(
    api_token=os.environ.get("CLOUDFLARE_API_TOKEN"),  # This is the default and can be omitted
)
sink = client.pipelines.sinks.create(
    account_id="0123105f4ecef8ad9ca31a8372d0c353",
    name="my_sink",
    type="r2",
)
print(sink.id)
"""


def test_the_sample_of_the_python_sdk_works_word_for_word(make_server):
    server = make_server()
    server.data_dir.mkdir(parents=True)
    (server.data_dir / "account_id").write_text(ACCOUNT)
    server.start()
    assert server.account == ACCOUNT
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE], env={**os.environ, **server.environment()},
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    (sink,) = server.call("GET", "pipelines/v1/sinks")["result"]
    assert done.stdout.strip() == sink["id"]
    assert (sink["name"], sink["type"], sink["config"]["bucket"]) == ("my_sink", "r2", "my-sink")
