"""What a table needs is taken from the server that writes it: the table, its namespace, the token, the bucket. It says so, keeps what
it has acknowledged, and goes on when it has it back (D-09)."""

import time

import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType

from catalogs import total_records
from fault_proxy import Answer, Call, Drop, Refuse
from lakehead import settle
from load import ROUNDS
from processes import wait_until
from table_faults import KINDS, LONG_KINDS, Faulty, agrees, goes_on_taking, is_commit
from test_edits import edit
from test_tokens import create, succeeded, tokens

PLACES = ["embedded", *LONG_KINDS]


def first_rows(faulty: Faulty, count: int = 10):
    faulty.copy.send(count)
    faulty.copy.server.wait_delivered("copy", len(faulty.copy.sent), within=30)


def fails(faulty: Faulty, within: float = 30) -> str:
    """Sends while nothing can be committed; the pipeline's reason. Ingest goes on."""
    copy, began = faulty.copy, time.monotonic()
    copy.send(10)
    reason = copy.wait_status("failed", within)
    print(f"failed after {time.monotonic() - began:.1f} s: {reason}")
    goes_on_taking(copy)
    return reason


@pytest.mark.parametrize(("where", "what"), [
    *((where, what) for where in PLACES for what in ("table", "table, and made again by others")),
    # SeaweedFS makes no namespace again in whose folder there are files: "attribute not found: s3tables.metadata".
    ("embedded", "namespace"), ("lakehead", "namespace"),
])
def test_a_dropped_table_is_neither_made_again_nor_taken_for_another(tables, where, what):
    faulty = tables.of(where)
    copy = faulty.copy
    first_rows(faulty)
    catalog = copy.lake.pyiceberg()
    uuid = copy.table().metadata.table_uuid
    catalog.drop_table(("default", "events"))
    if what == "namespace":
        catalog.drop_namespace("default")
    if what.endswith("others"):
        catalog.create_table(("default", "events"), schema=Schema(
            NestedField(1, "id", LongType(), required=True), NestedField(2, "payload", StringType(), required=True)))
    reason = fails(faulty)
    assert "events" in reason, reason
    settle(1.5)
    assert copy.status()["status"] == "failed"
    if what.endswith("others"):
        assert total_records(copy.table()) == 0, "rows went into a foreign table"
        catalog.drop_table(("default", "events"))
    else:
        assert not catalog.table_exists(("default", "events")), "the table was made again"
    # A person says so.
    edit(copy.server, copy.pipeline, sql="INSERT INTO files SELECT * FROM events;")
    copy.wait_status("running", within=40)
    copy.server.wait_delivered("copy", len(copy.sent), within=40)
    assert copy.table().metadata.table_uuid != uuid
    # What was in the dropped table went with it; all that was acknowledged and not in it is in the new one.
    assert sorted(row["id"] for row in copy.rows()) == list(range(10, 25))


@pytest.mark.parametrize("kind", LONG_KINDS)
def test_a_table_that_goes_while_a_commit_is_in_doubt_leaves_no_half(tables, kind):
    """The commit was lost, then the table was dropped: its rows are in the next one."""
    faulty = tables.far(kind)
    copy = faulty.copy
    first_rows(faulty)
    faulty.catalog.rule = lambda call: Drop() if is_commit(call) else None
    copy.send(10)
    wait_until("a commit is lost", 20, lambda: faulty.catalog.faults() > 0)
    copy.lake.pyiceberg().drop_table(("default", "events"))
    faulty.heal()
    reason = copy.wait_status("failed", within=40)
    assert "events" in reason, reason
    goes_on_taking(copy)
    copy.server.kill()
    copy.server.start()
    assert "events" in copy.wait_status("failed", within=40)
    edit(copy.server, copy.pipeline, sql="INSERT INTO files SELECT * FROM events;")
    copy.wait_status("running", within=40)
    copy.server.wait_delivered("copy", len(copy.sent), within=40)
    assert sorted(row["id"] for row in copy.rows()) == list(range(10, 25))


@pytest.mark.parametrize("kind", KINDS)
def test_a_revoked_token_shows_and_a_new_one_takes_effect_without_a_restart(tables, kind):
    """The token was given with the sink, and is replaced by the API."""
    faulty = tables.far(kind, sinks_token=True)
    copy, old = faulty.copy, faulty.copy.lake.token
    if faulty.host:
        # Of the other server: a token that can be revoked.
        old = create(faulty.host, "--allow", "read,write")
        copy.server.call("PATCH", f"pipelines/v1/sinks/{copy.sink['id']}", {"config": {"token": old["value"]}})
    first_rows(faulty)
    if faulty.host:
        succeeded(tokens(faulty.host, "revoke", old["id"]))
        new = create(faulty.host, "--allow", "read,write")["value"]
        secret = old["value"]
    else:
        # SeaweedFS's are its own affair: from now on only another one is taken, in whose place the old one goes on.
        new, secret = "another-token", old

        def rule(call: Call):
            who = call.headers.get("authorization", "")
            return Answer(401, b'{"error":{"message":"no","type":"NotAuthorizedException","code":401}}') if old in who else None

        faulty.catalog.rule = rule
        faulty.catalog.instead[f"Bearer {new}"] = f"Bearer {old}"
    reason = fails(faulty)
    assert secret not in reason and "401" in reason, reason
    settle(1 * ROUNDS)
    copy.server.call("PATCH", f"pipelines/v1/sinks/{copy.sink['id']}", {"config": {"token": new}})
    began = time.monotonic()
    copy.wait_status("running", within=40)
    print(f"running again after {time.monotonic() - began:.1f} s")
    copy.server.wait_delivered("copy", len(copy.sent), within=40)
    copy.finish()


@pytest.mark.parametrize("where", ["embedded in a store", *LONG_KINDS])
def test_a_bucket_that_is_gone_shows_and_is_used_again_when_it_is_back(tables, where):
    faulty = tables.of(where)
    copy = faulty.copy
    first_rows(faulty)
    # SeaweedFS would make it again for whoever may; so the proxy says what S3 and R2 would.
    faulty.store.rule = lambda call: Refuse(404, "NoSuchBucket")
    reason = fails(faulty)
    assert "bucket" in reason.lower(), reason
    # The right things are there, and we may not.
    faulty.store.rule = lambda call: Refuse(403, "AccessDenied")
    settle(1)
    assert copy.status()["status"] == "failed"
    faulty.heal()
    copy.wait_status("running", within=40)
    copy.server.wait_delivered("copy", len(copy.sent), within=40)
    copy.finish()
    faulty.check_nothing_is_left_over()
    agrees(copy)


def test_a_folder_that_is_gone_shows_and_is_used_again_when_it_is_back(tables):
    faulty = tables.near()
    copy = faulty.copy
    first_rows(faulty)
    folder = copy.server.bucket(copy.bucket)
    folder.rename(folder.with_name("aside"))
    folder.write_text("not a folder")
    fails(faulty)
    copy.server.kill()
    copy.server.start()
    copy.wait_status("failed", within=30)
    folder.unlink()
    folder.with_name("aside").rename(folder)
    copy.wait_status("running", within=40)
    copy.server.wait_delivered("copy", len(copy.sent), within=40)
    copy.finish()
