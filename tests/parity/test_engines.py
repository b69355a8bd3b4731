"""Every engine computes what the network computes, on hostile rows and for every shape of a spec."""

import numpy as np
import onnx
import pytest

from frontdesk.engines import ORDER, open_engine
from frontdesk.fusion import EQUAL, fuse_network, prove_in_spark
from frontdesk.requests import validate
from tests.hostile import hostile_rows
from tests.small_network import LEVELS, small_spec, write_network

SHAPES = {
    "all": {},
    "factorised": {"contact_types": 300},
    "no phrases": {"phrases": 0},
    "no categories": {"categorical": ()},
    "no numbers": {"numeric": ()},
    "no time": {"numeric": ("order_total",)},
    "text only": {"categorical": (), "numeric": ()},
    "no text": {"text": (), "words": 0, "phrases": 0},
    "contact type only": {"heads": ("contact_type",)},
    "reply only": {"heads": ("reply",)},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_engines_agree_with_torch(tmp_path, shape):
    spec = small_spec(**SHAPES[shape])
    sizes = {"wide_rank": 16} if shape == "factorised" else {}
    bundle = fuse_network(write_network(tmp_path / "network", spec, **sizes), spec, "s", tmp_path / "bundle")
    numeric = tuple(name for name in spec.numeric if name != "created_at")
    fields = {"text": spec.text, "categorical": tuple(spec.categorical), "numeric": numeric}
    instances = hostile_rows(100, seed=4, levels=LEVELS, words=spec.vocabulary, **fields)
    if "created_at" not in spec.numeric:
        for instance in instances:
            del instance["created_at"]
    columns = validate(instances, spec)
    expected = open_engine(bundle, spec, "eager").probabilities(columns, len(instances))
    for name in ORDER:
        found = open_engine(bundle, spec, name).probabilities(columns, len(instances))
        for head, values in expected.items():
            assert np.abs(found[head] - values).max() <= EQUAL
            assert not np.isnan(values).any()
            assert (found[head].argmax(1) == values.argmax(1)).all()
            if spec.text:
                assert len(np.unique(values.round(5), axis=0)) > 30  # the rows are not all alike


def test_the_graph_is_portable(tmp_path):
    spec = small_spec()
    bundle = fuse_network(write_network(tmp_path / "network", spec), spec, "s", tmp_path / "bundle")
    model = onnx.load(bundle / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {"", "ai.onnx.ml"}
    assert "StringNormalizer" not in {node.op_type for node in model.graph.node}  # it depends on a locale
    assert [value.name for value in model.graph.input] == [
        "text",
        "category.channel",
        "category.product",
        "number.created_at",
        "number.order_total",
    ]
    assert [value.name for value in model.graph.output] == ["contact_type", "reply"]


def test_the_bundle_inside_spark_gives_the_golden_answers(spark, tmp_path):
    spec = small_spec()
    bundle = fuse_network(write_network(tmp_path / "network", spec), spec, "s", tmp_path / "bundle")
    assert prove_in_spark(bundle) >= 50
