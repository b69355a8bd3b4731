"""Is a bundle's bill of materials valid CycloneDX, complete, and the same bytes every time?"""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.testing import CliRunner

from frontdesk.bundle import update_bundle
from frontdesk.bundle.materials import bill_of_materials
from frontdesk.cli.main import app
from frontdesk.deployment import enter
from frontdesk.errors import BundleError
from frontdesk.fusion import fuse_network
from frontdesk.registry import Registry
from frontdesk.storage import MANIFEST, Store, canonical_json, file_digest
from frontdesk.version import library_versions
from tests.bundles import fused
from tests.small_network import small_spec, write_network

SPEC = small_spec()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    made = fuse_network(write_network(folder / "network", SPEC), SPEC, "snapshot1", folder / "bundle")
    update_bundle(made, metrics={"test": {"reply": {"accuracy": 0.75, "n": 40}}}, card="measured")
    return made


def test_it_is_valid_and_deterministic(bundle: Path, tmp_path: Path) -> None:
    command = ["sbom", str(bundle), "--license", "LicenseRef-Desk", "--out"]
    for name in ("one", "two"):
        result = CliRunner().invoke(app, [*command, str(tmp_path / name)])
        assert result.exit_code == 0, result.output
    content = (tmp_path / "one").read_bytes()
    assert content == (tmp_path / "two").read_bytes()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    assert orjson.loads(content)["metadata"]["component"]["licenses"] == [{"expression": "LicenseRef-Desk"}]
    without = CliRunner().invoke(app, ["sbom", str(bundle)])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(without.output) is None
    assert orjson.loads(without.output)["serialNumber"] != orjson.loads(content)["serialNumber"]


def test_it_names_every_file_the_snapshot_and_the_libraries(bundle: Path) -> None:
    made = bill_of_materials(bundle)
    manifest = orjson.loads((bundle / MANIFEST).read_bytes())
    by_type: dict[str, dict[str, dict]] = {}
    for component in made["components"]:
        by_type.setdefault(component["type"], {})[component["name"]] = component
    on_disk = {path.name: file_digest(path) for path in bundle.iterdir()}
    assert {name: one["hashes"][0]["content"] for name, one in by_type["file"].items()} == on_disk
    assert list(by_type["data"]) == ["snapshot1"]
    libraries = {name: one["version"] for name, one in by_type["library"].items()}
    assert libraries.pop("frontdesk") == manifest["code"]["version"]
    assert libraries == manifest["code"]["libraries"] == library_versions()
    assert {"torch", "numpy", "onnxruntime", "pyspark"} <= set(libraries)
    assert "kserve" not in libraries
    subject = made["metadata"]["component"]
    assert (subject["version"], subject["hashes"][0]["content"]) == (manifest["model_id"], on_disk[MANIFEST])
    figures = subject["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert {"type": "accuracy", "value": "0.75", "slice": "reply"} in figures
    references = [one["bom-ref"] for one in made["components"]]
    assert sorted(references) == sorted(made["dependencies"][0]["dependsOn"])


def test_a_bundle_of_an_older_release_has_no_libraries_to_name(bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle, tmp_path / "old")
    manifest = orjson.loads((folder / MANIFEST).read_bytes())
    del manifest["code"]["libraries"]
    (folder / MANIFEST).write_bytes(canonical_json(manifest))
    made = bill_of_materials(folder)
    assert [one["name"] for one in made["components"] if one["type"] == "library"] == ["frontdesk"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(canonical_json(made).decode()) is None


def test_a_damaged_bundle_has_none(bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle, tmp_path / "damaged")
    (folder / "card.md").write_text("another")
    with pytest.raises(BundleError, match=r"card\.md"):
        bill_of_materials(folder)


def test_it_is_kept_for_every_registered_bundle_where_no_prefix_finds_it(
    bundle: Path, tmp_path: Path, empty_registry: Path
) -> None:
    registry = Registry(f"sqlite:///{shutil.copyfile(empty_registry, tmp_path / 'mlflow.db')}")
    store = Store(str(tmp_path / "store"))
    version = enter(store, registry, recipe="ticket", fused=fused(store, "one", bundle))
    kept = store.read_bytes("sboms", "ticket", f"{version.model_id}.cdx.json")
    assert kept == canonical_json(bill_of_materials(bundle))
    models = Path(store.uri("models", "ticket"))
    assert [path.name for path in models.iterdir()] == [version.model_id]
