"""A real S3 store with an Iceberg catalog over it (SeaweedFS), on loopback ports of its own."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import httpx
from pyarrow import fs

from processes import Process, free_port, wait_until

ACCESS_KEY_ID = "LAKEHEADTESTKEY"
SECRET_ACCESS_KEY = "a-secret-of-the-tests-0123456789"


class Seaweed:
    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data").mkdir(exist_ok=True)
        identities = folder / "s3.json"
        identities.write_text(json.dumps({"identities": [{
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]}))
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        catalog_port, self.master_port = free_port(), free_port()
        # Takes the store's keys as client id and secret at `/v1/oauth/tokens`.
        self.catalog_uri = f"http://127.0.0.1:{catalog_port}"
        self.weed = Path(sys.executable).parent / "weed"
        data = folder / "data"
        command = [
            self.weed, "-logtostderr=true", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-master.port={self.master_port}", "-master.telemetry=false", "-master.volumeSizeLimitMB=256",
            "-volume.max=1000", f"-volume.port={free_port()}", "-filer=true", f"-filer.port={free_port()}",
            "-s3=true", f"-s3.port={self.port}", "-s3.ip.bind=127.0.0.1", f"-s3.config={identities}",
            f"-s3.port.iceberg={catalog_port}", "-s3.port.lance=0", "-s3.iam=false",
            f"-s3.localSocket={data}/s3.sock", f"-filer.localSocket={data}/filer.sock",
        ]
        self._spawn = lambda: Process(command, folder / "seaweed.log", {"HOME": str(folder), "PATH": os.environ["PATH"]})
        self.files = fs.S3FileSystem(
            access_key=ACCESS_KEY_ID, secret_key=SECRET_ACCESS_KEY, endpoint_override=self.endpoint,
            scheme="http", region="us-east-1", allow_bucket_creation=True, allow_bucket_deletion=True,
        )

        self.start()

    def start(self):
        """Also after `process.kill()`: on the same ports, with what it had stored."""
        self.process = self._spawn()

        def answers():
            if not self.process.running():
                raise AssertionError(f"SeaweedFS ended:\n{self.process.tail()}")
            try:
                self.create_bucket("first")
                with self.files.open_output_stream("first/probe") as out:
                    out.write(b"probe")
                return True
            except OSError:
                return False

        wait_until("SeaweedFS takes objects", 60, answers, every=0.3)

    def create_bucket(self, name: str):
        """Creates it and writes once: the first write into a new bucket may take seconds."""
        self.files.create_dir(name)
        with self.files.open_output_stream(f"{name}/.warm") as out:
            out.write(b"x")
        self.files.delete_file(f"{name}/.warm")

    def create_warehouse(self, name: str):
        """A bucket for tables: warehouse `s3://name` of the catalog. In it, objects are where the catalog's tables are."""
        order = f"s3tables.bucket -create -name {name} -account admin\n"
        done = subprocess.run([self.weed, "shell", f"-master=127.0.0.1:{self.master_port}"], input=order, text=True,
                              capture_output=True, timeout=60, check=False)
        assert done.returncode == 0 and "error" not in done.stdout.lower(), f"{done.stdout}\n{done.stderr}"

    def delete_bucket(self, name: str):
        self.files.delete_dir(name)

    def uploads(self, bucket: str) -> list[str]:
        """The keys of multipart uploads that nobody has completed or aborted."""
        found = ElementTree.fromstring(self.signed_get(f"/{bucket}", "uploads="))
        return [e.text for e in found.iter() if e.tag.rpartition("}")[2] == "Key"]

    def signed_get(self, path: str, query: str) -> bytes:
        """What PyArrow has no call for, signed with AWS' signature version 4."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/us-east-1/s3/aws4_request"
        empty = hashlib.sha256(b"").hexdigest()
        headers = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": empty, "x-amz-date": moment}
        names = ";".join(headers)
        request = "\n".join(["GET", path, query, *(f"{k}:{v}" for k, v in headers.items()), "", names, empty])
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
        key = f"AWS4{SECRET_ACCESS_KEY}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/{scope}, SignedHeaders={names}, Signature={signature}"
        answer = httpx.get(f"{self.endpoint}{path}?{query}", headers={**headers, "Authorization": credential}, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.content

    def configuration(self, bucket: str) -> str:
        """The section of the server's configuration file that maps `bucket` here."""
        return (
            f"[buckets.{bucket}]\nendpoint = \"{self.endpoint}\"\nregion = \"us-east-1\"\nbucket = \"{bucket}\"\n"
            f"access_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n"
        )

    def keys(self, bucket: str) -> list[str]:
        found = self.files.get_file_info(fs.FileSelector(bucket, recursive=True))
        return sorted(f.path.removeprefix(f"{bucket}/") for f in found if f.type == fs.FileType.File)

    def download(self, bucket: str, into: Path) -> list[Path]:
        """Copies every object of the bucket, but for the server's probe, which comes and goes; the copies' paths."""
        copies = []
        for key in self.keys(bucket):
            if key == ".lakehead-probe":
                continue
            copy = into / key
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                # As it is: by default `.gz` would be inflated on the way.
                with self.files.open_input_stream(f"{bucket}/{key}", compression=None) as source:
                    copy.write_bytes(source.read())
            copies.append(copy)
        return copies
