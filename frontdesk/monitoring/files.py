"""Two tables as files to a verdict and a report: what ``frontdesk drift`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontdesk.engines.choice import PORTABLE
from frontdesk.errors import UsageError
from frontdesk.monitoring.comparison import FALSE_ALARM_RATE, SAMPLE_ROWS, compare_windows
from frontdesk.monitoring.slices import columns_named, compare_parts
from frontdesk.monitoring.verdict import Verdict
from frontdesk.monitoring.windows import Watched, Window
from frontdesk.storage import canonical_json, write_atomically

if TYPE_CHECKING:
    from frontdesk.bundle.labels import LabelBundle

VERDICT, REPORT, EVIDENTLY = "verdict.json", "report.html", "evidently.html"


def compare_files(
    recipe: str,
    reference: str,
    current: str,
    out: Path,
    *,
    columns: str | None = None,
    bundle: str | None = None,
    taxonomy: str | None = None,
    taxonomy_version: str | None = None,
    by: Sequence[str] = (),
    false_alarm_rate: float = FALSE_ALARM_RATE,
    seed: int = 0,
    with_evidently: bool = False,
) -> Verdict:
    """Compare two tables and write what came out.

    Args:
        recipe: of both tables.
        reference, current: paths or addresses.
        out: folder that gets ``verdict.json`` and ``report.html``, and on drift ``evidently.html``.
        columns: file of the column mapping; None: the simulator's columns.
        bundle: its answers to both tables are compared too.
        taxonomy, taxonomy_version: a label file: announced renames are no drift then.
        by: columns whose values are compared by themselves too, under the same false-alarm rate.
        false_alarm_rate, seed: see `compare`.
        with_evidently: write Evidently's report whatever the verdict.

    Raises:
        DataError: a table or the mapping cannot be used; the file and the column are named.
        UsageError: an unknown recipe, or options that do not go together.
    """
    from frontdesk.monitoring.report import render

    uris = (reference, current)
    windows, watched, time, named = _read(recipe, uris, columns, bundle, taxonomy, taxonomy_version, by, seed)
    given: Any = {"time": time, "false_alarm_rate": false_alarm_rate / 2 if named else false_alarm_rate, "seed": seed}
    verdict = compare_windows(windows[0], windows[1], watched, **given)
    if named:
        slices, notes = compare_parts(windows[0], windows[1], watched, named, **given)
        told = (*verdict.notes, *notes)
        verdict = replace(verdict, slices=slices, false_alarm_rate=false_alarm_rate, notes=told)
    beside = None
    if with_evidently or verdict.verdict == "drift":
        verdict, beside = _beside(windows, watched, verdict, out)
    else:
        (out / EVIDENTLY).unlink(missing_ok=True)
    page = render(recipe, verdict, windows[0], windows[1], watched, evidently=beside)
    write_atomically(out / REPORT, page.encode("utf-8", "replace"))
    write_atomically(out / VERDICT, canonical_json({"recipe": recipe, **verdict.as_json()}))
    return verdict


def _beside(windows: list[Window], watched: list[Watched], verdict: Verdict, out: Path) -> tuple[Verdict, str | None]:
    """Write Evidently's page. The verdict does not depend on it, so what goes wrong there is a note and no failure."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        from frontdesk.monitoring.evidently_report import write_html

        write_html(windows[0], windows[1], watched, verdict, out / EVIDENTLY)
    except Exception as error:
        (out / EVIDENTLY).unlink(missing_ok=True)
        note = f"Evidently's page could not be written ({type(error).__name__})"
        return replace(verdict, notes=(*verdict.notes, note)), None
    return verdict, EVIDENTLY


def _read(
    recipe: str,
    uris: tuple[str, str],
    columns: str | None,
    bundle: str | None,
    taxonomy: str | None,
    taxonomy_version: str | None,
    by: Sequence[str],
    seed: int,
) -> tuple[list[Window], list[Watched], str | None, list[Watched]]:
    """Return both windows, what is compared of them, their time column, and the columns that make parts."""
    from frontdesk.label_jobs import columns_of, relabel_of
    from frontdesk.records import load_columns

    model = None if bundle is None else _opened(recipe, bundle, taxonomy, taxonomy_version)
    mapping: Any = load_columns(columns, recipe) if model is None else columns_of(model, columns)
    if recipe == "intent":
        from frontdesk.monitoring import sessions

        if taxonomy or taxonomy_version:
            raise UsageError("intents have no label file", where="--taxonomy")
        watched = sessions.watched_sessions(mapping)
        named = columns_named(by, watched)
        return [sessions.read_sessions(uri, mapping) for uri in uris], watched, sessions.TIME, named
    from frontdesk.monitoring import predictions, records
    from frontdesk.recipes import jobs

    room: Any = jobs(recipe)
    watched = records.watched_columns(mapping)
    named = columns_named(by, watched)
    windows = []
    for uri in uris:
        reading = records.Reading(
            mapping,
            SAMPLE_ROWS,
            seed,
            prepare=room.prepare(room.parameters("{}"))[0],
            relabel=relabel_of(taxonomy, taxonomy_version, mapping),
            bundle=model,
            by=tuple(each.name for each in named),
        )
        windows.append(records.read_window(uri, reading))
    if model is not None:
        watched += predictions.watched_answers(model, list(mapping.heads))
    return windows, watched, records.TIME if mapping.created_at else None, named


def _opened(recipe: str, bundle: str, taxonomy: str | None, taxonomy_version: str | None) -> LabelBundle:
    """Open a bundle of a recipe that answers with labels."""
    from frontdesk.bundle.labels import LabelBundle

    if recipe == "intent":
        raise UsageError(
            "the answers to sessions are read from the suggestions that the log holds, not from a bundle",
            where="--bundle",
            remedy="Name the log's column of suggestions in the mapping (options)",
        )
    model = LabelBundle.load(bundle, engine=PORTABLE, taxonomy=taxonomy, taxonomy_version=taxonomy_version)
    if model.recipe != recipe:
        raise UsageError(f"this is a bundle of the recipe {model.recipe}", where="--bundle")
    return model
