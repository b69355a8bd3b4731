"""Do logs go to the standard error of the moment, as one JSON line, without a customer's text?"""

from __future__ import annotations

import io
import logging

import orjson
import pytest

from frontdesk import logs


def test_a_stream_that_was_closed_since_is_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", first)
    logs.configure()
    first.close()
    monkeypatch.setattr("sys.stderr", second)
    logs.event(logging.getLogger("frontdesk.anything"), "snapshot_written", rows=10)
    line = orjson.loads(second.getvalue())
    assert (line["event"], line["rows"], line["level"]) == ("snapshot_written", 10, "INFO")


def test_an_exception_leaves_its_type_and_places_only(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    try:
        raise ValueError("the customer wrote: my card is lost")
    except ValueError:
        logging.getLogger("frontdesk.anything").exception("step_failed")
    written = capsys.readouterr().err
    line = orjson.loads(written)
    assert line["exception"] == "ValueError"
    assert line["traceback"][0].startswith("test_logs.py:")
    assert "card" not in written
