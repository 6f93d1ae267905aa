"""The S3 store under torture: SeaweedFS that can be killed and started again, and what it holds unfinished."""

import hashlib
import hmac
import http.client
import os
import re
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from pyarrow import fs

from processes import Process, wait_until
from seaweed import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Seaweed

REGION = "us-east-1"


class Store(Seaweed):
    """A SeaweedFS whose data outlives it."""

    def __init__(self, folder: Path):
        self.folder = folder
        super().__init__(folder)

    def kill(self):
        self.process.kill()

    def start(self):
        """Again, on the same ports and data; returns when it reads and writes."""
        environment = {"HOME": str(self.folder), "PATH": os.environ["PATH"]}
        self.process = Process(self.process.command, self.process.output, environment)
        wait_until("SeaweedFS is back", 60, self.answers, every=0.2)

    def answers(self) -> bool:
        assert self.process.running(), f"SeaweedFS ended:\n{self.process.tail()}"
        try:
            with self.files.open_output_stream("first/probe") as out:
                out.write(b"probe")
            return self.files.get_file_info("first/probe").type == fs.FileType.File
        except OSError:
            return False

    def unfinished_uploads(self, bucket: str) -> list[tuple[str, str]]:
        """Key and id of every multipart upload that was begun, and neither completed nor aborted."""
        status, text = self.signed_get(f"/{bucket}", "uploads=")
        assert status == 200, f"listing uploads: {status} {text[:300]!r}"
        assert "<IsTruncated>true" not in text, "more unfinished uploads than one page"
        return [
            (re.search("<Key>([^<]*)</Key>", upload)[1], re.search("<UploadId>([^<]*)</UploadId>", upload)[1])
            for upload in re.findall(r"<Upload>.*?</Upload>", text, re.DOTALL)
        ]

    def signed_get(self, path: str, query: str) -> tuple[int, str]:
        """A GET with AWS signature version 4, past the proxy."""
        now = datetime.now(timezone.utc)
        date, moment = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
        host, empty = f"127.0.0.1:{self.port}", hashlib.sha256(b"").hexdigest()
        signed = "host;x-amz-content-sha256;x-amz-date"
        canonical = (
            f"GET\n{quote(path)}\n{query}\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{moment}\n\n{signed}\n{empty}"
        )
        scope = f"{date}/{REGION}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{SECRET_ACCESS_KEY}".encode()
        for part in (date, REGION, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"{path}?{query}", headers={
                "x-amz-content-sha256": empty, "x-amz-date": moment,
                "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/{scope}, SignedHeaders={signed}, Signature={signature}",
            })
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
