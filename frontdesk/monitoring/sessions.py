"""Windows of a log of sessions: a row per session, because what happens in one session belongs together."""

from __future__ import annotations

import zlib
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk import progress
from frontdesk.errors import EmptyTable
from frontdesk.intent.columns import EVENT, INTENT, IntentColumns, convert, schema_of
from frontdesk.monitoring.windows import LevelCounter, Watched, Window
from frontdesk.tables import raw_batches

TIME = "start"
MOST_ROWS = 1_000_000
"""Rows of a log that are held; of a longer one, every second session, every fourth, and so on."""
_BATCH_ROWS = 65_536


def watched_sessions(columns: IntentColumns) -> list[Watched]:
    """Return what is compared of a log: intents, events, who works where, and how sessions look."""
    watched = [
        Watched("intents", "label", "bag", called=columns.name),
        Watched("events", "input", "bag", called=f"{columns.name} of events"),
        Watched("line", "input", "categorical", called=columns.line),
        Watched("operator", "input", "categorical", called=columns.operator),
        Watched("rows per session", "input", "numeric"),
        Watched("intents per session", "input", "numeric"),
        Watched("minutes per session", "input", "numeric"),
    ]
    if columns.options is not None:
        watched += [
            Watched("share opened from suggestions", "quality", "numeric"),
            Watched("suggestions", "prediction", "bag", called=columns.options),
            Watched("suggestions per list", "prediction", "numeric"),
            Watched("change of the list", "prediction", "numeric"),
        ]
    return watched


def read_sessions(uri: str, columns: IntentColumns) -> Window:
    """Read a log. Errors as of `frontdesk.tables.raw_batches`; `EmptyTable` where no row is good."""
    where = uri.rpartition("/")[2]
    reasons: Counter[str] = Counter()
    held: list[pa.Table] = []
    rows, thinning = 0, 1
    for raw in raw_batches(uri, dict.fromkeys(columns.roles.values()), batch_rows=_BATCH_ROWS):
        table, refused = convert(raw.columns, raw.numbers, columns, where=where)
        reasons.update(f"{one.field}: {one.reason}" for one in refused)
        reasons.update(reason for _, reason in raw.broken)
        rows += table.num_rows
        held.append(_thinned(table, thinning))
        while sum(part.num_rows for part in held) > MOST_ROWS:
            thinning *= 2
            held = [_thinned(part, thinning) for part in held]
        progress.report("reading", 100 * raw.share, 100, f"{rows:,} rows")
    table = pa.concat_tables(held) if held else schema_of(columns).empty_table()
    if not table.num_rows:
        worst = f"{reasons.most_common(1)[0][0]} in every row" if reasons else "no row"
        raise EmptyTable(f"the log has no good row ({worst})", where=where)
    return _window(_per_session(table, columns), reasons)


def _thinned(table: pa.Table, thinning: int) -> pa.Table:
    """Keep whole sessions, one of every ``thinning``."""
    if thinning == 1 or not table.num_rows:
        return table
    names = pc.unique(table["session"])
    kept = [name for name in names.to_pylist() if zlib.crc32(name.encode()) % thinning == 0]
    return table.filter(pc.is_in(table["session"], value_set=pa.array(kept, pa.string())))


def _per_session(table: pa.Table, columns: IntentColumns) -> pa.Table:
    """Return one row per session, in the order of the file."""
    codes = table["session"].combine_chunks().dictionary_encode()
    session, count = codes.indices.to_numpy(), len(codes.dictionary)
    times = table["timestamp"].cast(pa.int64()).to_numpy()
    order = np.lexsort((times, session))
    bounds = np.searchsorted(session[order], np.arange(count + 1))
    first = order[bounds[:-1]]
    is_intent = pc.equal(table["kind"], INTENT).to_numpy()
    starts, ends = times[first], times[order[bounds[1:] - 1]]
    made = {
        TIME: pa.array(starts, pa.timestamp("us", "UTC")),
        "line": table["line"].take(pa.array(first)),
        "operator": table["operator"].take(pa.array(first)),
        "rows per session": pa.array(np.diff(bounds).astype(np.float64)),
        "intents per session": pa.array(np.bincount(session, weights=is_intent, minlength=count)),
        "minutes per session": pa.array((ends - starts) / 60e6),
    }
    names = table["name"].to_pylist()
    for bag, kind in (("intents", INTENT), ("events", EVENT)):
        wanted = is_intent if kind == INTENT else ~is_intent
        chosen = order[wanted[order]]
        offsets = np.searchsorted(session[chosen], np.arange(count + 1)).astype(np.int32)
        made[bag] = pa.ListArray.from_arrays(pa.array(offsets), pa.array([names[i] for i in chosen], pa.string()))
    if columns.options is not None:
        made |= _suggestions(table, session, order, is_intent, columns, count)
    return pa.table(made)


def _suggestions(
    table: pa.Table,
    session: np.ndarray,
    order: np.ndarray,
    is_intent: np.ndarray,
    columns: IntentColumns,
    count: int,
) -> dict[str, pa.Array]:
    """Return per session what was suggested, null where nothing was.

    The share of its intents that stood in the list shown then; every level that was in a list; how long a list was;
    and the share of a list that the list before did not have (churn).
    """
    names, options = table["name"].to_pylist(), table["options"].to_pylist()
    shown, taken, length = np.zeros(count), np.zeros(count), np.zeros(count)
    pairs, replaced = np.zeros(count), np.zeros(count)
    seen: list[dict[str, None]] = [{} for _ in range(count)]
    last: dict[int, set[str]] = {}
    for row in order:
        if not options[row] or not is_intent[row]:
            continue
        of, offered = session[row], options[row].split(columns.options_separator)
        shown[of] += 1
        taken[of] += names[row] in offered
        length[of] += len(offered)
        seen[of].update(dict.fromkeys(offered))
        if of in last:
            pairs[of] += 1
            replaced[of] += len(set(offered) - last[of]) / len(set(offered))
        last[of] = set(offered)

    def ratio(part: np.ndarray, whole: np.ndarray) -> pa.Array:
        return pa.array(np.divide(part, whole, out=np.zeros(count), where=whole > 0), mask=whole == 0)

    return {
        "share opened from suggestions": ratio(taken, shown),
        "suggestions": pa.array([list(each) for each in seen], pa.list_(pa.string())),
        "suggestions per list": ratio(length, shown),
        "change of the list": ratio(replaced, pairs),
    }


def _window(table: pa.Table, reasons: Counter[str]) -> Window:
    levels = {name: LevelCounter() for name in ("line", "operator")}
    for name, counter in levels.items():
        counter.add(table[name])
    missing = {name: table[name].null_count for name in table.column_names if name not in levels}
    order = np.random.default_rng(0).permutation(table.num_rows)
    return Window((table.take(pa.array(order)).combine_chunks(),), table.num_rows, levels, missing, dict(reasons))
