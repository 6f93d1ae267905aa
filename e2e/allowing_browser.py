"""Stands for the browser wrangler opens: loads the page, presses its one button, goes where that leads, and no farther.

Run as a program with the page's address and a file to note it in. Trusts the authority in NODE_EXTRA_CA_CERTS alone.
"""

import http.client
import os
import re
import ssl
import sys
from urllib.parse import urlencode, urljoin, urlsplit

# Where wrangler waits for the key.
WRANGLER = "http://localhost:8976/"


def request(method: str, address: str, body: str | None = None, headers: dict[str, str] | None = None):
    parts = urlsplit(address)
    if parts.scheme == "https":
        trust = ssl.create_default_context(cafile=os.environ["NODE_EXTRA_CA_CERTS"])
        connection = http.client.HTTPSConnection(parts.netloc, timeout=30, context=trust)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers or {})
    answer = connection.getresponse()
    return answer, answer.read().decode()


def main(page: str, notes: str):
    answer, html = request("GET", page)
    assert answer.status == 200, f"{answer.status}: {html}"
    form = re.search(r'<form method="post" action="([^"]+)">(.*?)</form>', html, re.DOTALL)
    assert form, html
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[2])
    parts = urlsplit(page)
    answer, html = request("POST", urljoin(page, form[1]), urlencode(fields), {
        "Content-Type": "application/x-www-form-urlencoded", "Origin": f"{parts.scheme}://{parts.netloc}", "Sec-Fetch-Site": "same-origin",
    })
    target = answer.getheader("Location", "")
    assert answer.status == 303 and target.startswith(WRANGLER), f"{answer.status} {html}"
    with open(notes, "a", encoding="utf-8") as file:
        file.write(f"{page}\n")
    request("GET", target)


if __name__ == "__main__":
    main(*sys.argv[1:])
