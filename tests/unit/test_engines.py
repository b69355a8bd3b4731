"""Engines agree with the golden rows or are refused; one row alone answers as it does among others."""

import numpy as np
import orjson
import pytest

from frontdesk.engines import ENGINES, ORDER, open_engine, word_tables
from frontdesk.errors import BundleError, UsageError
from frontdesk.fusion import fuse_network
from frontdesk.golden import golden_inputs, read_golden
from frontdesk.storage import canonical_json
from tests.small_network import small_spec, write_network

SPEC = small_spec()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("engines")
    return fuse_network(write_network(place / "network", SPEC), SPEC, "s", place / "bundle")


def test_auto_chooses_a_candidate(folder):
    assert open_engine(folder, SPEC).name in ORDER


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_an_engine_opens_by_name_and_gives_distributions(folder, name):
    engine = open_engine(folder, SPEC, name)
    assert engine.name == name
    columns, rows = golden_inputs(SPEC)
    for head, values in engine.probabilities(columns, rows).items():
        assert values.shape == (rows, len(SPEC.labels[head]))
        assert values.dtype == np.float32
        assert np.allclose(values.sum(1), 1, atol=1e-5)
    nothing = engine.probabilities({field: [] for field in SPEC.fields}, 0)
    assert {head: values.shape for head, values in nothing.items()} == {"contact_type": (0, 30), "reply": (0, 7)}


def test_an_unknown_engine_lists_the_known_ones(folder):
    with pytest.raises(UsageError, match="word-tables, graph, eager"):
        open_engine(folder, SPEC, "quantum")


@pytest.mark.parametrize("name", ["word-tables", "graph"])
def test_a_row_alone_answers_as_among_others(folder, name):
    engine = open_engine(folder, SPEC, name)
    columns, rows = golden_inputs(SPEC)
    together = engine.probabilities(columns, rows)
    for row in range(0, rows, 5):
        alone = engine.probabilities({field: [values[row]] for field, values in columns.items()}, 1)
        for head in SPEC.labels:
            assert np.abs(alone[head][0] - together[head][row]).max() < 1e-6
    # Many more rows than an engine takes at once, and columns that are absent.
    many = engine.probabilities({"body": columns["body"] * 10}, rows * 10)
    assert np.abs(many["reply"][:rows] - many["reply"][-rows:]).max() < 1e-6


def test_tables_that_would_be_too_large_are_computed_as_they_are_needed(folder, monkeypatch):
    monkeypatch.setattr(word_tables, "MAX_TABLE_BYTES", 0)
    engine = word_tables.WordTablesEngine(folder, SPEC)
    assert engine._words._table is None
    assert read_golden(folder).difference(engine) < 1e-6


def test_an_engine_that_differs_from_the_golden_rows_is_refused(folder, tmp_path):
    import shutil

    altered = shutil.copytree(folder, tmp_path / "altered")
    other = write_network(tmp_path / "network", SPEC, seed=1)
    shutil.copyfile(other / "weights.safetensors", altered / "weights.safetensors")
    with pytest.raises(BundleError, match="word-tables differs from the golden rows"):
        open_engine(altered, SPEC, "word-tables")
    assert open_engine(altered, SPEC).name == "graph"  # model.onnx still tells the truth
    (altered / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match="differs"):
        open_engine(altered, SPEC)


@pytest.mark.parametrize("change", [{"spec": "0"}, {"network": {"heads": {}}}, {"network": None}])
def test_sizes_of_another_training_are_refused(folder, tmp_path, change):
    content = orjson.loads((folder / "config.json").read_bytes()) | change
    (tmp_path / "config.json").write_bytes(canonical_json(content))
    with pytest.raises(BundleError, match=r"config\.json"):
        ENGINES["word-tables"](tmp_path, SPEC)


def test_training_that_does_not_fit_the_graph_makes_no_bundle(tmp_path, monkeypatch):
    from frontdesk import fusion

    network = write_network(tmp_path / "network", SPEC)
    monkeypatch.setattr(fusion, "EQUAL", 0.0)  # no engine adds in torch's order
    with pytest.raises(BundleError, match="other probabilities than the reference"):
        fuse_network(network, SPEC, "s", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
