"""Every documented function refuses arguments of a type it cannot take, and too few, when the pipeline is made: not record by record."""

import pytest

from golden_cases import ROOT, lines
from lakehead import ApiError

SCHEMA = {"fields": [
    {"name": "p", "type": "struct", "fields": [{"name": "a", "type": "int64"}]},
    {"name": "n", "type": "int64"},
]}
# Functions by what they are called with here; `p` is a struct, which none of them can take.
CALLS = {
    "(p)": """
        abs acos acosh asin asinh atan atanh cbrt ceil floor cos cosh sin sinh tan tanh degrees radians exp factorial isnan iszero ln log10
        log2 log round signum sqrt trunc ascii bit_length octet_length btrim trim ltrim rtrim length char_length character_length chr
        initcap lower upper reverse to_hex json_length from_unixtime array_pop_front list_pop_front array_pop_back list_pop_back
        array_reverse list_reverse array_sort list_sort array_distinct list_distinct array_length list_length cardinality array_dims
        list_dims array_ndims list_ndims empty array_empty list_empty flatten md5 sha224 sha256 sha384 sha512 range unnest to_timestamp
        to_timestamp_seconds to_timestamp_millis to_timestamp_micros to_timestamp_nanos
    """,
    "(p, p)": """
        atan2 gcd lcm nanvl power pow starts_with ends_with strpos instr left right lpad rpad repeat substr levenshtein find_in_set encode
        decode regexp_like regexp_match json_contains json_get json_get_str json_get_int json_get_float json_get_bool json_get_json
        json_as_text extract_json extract_json_string date_bin date_trunc datetrunc date_part datepart to_char date_format array_append
        list_append array_push_back list_push_back array_concat list_concat array_cat list_cat array_has list_has array_contains
        list_contains array_has_all list_has_all array_has_any list_has_any array_element list_element array_extract list_extract
        array_position list_position array_indexof list_indexof array_positions list_positions array_remove list_remove
        array_remove_all list_remove_all array_resize list_resize array_repeat list_repeat array_union list_union array_intersect
        list_intersect array_except list_except array_to_string list_to_string array_join list_join string_to_array string_to_list
        generate_series array_fill trim_array digest arrow_cast array_prepend list_prepend array_push_front list_push_front
    """,
    "(p, p, p)": """
        replace split_part substr_index translate regexp_replace make_date array_slice list_slice array_remove_n list_remove_n
        array_replace list_replace array_replace_all list_replace_all
    """,
    "(p, p, p, p)": "array_replace_n list_replace_n",
    "(1)": "pi random uuid now",
    "(p IN p)": "position",
    "(year FROM p)": "extract",
    "(p PLACING p FROM p)": "overlay",
}
WRONG = {name: f"{name}{arguments}" for arguments, names in CALLS.items() for name in names.split()}
# A value of any type may stand here, or is shown as text.
TAKE_ANYTHING = set("coalesce nullif nvl ifnull nvl2 concat concat_ws make_array make_list struct arrow_typeof".split())
NEED_NOTHING = set("pi random uuid now make_array make_list struct".split())
# Not written as a call with commas.
OTHER_GRAMMAR = {"position", "extract", "overlay"}
DOCUMENTED = [line for line in lines(ROOT / "functions.txt") if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def refusal(lasting_server):
    """What the server says to a SELECT of an expression; None: it would be accepted."""
    lasting_server.create_stream("data", SCHEMA)
    lasting_server.create_sink("out", "out", {"type": "json"})

    def ask(expression: str) -> ApiError | None:
        try:
            lasting_server.call("POST", "pipelines/v1/validate_sql", {"sql": f"INSERT INTO out SELECT {expression} AS c FROM data"})
        except ApiError as error:
            assert error.status == 400, error
            return error
        return None

    return ask


def test_every_documented_function_is_looked_at():
    assert set(WRONG) | TAKE_ANYTHING == set(DOCUMENTED)
    assert not set(WRONG) & TAKE_ANYTHING


@pytest.mark.parametrize("expression", WRONG.values())
def test_arguments_of_a_wrong_type_are_refused(expression, refusal):
    error = refusal(expression)
    assert error, "accepted"
    assert "there is no function" not in error.message, "a documented function is missing"
    assert "internal" not in error.message.lower(), "says that the server is wrong, not the SQL"


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if name not in NEED_NOTHING | OTHER_GRAMMAR])
def test_too_few_arguments_are_refused(name, refusal):
    error = refusal(f"{name}()")
    assert error, "accepted"
    assert "internal" not in error.message.lower(), "says that the server is wrong, not the SQL"


def test_the_documented_functions_are_found_whatever_their_case(refusal):
    assert refusal("ABS(n) + Round(n)") is None


def test_a_function_that_does_not_exist_is_refused_with_its_name(refusal):
    assert "nosuch_function" in refusal("nosuch_function(n)").message
