"""``frontdesk doctor`` without a cluster. What it finds in one is asked in ``tests/cluster``."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from frontdesk.cli import main
from frontdesk.errors import ClusterError


def test_the_machine_is_told_as_json() -> None:
    result = CliRunner().invoke(main.app, ["doctor", "--json"])
    findings = orjson.loads(result.output)["findings"]
    assert [one["name"] for one in findings] == ["Java", "extras", "memory", "accelerator", "store"]
    assert all(set(one) == {"name", "state", "words", "remedy"} for one in findings)
    assert result.exit_code == int(any(one["state"] == "missing" for one in findings))


def test_a_namespace_is_one_of_a_cluster(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["frontdesk", "doctor", "--namespace", "desk"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    assert "--cluster" in capsys.readouterr().err


def test_no_cluster_is_an_error_that_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    result = CliRunner().invoke(main.app, ["doctor", "--cluster"])
    assert isinstance(result.exception, ClusterError)
    assert result.exception.where == "KUBECONFIG"
