"""A bundle is whole or refused with the bad file's name; the same training gives the same model_id."""

import random
import shutil
import subprocess
import sys

import orjson
import pytest

from frontdesk import Bundle, __version__
from frontdesk.bundle import local_copy, save_bundle, update_bundle, verify_bundle
from frontdesk.card import model_card
from frontdesk.decisions import Policy
from frontdesk.errors import BundleError, FrontdeskError, InvalidRequest, PredictorUnavailable, UnreadableFile
from frontdesk.fusion import fuse_classical, fuse_network
from frontdesk.golden import golden_inputs, golden_table
from frontdesk.storage import MANIFEST, Store, canonical_json
from frontdesk.taxonomy import Taxonomy
from tests.small_network import small_spec, write_network

SPEC = small_spec()
FILES = {
    "model.onnx",
    "weights.safetensors",
    "config.json",
    "spec.json",
    "taxonomy.json",
    "policy.json",
    "metrics.json",
    "golden.parquet",
    "card.md",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return fuse_network(write_network(folder / "network", SPEC), SPEC, "snapshot1", folder / "bundle")


@pytest.fixture
def bundle(made, tmp_path):
    return shutil.copytree(made, tmp_path / "bundle")


def test_the_files_are_those_of_the_format(made):
    manifest = orjson.loads((made / MANIFEST).read_bytes())
    assert {path.name for path in made.iterdir()} == FILES | {MANIFEST}
    assert set(manifest["files"]) == FILES
    assert (manifest["format"], manifest["recipe"], manifest["snapshot"]) == (1, "ticket", "snapshot1")
    assert manifest["taxonomy"] == Taxonomy.of(SPEC).version
    assert manifest["code"]["version"] == __version__
    assert [path.name for path in made.parent.iterdir() if path.name.startswith(".")] == []


def test_the_same_training_gives_the_same_bytes(made, tmp_path):
    again = fuse_network(write_network(tmp_path / "network", SPEC), SPEC, "snapshot1", tmp_path / "bundle")
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in made.iterdir()
    }
    other = fuse_network(tmp_path / "network", SPEC, "snapshot2", tmp_path / "other")
    assert verify_bundle(other)["model_id"] != verify_bundle(made)["model_id"]


def test_answers_hold_every_head_and_only_labels_of_the_catalogue(made):
    loaded = Bundle.load(made)
    answers = loaded.predict([{"subject": "word1 word2", "product": "web", "order_total": 3}, {}])
    assert [answer.model_id for answer in answers] == [loaded.model_id] * 2
    for answer in answers:
        assert set(answer.labels) == {"contact_type", "reply"}
        for head, labels in answer.labels.items():
            ranked = [labels.label, *(one.label for one in labels.alternatives)]
            assert set(ranked) <= set(SPEC.labels[head])
            assert len(set(ranked)) == 5
            assert labels.confidence >= labels.alternatives[0].confidence >= labels.alternatives[-1].confidence >= 0
    assert {labels.reason for labels in answers[1].labels.values()} == {"no_text"}
    assert loaded.predict([]) == []
    assert orjson.loads(answers[0].model_dump_json())["labels"]["reply"]["decision"] in ("auto", "suggest", "abstain")
    with pytest.raises(InvalidRequest, match=r"instances\[1\].subject"):
        loaded.predict([{}, {"subject": 1}])


def test_a_bundle_does_not_need_torch(made):
    code = (
        "import sys, frontdesk; assert 'numpy' not in sys.modules; "
        f"frontdesk.Bundle.load({str(made)!r}).predict([{{}}]); "
        "assert not {'torch', 'onnx', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_altered_file_is_named(bundle, name):
    content = bytearray((bundle / name).read_bytes() or b"x")
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match="altered") as refused:
        Bundle.load(bundle)
    assert refused.value.where == name


@pytest.mark.parametrize("name", ["model.onnx", "golden.parquet"])
def test_missing_truncated_and_extra_files_are_named(bundle, name):
    (bundle / name).write_bytes((bundle / name).read_bytes()[:-1])
    with pytest.raises(BundleError, match=name):
        Bundle.load(bundle)
    (bundle / name).unlink()
    with pytest.raises(BundleError, match="missing") as refused:
        Bundle.load(bundle)
    assert refused.value.where == name


