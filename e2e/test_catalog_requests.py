"""The embedded catalog's protocol by plain HTTP: who may do what, requirements, several tables at once, pages, repeats."""

import base64
import json
import re
import uuid
from urllib.parse import urlencode

import httpx
import pytest
from pyiceberg.exceptions import ForbiddenError, UnauthorizedError

from catalogs import Lake, enable
from lakehead import ApiError
from test_tokens import create, succeeded, tokens

SCHEMA = {"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "required": False, "type": "long"}]}


@pytest.fixture(scope="module")
def lake(lasting_server) -> Lake:
    return enable(lasting_server, "lake")


@pytest.fixture
def namespace(request, lake) -> str:
    """A namespace of the test's own."""
    name = re.sub(r"\W", "_", request.node.name.removeprefix("test_"))[:60]
    answer = lake.http("POST", "~/namespaces", {"namespace": [name]})
    assert answer.status_code == 200, answer.text
    return name


def refused(answer: httpx.Response, status: int, type: str):
    """An answer in the form of the protocol's errors."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == (status, type) and error["message"], error


def made(lake: Lake, namespace: str, name: str, **more) -> dict:
    answer = lake.http("POST", f"~/namespaces/{namespace}/tables", {"name": name, "schema": SCHEMA, **more})
    assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
    return answer.json()


def commit(lake: Lake, namespace: str, name: str, updates: list, requirements: list = (), **more) -> httpx.Response:
    return lake.http("POST", f"~/namespaces/{namespace}/tables/{name}", {"requirements": list(requirements), "updates": updates}, **more)


def set_properties(**properties: str) -> dict:
    return {"action": "set-properties", "updates": properties}


# Else the metadata files of a table that is written to every second would pile up.
GIVEN = {"write.metadata.delete-after-commit.enabled": "true", "write.metadata.previous-versions-max": "30"}


def properties(lake: Lake, namespace: str, name: str) -> dict:
    """Those of the table but for the ones that every new table is given."""
    found = lake.http("GET", f"~/namespaces/{namespace}/tables/{name}").json()["metadata"]["properties"]
    assert GIVEN.items() <= found.items(), found
    return {name: value for name, value in found.items() if name not in GIVEN}


def test_the_configuration_names_the_prefix_and_what_can_be_asked(lake, lasting_server):
    for warehouse in (lake.warehouse, "lake"):
        answer = lake.http("GET", "config", warehouse=warehouse)
        assert answer.status_code == 200, answer.text
        assert answer.json()["overrides"]["prefix"] == "lake"
        endpoints = answer.json()["endpoints"]
        assert "POST /v1/{prefix}/transactions/commit" in endpoints and "GET /v1/{prefix}/namespaces" in endpoints
        # Every one that is promised is there.
        for endpoint in endpoints:
            method, path = endpoint.split(" ")
            filled = path.removeprefix("/v1/").replace("{prefix}", "lake").replace("{namespace}", "nobody").replace("{table}", "nothing")
            assert "{" not in filled, endpoint
            found = lake.http(method, filled, None if method in ("GET", "HEAD", "DELETE") else {})
            # A report is thrown away unread.
            fine = 204 if path.endswith("/metrics") else 200 if method == "GET" else 400
            assert found.status_code in (400, 404, fine), (endpoint, found.status_code, found.text)
            assert found.status_code != 404 or method == "HEAD" or found.json()["error"]["type"].startswith("NoSuch"), (endpoint, found.text)
    for wrong in ({"warehouse": "nobody"}, {"warehouse": f"{lasting_server.account}_nobody"}, {"warehouse": f"{'0' * 32}_lake"}, {}):
        answer = lake.http("GET", "config", **wrong)
        assert answer.status_code in (400, 404) and answer.json()["error"]["message"], (wrong, answer.text)


def test_the_catalog_has_an_address_in_cloudflares_form_as_well(lake, lasting_server, namespace):
    made(lake, namespace, "t")
    own = Lake(f"{lasting_server.url}/catalog/{lasting_server.account}/lake", lake.warehouse, lake.token)
    assert own.pyiceberg().list_tables(namespace) == [(namespace, "t")]
    assert own.duckdb().execute(f"SELECT count(*) FROM lake.{namespace}.t").fetchone() == (0,)


def test_answers_hold_what_the_protocol_requires(lake, namespace):
    table = made(lake, namespace, "t", properties={"a": "b"})
    metadata = table["metadata"]
    assert table["metadata-location"].startswith("file:///") and metadata["location"].startswith("file:///")
    assert table["metadata-location"].startswith(metadata["location"] + "/metadata/")
    assert metadata["format-version"] == 2 and uuid.UUID(metadata["table-uuid"]) and metadata["properties"] == {"a": "b", **GIVEN}
    assert metadata["last-column-id"] == 1 and metadata["current-schema-id"] == metadata["schemas"][0]["schema-id"]
    loaded = lake.http("GET", f"~/namespaces/{namespace}/tables/t").json()
    assert (loaded["metadata"], loaded["metadata-location"]) == (metadata, table["metadata-location"])
    answer = commit(lake, namespace, "t", [set_properties(a="c")])
    assert answer.status_code == 200 and answer.json()["metadata"]["properties"] == {"a": "c", **GIVEN}
    assert answer.json()["metadata-location"] != table["metadata-location"]
    assert [entry["metadata-file"] for entry in answer.json()["metadata"]["metadata-log"]] == [table["metadata-location"]]
    # Who has it need not have it again.
    loaded = lake.http("GET", f"~/namespaces/{namespace}/tables/t")
    same = lake.http("GET", f"~/namespaces/{namespace}/tables/t", headers={"If-None-Match": loaded.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert commit(lake, namespace, "t", [set_properties(a="d")]).status_code == 200
    changed = lake.http("GET", f"~/namespaces/{namespace}/tables/t", headers={"If-None-Match": loaded.headers["ETag"]})
    assert changed.status_code == 200 and changed.json()["metadata"]["properties"] == {"a": "d", **GIVEN}
    for path, status in ((f"~/namespaces/{namespace}/tables/t", 204), (f"~/namespaces/{namespace}", 204),
                         (f"~/namespaces/{namespace}/tables/x", 404), ("~/namespaces/nobody", 404)):
        answer = lake.http("HEAD", path)
        assert (answer.status_code, answer.content) == (status, b""), path
    report = {"report-type": "commit-report", "table-name": "t", "snapshot-id": 1, "sequence-number": 1, "operation": "append", "metrics": {}}
    assert lake.http("POST", f"~/namespaces/{namespace}/tables/t/metrics", report).status_code == 204


def test_requirements_are_checked_each_and_a_failed_one_changes_nothing(lake, namespace):
    made(lake, namespace, "t")
    metadata = lake.http("GET", f"~/namespaces/{namespace}/tables/t").json()["metadata"]
    holding = [
        {"type": "assert-table-uuid", "uuid": metadata["table-uuid"]}, {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": None},
        {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 1},
        {"type": "assert-current-schema-id", "current-schema-id": 0},
        {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": metadata["last-partition-id"]},
        {"type": "assert-default-spec-id", "default-spec-id": 0}, {"type": "assert-default-sort-order-id", "default-sort-order-id": 0},
    ]
    failing = [
        {"type": "assert-create"}, {"type": "assert-table-uuid", "uuid": str(uuid.uuid4())},
        {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 5}, {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 2},
        {"type": "assert-current-schema-id", "current-schema-id": 7}, {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 5},
        {"type": "assert-default-spec-id", "default-spec-id": 3}, {"type": "assert-default-sort-order-id", "default-sort-order-id": 4},
    ]
    for requirement in failing:
        refused(commit(lake, namespace, "t", [set_properties(failed="yes")], [*holding, requirement]), 409, "CommitFailedException")
    assert commit(lake, namespace, "t", [set_properties(held="yes")], holding).status_code == 200
    assert properties(lake, namespace, "t") == {"held": "yes"}


def test_what_cannot_be_done_is_refused_in_the_protocols_words(lake, namespace):
    made(lake, namespace, "t")
    tables = f"~/namespaces/{namespace}/tables"
    refused(lake.http("GET", f"{tables}/x"), 404, "NoSuchTableException")
    refused(commit(lake, namespace, "x", [set_properties(a="b")]), 404, "NoSuchTableException")
    refused(lake.http("DELETE", f"{tables}/x"), 404, "NoSuchTableException")
    refused(lake.http("GET", "~/namespaces/nobody/tables"), 404, "NoSuchNamespaceException")
    refused(lake.http("POST", tables, {"name": "t", "schema": SCHEMA}), 409, "AlreadyExistsException")
    refused(lake.http("POST", "~/namespaces", {"namespace": [namespace]}), 409, "AlreadyExistsException")
    assert lake.http("DELETE", f"~/namespaces/{namespace}").status_code == 409
    for body in ({}, {"name": "y"}, {"name": 5, "schema": SCHEMA}, {"name": "", "schema": SCHEMA}, {"name": "y", "schema": {"type": "list"}}, []):
        refused(lake.http("POST", tables, body), 400, "BadRequestException")
    for updates in ([{"action": "no-such-action"}], [{"action": "set-current-schema", "schema-id": 99}], "nothing",
                    [{"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 4711}],
                    [{"action": "set-location", "location": "file:///etc"}], [{"action": "assign-uuid", "uuid": str(uuid.uuid4())}]):
        answer = commit(lake, namespace, "t", updates)
        assert answer.status_code in (400, 422) and answer.json()["error"]["message"], (updates, answer.text)
    outside = lake.http("POST", tables, {"name": "outside", "schema": SCHEMA, "location": "file:///tmp/elsewhere"})
    assert outside.status_code == 400, outside.text
    content = httpx.post(f"{lake.uri}/v1/{lake.prefix()}/namespaces/{namespace}/tables", content=b"{", trust_env=False,
                         headers={"Authorization": f"Bearer {lake.token}", "Content-Type": "application/json"})
    refused(content, 400, "BadRequestException")
    assert properties(lake, namespace, "t") == {}


def test_several_tables_are_committed_together_or_not_at_all(lake, namespace):
    ids = {name: made(lake, namespace, name)["metadata"]["table-uuid"] for name in ("a", "b", "c")}

    def change(name: str, value: str, uuid_: str | None = None) -> dict:
        return {"identifier": {"namespace": [namespace], "name": name}, "updates": [set_properties(value=value)],
                "requirements": [{"type": "assert-table-uuid", "uuid": uuid_ or ids[name]}]}

    answer = lake.http("POST", "~/transactions/commit", {"table-changes": [change(name, "one") for name in ids]})
    assert (answer.status_code, answer.content) == (204, b""), answer.text
    assert [properties(lake, namespace, name) for name in ids] == [{"value": "one"}] * 3
    broken = [change("a", "two"), change("b", "two"), change("c", "two", str(uuid.uuid4()))]
    refused(lake.http("POST", "~/transactions/commit", {"table-changes": broken}), 409, "CommitFailedException")
    gone = [change("a", "two"), {**change("b", "two"), "identifier": {"namespace": [namespace], "name": "nobody"}}]
    refused(lake.http("POST", "~/transactions/commit", {"table-changes": gone}), 404, "NoSuchTableException")
    assert [properties(lake, namespace, name) for name in ids] == [{"value": "one"}] * 3


def test_lists_come_in_pages(lake, namespace):
    names = [f"t{n}" for n in range(7)]
    for name in names:
        made(lake, namespace, name)
        assert lake.http("POST", "~/namespaces", {"namespace": [namespace, name]}).status_code == 200
    for path, more, field in ((f"~/namespaces/{namespace}/tables", {}, "identifiers"), ("~/namespaces", {"parent": namespace}, "namespaces")):
        pages, token = [], ""
        while token is not None:
            answer = lake.http("GET", path, pageSize=3, pageToken=token, **more)
            assert answer.status_code == 200, answer.text
            pages.append([entry["name"] if field == "identifiers" else entry[-1] for entry in answer.json()[field]])
            token = answer.json().get("next-page-token")
        assert [len(page) for page in pages] == [3, 3, 1] and sorted(sum(pages, [])) == names, pages
        assert len(lake.http("GET", path, **more).json()[field]) == 7
        for wrong in ({"pageSize": "0"}, {"pageSize": "x"}, {"pageSize": "-1"}):
            assert lake.http("GET", path, **more, **wrong).status_code == 400, wrong


def test_a_repeated_request_with_the_same_key_is_done_once(lake, namespace):
    made(lake, namespace, "t")
    key = {"Idempotency-Key": str(uuid.uuid4())}
    before = lake.http("GET", f"~/namespaces/{namespace}/tables/t").json()["metadata"]["last-updated-ms"]
    wanted = [{"type": "assert-current-schema-id", "current-schema-id": 0}]
    added = {**SCHEMA, "schema-id": 1, "fields": [*SCHEMA["fields"], {"id": 2, "name": "more", "required": False, "type": "string"}]}
    updates = [{"action": "add-schema", "schema": added, "last-column-id": 2}, {"action": "set-current-schema", "schema-id": -1}]
    first = commit(lake, namespace, "t", updates, wanted, headers=key)
    again = commit(lake, namespace, "t", updates, wanted, headers=key)
    assert (first.status_code, again.status_code) == (200, 200), again.text
    assert first.json()["metadata-location"] == again.json()["metadata-location"]
    assert first.json()["metadata"]["current-schema-id"] == 1 and first.json()["metadata"]["last-updated-ms"] >= before
    refused(commit(lake, namespace, "t", updates, wanted), 409, "CommitFailedException")
    created = {"Idempotency-Key": str(uuid.uuid4())}
    answers = [lake.http("POST", f"~/namespaces/{namespace}/tables", {"name": "u", "schema": SCHEMA}, headers=created) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[1].text
    assert answers[0].json()["metadata"]["table-uuid"] == answers[1].json()["metadata"]["table-uuid"]


# Who may.


def test_requests_without_a_valid_token_are_refused(lake, lasting_server, namespace):
    made(lake, namespace, "t")
    revoked = create(lasting_server, "--allow", "read,write")
    succeeded(tokens(lasting_server, "revoke", revoked["id"]))
    for token in ("", "wrong", lake.token[:-1], revoked["value"], f"lh_{'0' * 32}_{'0' * 48}"):
        for method, path in (("GET", f"config?{urlencode({'warehouse': lake.warehouse})}"), ("GET", "lake/namespaces"),
                             ("GET", f"lake/namespaces/{namespace}/tables/t"), ("POST", f"lake/namespaces/{namespace}/tables/t"),
                             ("DELETE", f"lake/namespaces/{namespace}/tables/t"), ("POST", "lake/transactions/commit")):
            answer = httpx.request(method, f"{lake.uri}/v1/{path}", headers={"Authorization": f"Bearer {token}"} if token else {},
                                   json={} if method == "POST" else None, trust_env=False)
            refused(answer, 401, "NotAuthorizedException")
    with pytest.raises(UnauthorizedError):
        Lake(lake.uri, lake.warehouse, "wrong").pyiceberg()
    assert lake.http("HEAD", f"~/namespaces/{namespace}/tables/t").status_code == 204


def test_a_token_that_may_only_read_reads(lake, lasting_server, namespace):
    made(lake, namespace, "t")
    reader = Lake(lake.uri, lake.warehouse, create(lasting_server, "--allow", "read")["value"])
    assert reader.table(namespace, "t").scan().to_arrow().num_rows == 0
    assert reader.duckdb().execute(f"SELECT count(*) FROM lake.{namespace}.t").fetchone() == (0,)
    for answer in (
        commit(reader, namespace, "t", [set_properties(a="b")]), reader.http("DELETE", f"~/namespaces/{namespace}/tables/t"),
        reader.http("POST", f"~/namespaces/{namespace}/tables", {"name": "u", "schema": SCHEMA}),
        reader.http("POST", "~/namespaces", {"namespace": ["other"]}), reader.http("POST", "~/transactions/commit", {"table-changes": []}),
        reader.http("POST", "~/tables/rename", {"source": {"namespace": [namespace], "name": "t"},
                                                "destination": {"namespace": [namespace], "name": "u"}}),
    ):
        refused(answer, 403, "ForbiddenException")
    with pytest.raises(ForbiddenError):
        reader.pyiceberg().drop_table((namespace, "t"))
    sender = Lake(lake.uri, lake.warehouse, create(lasting_server, "--allow", "send")["value"])
    refused(sender.http("GET", "config", warehouse=lake.warehouse), 403, "ForbiddenException")
    assert properties(lake, namespace, "t") == {}


def test_clients_that_only_speak_oauth_get_their_token_back(lake, lasting_server, namespace):
    made(lake, namespace, "t")
    url = f"{lake.uri}/v1/oauth/tokens"
    form = {"grant_type": "client_credentials", "client_id": "anything", "client_secret": lake.token, "scope": "catalog"}
    basic = {"Authorization": "Basic " + base64.b64encode(f"anything:{lake.token}".encode()).decode()}
    for data, headers in ((form, {}), ({"grant_type": "client_credentials"}, basic)):
        answer = httpx.post(url, data=data, headers=headers, trust_env=False)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["access_token"], answer.json()["token_type"].lower()) == (lake.token, "bearer")
    for data in ({**form, "client_secret": "wrong"}, {**form, "grant_type": "password"}, {}):
        answer = httpx.post(url, data=data, trust_env=False)
        assert answer.status_code in (400, 401) and "access_token" not in answer.text, answer.text
        assert answer.json()["error"], "in OAuth's own form"
    catalog = lake.pyiceberg(token=None, credential=f"anything:{lake.token}", **{"oauth2-server-uri": url})
    assert catalog.list_tables(namespace) == [(namespace, "t")]
    duck = lake.duckdb()
    duck.execute(f"CREATE SECRET client (TYPE iceberg, CLIENT_ID 'x', CLIENT_SECRET '{lake.token}', OAUTH2_SERVER_URI '{url}')")
    duck.execute(f"ATTACH '{lake.warehouse}' AS again (TYPE iceberg, ENDPOINT '{lake.uri}', SECRET client)")
    assert duck.execute(f"SELECT count(*) FROM again.{namespace}.t").fetchone() == (0,)


def test_a_catalog_is_there_while_its_bucket_has_it_enabled(lasting_server):
    server = lasting_server
    server.call("POST", "r2/buckets", {"name": "off-and-on"})
    lake = Lake(f"{server.url}/catalog", f"{server.account}_off-and-on", server.token)
    with pytest.raises(ApiError) as never:
        server.call("GET", "r2-catalog/off-and-on")
    assert (never.value.status, never.value.code) == (404, 40401)

    def is_away():
        for path in ("config?warehouse=off-and-on", "off-and-on/namespaces", "off-and-on/namespaces/n/tables/t"):
            answer = httpx.get(f"{lake.uri}/v1/{path}", headers={"Authorization": f"Bearer {server.token}"}, trust_env=False)
            assert answer.status_code in (403, 404) and answer.json()["error"]["message"], (path, answer.text)

    is_away()
    server.call("POST", "r2-catalog/off-and-on/enable")
    assert lake.http("POST", "~/namespaces", {"namespace": ["n"]}).status_code == 200
    made(lake, "n", "t")
    server.call("POST", "r2-catalog/off-and-on/disable")
    assert server.call("GET", "r2-catalog/off-and-on")["result"]["status"] == "inactive"
    is_away()
    server.call("POST", "r2-catalog/off-and-on/enable")
    assert lake.http("GET", "~/namespaces/n/tables").json()["identifiers"] == [{"namespace": ["n"], "name": "t"}]


def test_a_catalog_and_its_tables_outlive_kill_9(make_server):
    server = make_server().start()
    lake = enable(server, "lake")
    assert lake.http("POST", "~/namespaces", {"namespace": ["n"], "properties": {"a": "b"}}).status_code == 200
    table = made(lake, "n", "t", properties={"x": "y"})
    server.kill()
    server.start()
    assert lake.http("GET", "~/namespaces/n").json()["properties"]["a"] == "b"
    again = lake.http("GET", "~/namespaces/n/tables/t").json()
    assert json.dumps(again["metadata"], sort_keys=True) == json.dumps(table["metadata"], sort_keys=True)
