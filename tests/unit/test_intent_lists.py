"""Does a list hold only what the operator may open now, and do the settings of a line do what they say?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from frontdesk.errors import UsageError
from frontdesk.intent.columns import rows_of
from frontdesk.intent.configuration import (
    Configuration,
    LineConfiguration,
    ListSettings,
    default_configuration,
    in_context,
    parse_configuration,
)
from frontdesk.intent.lists import Access, Candidate, Validity, assemble
from frontdesk.intent.tokens import Tokenizer
from tests.intent_data import PLAIN, sessions, table

NOW = datetime(2025, 5, 5, 12, tzinfo=UTC)
CANDIDATES = [Candidate(name, 1 / (place + 1), "sequence") for place, name in enumerate("ABCDEFGH")]


def shown(settings: ListSettings | None = None, **more: Any) -> list[str]:
    made = assemble(CANDIDATES, settings or ListSettings(), **({"operator": "o", "now": NOW} | more))
    return [candidate.intent for candidate in made]


def test_at_most_six_best_first_and_none_twice() -> None:
    assert shown() == list("ABCDEF")
    assert shown(ListSettings(shown=2)) == ["A", "B"]
    doubled = [*CANDIDATES, Candidate("A", 9.0, "popular")]
    assert [each.intent for each in assemble(doubled, ListSettings(), operator="o", now=NOW)] == list("ABCDEF")
    with pytest.raises(ValueError, match="less than or equal to 6"):
        ListSettings(shown=7)


def test_rights_filter_before_the_cut() -> None:
    access = Access(rights={"o": {"B", "G", "H"}})
    assert shown(access=access) == ["B", "G", "H"], "an operator of few rights still gets what there is"
    assert shown(access=access, operator="without an entry") == list("ABCDEF")
    assert shown(access=Access(rights={"o": set()})) == []


def test_only_procedures_valid_at_the_time_of_the_request() -> None:
    validity = {
        "A": Validity(until=NOW),
        "B": Validity(since=NOW),
        "C": Validity(since=NOW + timedelta(microseconds=1)),
        "D": Validity(since=datetime(2025, 5, 5, 11), until=datetime(2025, 5, 5, 13)),
    }
    assert shown(access=Access(validity=validity)) == ["B", "D", "E", "F", "G", "H"]
    later = shown(access=Access(validity=validity), now=NOW + timedelta(hours=2))
    assert later == ["B", "C", "E", "F", "G", "H"]


def test_line_defaults_fill_up_and_obey_rights_too() -> None:
    settings = ListSettings(defaults=("new", "secret", "A"))
    made = assemble(CANDIDATES[:2], settings, operator="o", now=NOW, access=Access(rights={"o": {"A", "B", "new"}}))
    assert [(each.intent, each.reason) for each in made] == [
        ("A", "sequence"),
        ("B", "sequence"),
        ("new", "line_default"),
    ]


def test_damping_keeps_what_was_shown_unless_a_newcomer_is_much_better() -> None:
    pair = [Candidate("new", 0.3, "sequence"), Candidate("old", 0.25, "sequence")]

    def first(damping: float, before: tuple[str, ...] = ("old",)) -> str:
        settings = ListSettings(damping=damping)
        return assemble(pair, settings, operator="o", now=NOW, before=before)[0].intent

    assert [first(0.0), first(0.1), first(0.3)] == ["new", "new", "old"]
    assert first(0.3, ()) == "new"


def test_configuration_is_validated_and_names_the_key() -> None:
    for content, words in (
        ({"lines": {"cards": {"colour": 1}}}, "lines.cards.colour: unknown key"),
        ({"default": {"shortest_interval_seconds": 0}}, "shortest_interval_seconds"),
        ({"default": {"lists": {"shown": 9}}}, "default.lists.shown"),
        ({"default": {"trigger_events": ["a", "a"]}}, "names twice: a"),
        ({"default": {"model": "oracle"}}, "default.model"),
        ({"version": 0}, "version"),
    ):
        with pytest.raises(UsageError, match=words):
            parse_configuration(content)


def test_a_line_has_its_own_settings_and_digest() -> None:
    cards = LineConfiguration(model="markov", shortest_interval_seconds=4.0)
    configuration = Configuration(lines={"cards": cards})
    assert configuration.of("cards") is cards
    assert configuration.of("loans") == configuration.of(None) == LineConfiguration()
    assert configuration.answer("cards")["shortest_interval_seconds"] == 4.0
    assert configuration.digest("cards") != configuration.digest("loans")
    again = parse_configuration(configuration.model_dump(mode="json"))
    assert again.digest() == configuration.digest()
    changed = configuration.model_copy(update={"lines": {"cards": LineConfiguration(model="toppop")}})
    assert changed.digest() != configuration.digest()
    assert changed.digest("loans") == configuration.digest("loans"), "another line's screens need not load anything"


def test_a_configuration_is_compared_with_the_log() -> None:
    rows, _ = rows_of(table(("o", "cards", "click", "A")), PLAIN)
    _, tokenizer = sessions(("o", "cards", "click", "A"))
    default_configuration(tokenizer).check(rows)
    assert default_configuration(tokenizer).default.trigger_events == ("click",)
    with pytest.raises(UsageError, match=r"default\.context_events.*hover"):
        Configuration(default=LineConfiguration(context_events=("click", "hover"))).check(rows)
    with pytest.raises(UsageError, match="'loans'"):
        Configuration(lines={"loans": LineConfiguration()}).check(rows)


def test_training_sees_only_the_events_that_the_screen_sends() -> None:
    rows, _ = rows_of(table(("o", "cards", "a", "b", "A"), ("o", "loans", "a", "b", "B")), PLAIN)
    configuration = Configuration(
        default=LineConfiguration(context_events=("a", "b")), lines={"cards": LineConfiguration(context_events=("b",))}
    )
    kept = in_context(rows, configuration)
    assert kept["name"].to_pylist() == ["b", "A", "a", "b", "B"]
    assert isinstance(kept, pa.Table)
    assert Tokenizer.fit(kept).intents == ("A", "B")
