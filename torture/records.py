"""What a record holds: all of it follows from its id and its pad count, here for producers, and as SQL for the judge.

    id    = md5("{run}/{producer}/{number}")                   32 hex digits
    hash  = sha256(id)                                         64 hex digits, from which the fields are cut
    seal  = the first 16 hex digits of md5 over all fields

Some records of the typed stream are poison: which, and why, follows from the hash as well.
"""

import hashlib
import json
from dataclasses import dataclass

SCHEMA = {"fields": [
    {"name": "id", "type": "string", "required": True},
    {"name": "n", "type": "int64", "required": True},
    {"name": "amount", "type": "float64", "required": True},
    {"name": "name", "type": "string", "required": True},
    {"name": "flag", "type": "bool", "required": True},
    {"name": "made", "type": "timestamp", "unit": "millisecond", "required": True},
    {"name": "divisor", "type": "int64", "required": True},
    {"name": "tags", "type": "list", "items": {"type": "string"}},
    {"name": "pad", "type": "string", "required": True},
    {"name": "seal", "type": "string", "required": True},
]}
FIRST_MOMENT_MILLISECONDS = 1_700_000_000_000
# Two hex digits of the hash -> why the typed stream rejects the record.
POISON = {"00": "type_mismatch", "01": "missing_field", "02": "null_value", "03": "parse_failure"}
PAD_DIGITS = 64

# The same in DuckDB, over a relation with `id`, `hash` and `pads`.
FIELDS = {
    "n": "('0x' || hash[1:8])::BIGINT - 2147483648",
    "amount": "('0x' || hash[9:16])::BIGINT / 256.0",
    "name": "'ö\"\\' || hash[17:24]",
    "flag": "hash[25:25] < '8'",
    "made": f"{FIRST_MOMENT_MILLISECONDS} + ('0x' || hash[26:32])::BIGINT",
    "divisor": "CASE WHEN hash[33:34] = '00' THEN 0 ELSE 1 + ('0x' || hash[33:33])::BIGINT END",
    "tags": "[hash[35:36], hash[37:38]]",
}
POISON_SQL = "CASE hash[39:40] " + "".join(f"WHEN '{digits}' THEN '{why}' " for digits, why in POISON.items()) + "END"
PAD_SQL = "repeat(hash, pads::BIGINT)"
SEAL_SQL = (
    "md5(id || '|' || n || '|' || (amount * 256)::BIGINT || '|' || name || '|' || flag || '|' || made || '|' || divisor || '|' || "
    "tags[1] || tags[2] || '|' || pads)[1:16]"
)


def id_of(run: str, producer: int, number: int) -> str:
    return hashlib.md5(f"{run}/{producer}/{number}".encode()).hexdigest()


@dataclass(frozen=True)
class Batch:
    """Consecutive records of one producer, sent in one request."""

    run: str
    producer: int
    first: int
    count: int
    pads: int
    typed: bool

    @property
    def ids(self) -> list[str]:
        return [id_of(self.run, self.producer, number) for number in range(self.first, self.first + self.count)]

    def texts(self) -> list[str]:
        """The records as they are sent."""
        return [text(id, self.pads, self.typed) for id in self.ids]


def text(id: str, pads: int, typed: bool) -> str:
    """One record as JSON."""
    hash = hashlib.sha256(id.encode()).hexdigest()
    n = int(hash[0:8], 16) - 2**31
    scaled = int(hash[8:16], 16)
    name = 'ö"\\' + hash[16:24]
    flag = "true" if hash[24] < "8" else "false"
    made = FIRST_MOMENT_MILLISECONDS + int(hash[25:32], 16)
    divisor = 0 if hash[32:34] == "00" else 1 + int(hash[32], 16)
    seal = hashlib.md5(
        f"{id}|{n}|{scaled}|{name}|{flag}|{made}|{divisor}|{hash[34:38]}|{pads}".encode()
    ).hexdigest()[:16]
    value = f'"n":{n},'
    poison = POISON.get(hash[38:40]) if typed else None
    if poison:
        value = {"type_mismatch": '"n":true,', "missing_field": "", "null_value": '"n":null,', "parse_failure": '"n":"seven",'}[poison]
    return (
        f'{{"id":"{id}",{value}"amount":{scaled / 256!r},"name":{json.dumps(name)},"flag":{flag},"made":{made},"divisor":{divisor},'
        f'"tags":["{hash[34:36]}","{hash[36:38]}"],"pad":"{hash * pads}","seal":"{seal}"}}'
    )