def test_a_file_that_is_not_listed_is_named(bundle):
    (bundle / "notes.txt").write_text("x")
    with pytest.raises(BundleError, match="not list") as refused:
        Bundle.load(bundle)
    assert refused.value.where == "notes.txt"


def _set(**values):
    return lambda manifest: manifest.update(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set(format=2), "bundle format 2 is not 1. Use the release"),
        (_set(model_kind="quantum"), "unknown model kind"),
        (_set(model_id="0" * 20), "altered"),
        (_set(snapshot="other"), "altered"),
        (_set(files=[]), "cannot be read"),
        (lambda manifest: manifest["files"].pop("policy.json"), "policy.json"),
        (lambda manifest: manifest["files"].update({"../evil": manifest["files"]["card.md"]}), "plain name"),
        (lambda manifest: manifest["files"].update({"/etc/passwd": manifest["files"]["card.md"]}), "plain name"),
        (lambda manifest: manifest["files"].update({".hidden": manifest["files"]["card.md"]}), "plain name"),
        (lambda manifest: manifest.pop("snapshot"), "cannot be read"),
    ],
)
def test_a_wrong_manifest_is_refused(bundle, change, words):
    manifest = orjson.loads((bundle / MANIFEST).read_bytes())
    change(manifest)
    (bundle / MANIFEST).write_bytes(canonical_json(manifest))
    with pytest.raises(BundleError, match=words.replace(".", r"\.")):
        Bundle.load(bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": 1}'])
def test_a_manifest_that_is_none_is_refused(bundle, content):
    (bundle / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle.load(bundle)


def test_no_bundle_at_all(tmp_path):
    with pytest.raises(BundleError, match="no manifest"):
        Bundle.load(tmp_path)
    with pytest.raises(BundleError, match="no manifest"):
        Bundle.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["spec.json", "taxonomy.json", "policy.json", "config.json", "weights.safetensors"])
def test_a_consistent_manifest_over_nonsense_is_still_a_clear_error(made, tmp_path, name):
    """Someone may sign anything: what cannot be understood is refused, never a traceback of another kind."""
    files = {entry: made / entry for entry in ("model.onnx", "weights.safetensors", "config.json")}
    inputs, rows = golden_inputs(SPEC)
    expected = Bundle.load(made).probabilities(inputs, rows)
    policy = Policy.from_json(orjson.loads((made / "policy.json").read_bytes()))
    for nonsense in (b"{}", b"[1]", b"\x00"):
        target = tmp_path / "signed"
        save_bundle(
            target,
            recipe="ticket",
            model_kind="ticket-network",
            files=files,
            spec=SPEC.to_json(),
            policy=policy.to_json(),
            taxonomy=Taxonomy.of(SPEC).to_json(),
            metrics={},
            golden=golden_table(inputs, expected, SPEC),
            card="",
            snapshot="s",
        )
        (target / name).write_bytes(nonsense)
        _sign(target)
        with pytest.raises(FrontdeskError):
            Bundle.load(target, engine="word-tables")


def _sign(folder):
    from frontdesk.bundle.folder import model_id_of
    from frontdesk.storage import describe

    manifest = orjson.loads((folder / MANIFEST).read_bytes()) | {"files": describe(folder)}
    (folder / MANIFEST).write_bytes(canonical_json(manifest | {"model_id": model_id_of(manifest)}))


def test_an_evaluation_enters_a_bundle_without_another_id(bundle):
    before = verify_bundle(bundle)
    update_bundle(bundle, metrics={"test": {"reply": {"accuracy": 0.5}}}, card="# Card\n")
    after = Bundle.load(bundle)
    assert after.model_id == before["model_id"]
    assert after.metrics["test"]["reply"]["accuracy"] == 0.5
    assert (bundle / "card.md").read_text() == "# Card\n"
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_a_failed_save_leaves_the_old_bundle(bundle):
    before = verify_bundle(bundle)
    with pytest.raises(BundleError, match="plain name"):
        save_bundle(
            bundle,
            recipe="ticket",
            model_kind="ticket-network",
            files={"../model.onnx": b""},
            spec=SPEC.to_json(),
            policy=Policy({}).to_json(),
            taxonomy=Taxonomy.of(SPEC).to_json(),
            metrics={},
            golden=golden_table(golden_inputs(SPEC)[0], {}, SPEC),
            card="",
            snapshot="s",
        )
    assert verify_bundle(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_the_card_shows_what_was_measured_beside_the_baselines(made):
    loaded = Bundle.load(made)
    measured = {"accuracy": 0.81234, "macro_f1": 0.5, "top3": 0.9, "n": 1234}
    metrics = {
        "test": {"reply": measured},
        "baselines": {"majority": {"reply": {**measured, "accuracy": 0.1}}},
        "calibration": {"reply": {"ece": 0.0123}},
    }
    parts = {"spec": loaded.spec, "policy": loaded.policy}
    card = model_card(recipe="ticket", model_kind="ticket-network", snapshot="s1", metrics=metrics, **parts)
    assert "| reply | this model | 0.8123 | 0.5000 | 0.9000 | 1,234 |" in card
    assert "| reply | majority | 0.1000 |" in card
    assert "| reply | 0.0123 |" in card
    assert "`s1`" in card
    assert "Not evaluated yet" in (made / "card.md").read_text()


def test_the_classical_model_makes_a_bundle_too(tmp_path):
    from frontdesk.ticket.classical import Knobs, fit

    draw = random.Random(0)
    rows = [{"body": f"word{draw.randrange(60)} word{draw.randrange(60)}"} for _ in range(200)]
    columns = {name: [row.get(name) for row in rows] for name in SPEC.fields}
    for head, labels in SPEC.labels.items():
        columns[head] = [labels[int(row["body"].split()[0][4:]) % len(labels)] for row in rows]
    knobs = Knobs(topics=4, candidates=5, negatives=3, folds=3, rounds=5)
    (tmp_path / "classical").mkdir()
    model, _ = fit([(columns, len(rows))], SPEC, 0, knobs, len(rows))
    model.save(tmp_path / "classical")
    bundle = fuse_classical(tmp_path / "classical", SPEC, "snapshot1", tmp_path / "bundle")
    loaded = Bundle.load(bundle)
    assert loaded.manifest["model_kind"] == "ticket-classical"
    answer = loaded.predict([{"subject": "word3"}])[0]
    assert {labels.decision for labels in answer.labels.values()} <= {"suggest", "abstain"}  # no thresholds were learnt
    (bundle / "reply.ranker.txt").unlink()
    with pytest.raises(BundleError, match=r"reply\.ranker\.txt"):
        Bundle.load(bundle)


def test_a_bundle_loads_from_s3_by_way_of_a_verified_copy(made, s3, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Store(s3.uri("models")).upload(made, "one")
    assert Bundle.load(s3.uri("models/one")).model_id == verify_bundle(made)["model_id"]
    copy = local_copy(s3.uri("models/one"))
    assert copy.parent == tmp_path / "cache" / "frontdesk" / "bundles"
    assert verify_bundle(copy) == verify_bundle(made)

    damaged = shutil.copytree(made, tmp_path / "damaged")
    update_bundle(damaged, metrics={"x": 1}, card="")
    content = bytearray((damaged / "model.onnx").read_bytes())
    content[100] ^= 1
    (damaged / "model.onnx").write_bytes(content)
    Store(s3.uri("models")).upload(damaged, "two")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        Bundle.load(s3.uri("models/two"))
    with pytest.raises(UnreadableFile):
        Bundle.load(s3.uri("models/none"))
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_the_ends_of_a_bundle_need_nothing_of_its_model(bundle):
    for name in ("model.onnx", "weights.safetensors", "golden.parquet"):
        (bundle / name).unlink()
    opened = Bundle.load(bundle, ends=True)
    encoded = opened.encode([{"subject": "refund"}])
    with pytest.raises(PredictorUnavailable):
        opened.run(encoded.asked)
    with pytest.raises(BundleError):
        Bundle.load(bundle)


@pytest.mark.parametrize("name", ["spec.json", "taxonomy.json", "policy.json", "metrics.json"])
def test_what_the_ends_read_is_verified(bundle, name):
    (bundle / name).write_bytes((bundle / name).read_bytes() + b" ")
    with pytest.raises(BundleError, match="altered"):
        Bundle.load(bundle, ends=True)
