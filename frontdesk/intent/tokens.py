"""The tokeniser: one definition of what an intent and an event of the interface are, offline and online.

An intent is its id; an event is its name and its configured fields. An event whose fields training never saw is the
event's plain name; a name that training never saw is a reserved token. The tokeniser is plain JSON in the bundle.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk.errors import BundleError, EmptyTable
from frontdesk.intent.columns import FEATURE_PREFIX, FIELD_PREFIX, INTENT
from frontdesk.intent.levels import FeatureLevels
from frontdesk.storage import canonical_json

TOKENIZER_FORMAT = 1
PADDING, UNKNOWN_EVENT, UNKNOWN_INTENT = 0, 1, 2
FIRST_TOKEN = 3
UNSEEN = -1
"""Operator, line or intent that training never saw."""

MAX_EVENTS = 30_000
FIELD_CHARACTERS = 100
_MINUTE = 60_000_000


@dataclass(frozen=True)
class Tokenizer:
    """Names to ids.

    Token ids: 0 padding, 1 unknown event, 2 unknown intent, then the intents in the catalogue's order (token of intent
    i = `FIRST_TOKEN` + i), then the events.

    Attributes:
        fields: names of the fields that tell events apart.
        intents: the catalogue: names of training's intents, sorted; an intent's id is its place.
        events: ``(name, value, ...)`` with one value per field, or ``(name,)`` for any other values; sorted.
        operators, lines: names seen in training, sorted; an id is a place.
        one_delivery: equal rows of one session are one row delivered twice. False where the clock is too coarse
            (whole minutes) to tell a repeated delivery from a repeated action.
        features: what else is known of who asks, as levels.
    """

    fields: tuple[str, ...]
    intents: tuple[str, ...]
    events: tuple[tuple[str, ...], ...]
    operators: tuple[str, ...]
    lines: tuple[str, ...]
    one_delivery: bool = True
    features: tuple[FeatureLevels, ...] = ()

    @classmethod
    def fit(cls, rows: pa.Table) -> Tokenizer:
        """Learn the names of training rows (schema of `columns.schema_of`).

        Raises:
            EmptyTable: there is no opened intent.
        """
        fields = tuple(name.removeprefix(FIELD_PREFIX) for name in rows.column_names if name.startswith(FIELD_PREFIX))
        is_intent = pc.equal(rows["kind"], INTENT)
        intents = _sorted(rows["name"].filter(is_intent))
        if not intents:
            raise EmptyTable("no row is an opened intent", remedy="The column 'kind' must say 'intent' for some rows")
        events = rows.filter(pc.invert(is_intent))
        keys = Counter(zip(*_event_columns(events, fields), strict=True))
        plain = sorted({(key[0],) for key in keys})
        full = sorted(keys, key=lambda key: (-keys[key], key))[: max(0, MAX_EVENTS - len(plain))] if fields else []
        stamps = rows["timestamp"].cast(pa.int64()).to_numpy()
        return cls(
            fields,
            intents,
            tuple(sorted({*plain, *full})),
            _sorted(rows["operator"]),
            _sorted(rows["line"]),
            bool((stamps % _MINUTE == 0).mean() < 0.5),
            tuple(
                FeatureLevels.fit(name.removeprefix(FEATURE_PREFIX), rows[name])
                for name in rows.column_names
                if name.startswith(FEATURE_PREFIX)
            ),
        )

    @property
    def size(self) -> int:
        """Number of token ids."""
        return FIRST_TOKEN + len(self.intents) + len(self.events)

    @cached_property
    def intent_ids(self) -> dict[str, int]:
        """``{name: intent id}``."""
        return {name: place for place, name in enumerate(self.intents)}

    @cached_property
    def operator_ids(self) -> dict[str, int]:
        """``{name: operator id}``."""
        return {name: place for place, name in enumerate(self.operators)}

    @cached_property
    def line_ids(self) -> dict[str, int]:
        """``{name: line id}``."""
        return {name: place for place, name in enumerate(self.lines)}

    @cached_property
    def event_tokens(self) -> dict[tuple[str, ...], int]:
        """``{(name, value, ...): token id}``."""
        first = FIRST_TOKEN + len(self.intents)
        return {key: first + place for place, key in enumerate(self.events)}

    @cached_property
    def digest(self) -> str:
        """Digest of everything that decides a token."""
        return hashlib.sha256(canonical_json(self.to_json())).hexdigest()

    def token(self, kind: str, name: str, values: Sequence[str]) -> int:
        """Return the token id of one row.

        Args:
            kind: ``intent`` or ``event``.
            name: the intent's id or the event's name, as `level` writes it.
            values: one per field: `level`'s text, cut at `FIELD_CHARACTERS`; empty where missing.
        """
        if kind == INTENT:
            intent = self.intent_ids.get(name, UNSEEN)
            return UNKNOWN_INTENT if intent == UNSEEN else FIRST_TOKEN + intent
        known = self.event_tokens
        if (found := known.get((name, *values))) is not None:
            return found
        return known.get((name,), UNKNOWN_EVENT)

    def tokens(self, rows: pa.Table) -> np.ndarray:
        """Return the token ids of rows, int32 [N]: `token` applied to every row, once per distinct row."""
        columns = [*_event_columns(rows, self.fields)]
        parts = [rows["kind"].combine_chunks(), *(pa.array(column, pa.string()) for column in columns)]
        codes, found = _distinct(parts)
        table = [self.token(kind, name, values) for kind, name, *values in found]
        return np.array(table, np.int32)[codes] if len(codes) else np.zeros(0, np.int32)

    def feature_levels(self, values: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the level of each feature of one request."""
        return tuple(feature.level(values.get(feature.name)) for feature in self.features)

    def feature_columns(self, rows: pa.Table) -> np.ndarray:
        """Return the levels of rows, int32 [N, F]; a feature that the table lacks is missing in every row."""
        found = np.zeros((rows.num_rows, len(self.features)), np.int32)
        for place, feature in enumerate(self.features):
            if (column := f"{FEATURE_PREFIX}{feature.name}") in rows.column_names:
                found[:, place] = feature.levels(rows[column])
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `canonical_json`; without features, those of a tokeniser that knows of none."""
        content = {"format": TOKENIZER_FORMAT, **asdict(self)}
        if not self.features:
            del content["features"]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Tokenizer:
        """Build a tokeniser from what `to_json` returned. Raises `BundleError` for another format."""
        if content.get("format") != TOKENIZER_FORMAT:
            raise BundleError(
                f"the tokeniser has format {content.get('format')!r}", remedy=f"This release reads {TOKENIZER_FORMAT}"
            )
        names = {key: tuple(content[key]) for key in ("fields", "intents", "operators", "lines")}
        return cls(
            **names,
            events=tuple(map(tuple, content["events"])),
            one_delivery=content["one_delivery"],
            features=tuple(map(FeatureLevels.from_json, content.get("features", ()))),
        )


def _sorted(names: pa.ChunkedArray) -> tuple[str, ...]:
    return tuple(sorted(name for name in pc.unique(names).to_pylist() if name is not None))


def _event_columns(rows: pa.Table, fields: Sequence[str]) -> list[list[str]]:
    """Return names, then one list of values per field."""
    values = [[value[:FIELD_CHARACTERS] for value in _filled(rows[f"{FIELD_PREFIX}{name}"])] for name in fields]
    return [rows["name"].to_pylist(), *values]


def _filled(column: pa.ChunkedArray) -> list[str]:
    return list(column.fill_null("").to_pylist())


def _distinct(columns: Sequence[pa.Array]) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Return int64 [N] places of each row among the distinct rows, and those."""
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        encoded = column.dictionary_encode()
        codes = codes * max(len(encoded.dictionary), 1) + encoded.indices.to_numpy()
        _, codes = np.unique(codes, return_inverse=True)
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    picked = pa.array(first)
    return codes, list(zip(*(column.take(picked).to_pylist() for column in columns), strict=True))
