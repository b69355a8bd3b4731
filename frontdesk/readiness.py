"""What a table holds and what to expect of it, said before any training."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from frontdesk import checks, progress
from frontdesk.census import Census
from frontdesk.checks import Check
from frontdesk.errors import BadColumns
from frontdesk.leakage import Suspect, suspects
from frontdesk.probe import PROBE_ROWS, Expectation, probe
from frontdesk.records import Columns
from frontdesk.sample import Sample
from frontdesk.snapshots import Prepare
from frontdesk.splits import NO_TIME
from frontdesk.tables import read_batches
from frontdesk.taxonomy import RowMapper
from frontdesk.text.cleaning import clean_fields
from frontdesk.text.language import languages

FEW_ROWS = 20
SAMPLE_ROWS, LANGUAGE_ROWS = 20_000, 500
_SHOWN_LABELS, _SHOWN_REASONS = 20, 10
_LEAST_ROWS = 200
_TAIL_SHARE = 0.5
_LEAST_GAIN = 0.05
_DAY_MICROSECONDS = 86_400 * 1_000_000

Verdict = Literal["ready", "usable", "not_ready"]


@dataclass(frozen=True)
class HeadReport:
    """One label column.

    Attributes:
        labelled, empty: rows with and without a label.
        labels: distinct labels.
        top: the most frequent labels and their rows.
        few: labels with fewer than 20 rows.
        few_share: share of the labelled rows that they hold.
        learnable: labels with 20 rows or more.
        majority: share of the most frequent label.
        depth: levels of the deepest label.
        conflicts: rows whose text (or inputs, without text) stands elsewhere with another label.
        expectation: what a quick probe reached; None where it could not run.
    """

    labelled: int
    empty: int
    labels: int
    top: list[tuple[str, int]]
    few: int
    few_share: float
    learnable: int
    majority: float
    depth: int
    conflicts: int
    expectation: Expectation | None


@dataclass(frozen=True)
class Readiness:
    """The report.

    Attributes:
        rows, refused: good and refused rows.
        reasons: refused rows per reason, the most frequent first.
        span: first and last day, where there are time stamps.
        languages: share per language on a sample of texts.
        duplicates: rows whose inputs repeat an earlier row's.
        heads: per label column.
        suspects: fields that seem to know the label.
        checks: the checks that a snapshot will make, as far as they do not depend on the split.
        verdict: ``ready``, ``usable`` (read the reasons first) or ``not_ready``.
        words: the reasons, for a person.
    """

    recipe: str
    table: str
    rows: int
    refused: int
    reasons: dict[str, int]
    span: tuple[str, str] | None
    languages: dict[str, float]
    duplicates: int
    heads: dict[str, HeadReport]
    suspects: list[Suspect]
    checks: list[Check]
    verdict: Verdict
    words: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def render(self) -> RenderableType:
        """Return the report for a terminal."""
        return Group(*_render(self))


def readiness(
    recipe: str,
    data: str,
    columns: Columns,
    *,
    prepare: Prepare | None = None,
    relabel: RowMapper | None = None,
) -> Readiness:
    """Read a table once and report on it, in bounded memory.

    Args:
        recipe: what the table is for.
        data: path or address of the table.
        columns: what its columns mean.
        prepare: what job 1 does to rows before it stores them: what a model learns from is examined, not what came in.
        relabel: brings the labels of its rows to one version, as a run with a label file would.

    Raises:
        DataError: the table cannot be read, or the mapping names no label.
        StorageError: the store does not answer.
    """
    if not columns.heads:
        raise BadColumns("the mapping names no label", remedy=f"Name one of {', '.join(columns.known_heads)}")
    census, sample, reasons = Census(columns), Sample(SAMPLE_ROWS), Counter[str]()
    for batch in read_batches(data, columns):
        for change in (prepare, relabel):
            if change is not None:
                batch = replace(batch, rows=change(batch.rows))
        census.add(batch)
        sample.add(batch.rows)
        reasons.update(f"{one.field}: {one.reason}" if one.field else one.reason for one in batch.refused)
        progress.report("readiness", 80 * batch.share, 100, f"{census.rows:,} rows")
    table = sample.table()
    texts = [] if table is None else _texts(table, columns)
    heads = {head: _head(head, census, table, texts, columns) for head in columns.heads}
    found = [] if table is None else suspects(table, texts, columns)
    done = _checks(census, dict(reasons), columns)
    if relabel is not None:
        done += checks.label_versions(relabel.to_json(columns.heads)["heads"])
    verdict, words = _verdict(census, heads, found, done)
    progress.report("readiness", 100, 100)
    return Readiness(
        recipe=recipe,
        table=data.rpartition("/")[2],
        rows=census.rows,
        refused=census.refused,
        reasons=dict(reasons.most_common(_SHOWN_REASONS)),
        span=_span(census.times),
        languages=_languages(texts) if columns.text else {},
        duplicates=census.duplicates,
        heads=heads,
        suspects=found,
        checks=done,
        verdict=verdict,
        words=words,
    )


def _texts(sample: pa.Table, columns: Columns) -> list[str]:
    """Return the cleaned texts of the first rows of the sample."""
    rows = sample.slice(0, PROBE_ROWS)
    if not columns.text:
        return [""] * rows.num_rows
    return [
        clean_fields(fields) for fields in zip(*(rows.column(name).to_pylist() for name in columns.text), strict=True)
    ]


def _head(head: str, census: Census, sample: pa.Table | None, texts: list[str], columns: Columns) -> HeadReport:
    counts, labels = census.counts(head), census.labels[head]
    labelled = int(counts.sum())
    order = np.argsort(-counts, kind="stable")[:_SHOWN_LABELS]
    few = counts < FEW_ROWS
    separator = columns.separator if head in columns.trees else None
    return HeadReport(
        labelled=labelled,
        empty=census.rows - labelled,
        labels=len(labels),
        top=[(labels[code], int(counts[code])) for code in order],
        few=int(few.sum()),
        few_share=round(float(counts[few].sum() / max(labelled, 1)), 4),
        learnable=int((~few).sum()),
        majority=round(float(counts.max(initial=0) / max(labelled, 1)), 4),
        depth=max((len(label.split(separator)) for label in labels), default=0) if separator else min(len(labels), 1),
        conflicts=_conflicts(census.text_hashes if columns.text else census.input_hashes, census.codes(head)),
        expectation=None if sample is None else probe(sample, texts, columns, head, labelled),
    )


def _conflicts(hashes: np.ndarray, codes: np.ndarray) -> int:
    """Count labelled rows that share a hash with a row of another label."""
    labelled = codes >= 0
    hashes, codes = hashes[labelled], codes[labelled]
    _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    pairs = np.unique(group.astype(np.int64) << 32 | codes)
    different = np.bincount(pairs >> 32, minlength=len(sizes))
    return int(sizes[different > 1].sum())


def _span(times: np.ndarray) -> tuple[str, str] | None:
    known = times[times != NO_TIME]
    if not len(known):
        return None
    return str(np.datetime64(int(known.min()), "us"))[:10], str(np.datetime64(int(known.max()), "us"))[:10]


def _languages(texts: list[str]) -> dict[str, float]:
    codes = Counter(languages(texts[:LANGUAGE_ROWS]))
    return {code: round(count / codes.total(), 4) for code, count in codes.most_common()}


def _checks(census: Census, reasons: dict[str, int], columns: Columns) -> list[Check]:
    known = census.times[census.times != NO_TIME]
    found = [
        checks.refused_rows(census.refused, census.rows, reasons),
        checks.missing_values(census.missing, census.rows),
        checks.duplicates(census.duplicates, census.rows, has_text=bool(columns.text)),
        *checks.labels({head: census.counts(head) for head in columns.heads}),
    ]
    if columns.text:
        found.append(checks.empty_texts(census.empty_texts, census.rows))
    if len(known):
        found.append(checks.future_stamps(known, time.time_ns() // 1000 + _DAY_MICROSECONDS))
    return found


def _verdict(
    census: Census, heads: dict[str, HeadReport], found: list[Suspect], done: list[Check]
) -> tuple[Verdict, list[str]]:
    bad = [check.words for check in done if check.status == "fail"]
    if census.rows < _LEAST_ROWS:
        bad.append(f"{census.rows:,} rows are too few to learn from and to judge by: {_LEAST_ROWS} are the least")
    if all(head.learnable < 2 for head in heads.values()):
        bad.append(f"no label column has two labels with {FEW_ROWS} rows")
    doubts = [check.words for check in done if check.status == "warn"]
    for suspect in found:
        doubts.append(
            f"{suspect.field} alone gives {suspect.head} in {suspect.accuracy:.0%} of the rows "
            f"(the most frequent label: {suspect.majority:.0%}): {suspect.words}"
        )
    for name, head in heads.items():
        if head.few_share > _TAIL_SHARE:
            doubts.append(f"{name}: labels with fewer than {FEW_ROWS} rows hold {head.few_share:.0%} of the rows")
        expected = head.expectation
        if expected is not None and expected.accuracy < expected.majority + _LEAST_GAIN:
            doubts.append(f"{name}: the inputs hardly tell more than the most frequent label ({expected.majority:.0%})")
    words = [
        f"expect {name} to be right in {_percent(head.expectation)} of new rows; {head.learnable:,} of "
        f"{head.labels:,} labels have {FEW_ROWS} rows or more"
        for name, head in heads.items()
        if head.expectation
    ]
    verdict: Verdict = "not_ready" if bad else "usable" if doubts else "ready"
    return verdict, [*bad, *doubts, *words]


def _percent(expected: Expectation) -> str:
    return f"{expected.low:.0%} to {expected.high:.0%}"


def _render(report: Readiness) -> list[RenderableType]:
    colour = {"ready": "green", "usable": "yellow", "not_ready": "red"}[report.verdict]
    facts = Table(title=f"Readiness of {escape(report.table)} for {report.recipe}", show_header=False)
    facts.add_row("verdict", f"[{colour}]{report.verdict.replace('_', ' ')}[/]")
    facts.add_row("rows", f"{report.rows:,} good, {report.refused:,} refused")
    for reason, count in report.reasons.items():
        facts.add_row("refused", f"{count:,} × {escape(reason)}")
    if report.span:
        facts.add_row("time span", " to ".join(report.span))
    if report.languages:
        facts.add_row(
            "languages", ", ".join(f"{code} {share:.0%}" for code, share in list(report.languages.items())[:8])
        )
    facts.add_row("duplicates", f"{report.duplicates:,} rows repeat the inputs of an earlier one")
    shown: list[RenderableType] = [facts]
    for name, head in report.heads.items():
        table = Table(title=f"{name}: {head.labels:,} labels, {head.labelled:,} labelled rows, {head.empty:,} empty")
        table.add_column("label")
        table.add_column("rows", justify="right")
        for label, count in head.top[:10]:
            table.add_row(escape(label), f"{count:,}")
        table.caption = (
            f"{head.few:,} labels with fewer than {FEW_ROWS} rows hold {head.few_share:.1%} of the rows; "
            f"{head.conflicts:,} rows repeat the text of a row with another label"
        )
        shown.append(table)
    return [*shown, *(f"• {escape(words)}" for words in report.words)]
