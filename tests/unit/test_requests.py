"""Every wrong request is refused with the instance and the field; every valid one, however odd, passes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontdesk.errors import InvalidRequest
from frontdesk.preprocessing.encoding import Encoder
from frontdesk.preprocessing.spec import Number, Spec
from frontdesk.requests import MAX_INSTANCES, validate

SPEC = Spec(
    recipe="ticket",
    text=("subject", "body"),
    categorical={"channel": ("web", "phone", "7", "true")},
    numeric={"total": Number(1, 1, 1), "created_at": Number(20_000, 19_000, 100)},
    vocabulary=("card",),
    word_documents=(3,),
    phrases=(),
    phrase_documents=(),
    documents=9,
    labels={"reply": ("a", "b")},
    label_counts={"reply": (1, 2)},
    separator=" > ",
    max_tokens=8,
)


def test_missing_fields_are_missing_values():
    columns = validate([{"subject": "hi"}, {}], SPEC)
    assert list(columns) == SPEC.fields
    assert columns["subject"] == ["hi", None]
    assert columns["channel"] == [None, None]
    assert all(math.isnan(value) for value in columns["total"])
    assert validate([], SPEC)["subject"] == []


@pytest.mark.parametrize(
    ("instances", "where"),
    [
        (None, "instances"),
        ({"subject": "x"}, "instances"),
        ("text", "instances"),
        ([{}] * (MAX_INSTANCES + 1), "instances"),
        ([{}, 3], "instances[1]"),
        ([None], "instances[0]"),
        ([{}, {"subjekt": "x"}], "instances[1].subjekt"),
        ([{"created": 1}], "instances[0].created"),
        ([{"subject": "x"}, {"subject": 5}], "instances[1].subject"),
        ([{"body": ["x"]}], "instances[0].body"),
        ([{"channel": ["web"]}], "instances[0].channel"),
        ([{"channel": {}}], "instances[0].channel"),
        ([{"total": "12"}], "instances[0].total"),
        ([{"total": True}], "instances[0].total"),
        ([{"total": [1]}], "instances[0].total"),
        ([{}, {"created_at": "yesterday"}], "instances[1].created_at"),
        ([{"created_at": 20000}], "instances[0].created_at"),
        ([{"created_at": " "}], "instances[0].created_at"),
    ],
)
def test_a_wrong_request_names_the_place(instances, where):
    with pytest.raises(InvalidRequest) as refused:
        validate(instances, SPEC)
    assert refused.value.where == where
    assert refused.value.status == 400


def test_an_unknown_field_lists_the_known_ones():
    with pytest.raises(InvalidRequest, match="subject, body, channel, created_at, total"):
        validate([{"x": 1}], SPEC)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_a_number_that_is_not_finite_is_missing(value):
    columns = validate([{"total": value}], SPEC)
    assert math.isnan(Encoder(SPEC).encode(columns, 1).numbers[0, 0])


def test_large_numbers_and_extreme_times_pass():
    columns = validate([{"total": 1e308, "created_at": "0001-01-01T00:00:00+23:59"}], SPEC)
    numbers = Encoder(SPEC).encode(columns, 1).numbers[0]
    assert numbers[1] == 1e308
    assert numbers[0] < -700_000


_SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.text()


@given(st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_whatever_arrives_is_answered_or_refused(anything):
    for instances in (anything, [anything], [dict.fromkeys(SPEC.fields, anything)]):
        try:
            columns = validate(instances, SPEC)
        except InvalidRequest:
            continue
        Encoder(SPEC).encode(columns, len(instances))
