"""Built images, where buildah has them: what their history tells, and their bill of materials.

`images/build` makes them; ``FRONTDESK_TEST_REGISTRY`` and ``FRONTDESK_TEST_TAG`` name others than those of ``dev``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = os.environ.get("FRONTDESK_TEST_REGISTRY", "registry.local/frontdesk")
TAG = os.environ.get("FRONTDESK_TEST_TAG", "dev")


@pytest.fixture(scope="module", params=["serving", "gateway", "python-pipelines"])
def image(request: pytest.FixtureRequest) -> str:
    """The name of a built image."""
    name = f"{REGISTRY}/{request.param}:{TAG}"
    if shutil.which("buildah") is None or os.getuid() != 0:
        pytest.skip("there is no buildah, or it would need root")
    if subprocess.run(["buildah", "inspect", "--type", "image", name], capture_output=True, check=False).returncode:
        pytest.skip(f"{name} is not built here: images/build --tag {TAG}")
    return name


@pytest.fixture(scope="module")
def about(image: str) -> dict[str, Any]:
    """The image's configuration and history."""
    told = subprocess.run(["buildah", "inspect", "--type", "image", image], capture_output=True, check=True)
    return dict(json.loads(told.stdout)["OCIv1"])


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    """The script of the bills of materials, as a module."""
    spec = spec_from_file_location("images_sbom", ROOT / "images" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_it_runs_as_1000_and_carries_its_labels(about: dict[str, Any]) -> None:
    config = about["config"]
    assert config["User"] == "1000:1000"
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert labels["title"].startswith("frontdesk")
    assert labels["version"]
    assert not [value for value in config["Env"] if re.search(r"INDEX|CERT|PASSWORD|TOKEN", value)]


def test_its_history_names_no_address_and_no_secret(about: dict[str, Any]) -> None:
    ours = [step.get("created_by", "") for step in about["history"] if "FROM" not in step.get("created_by", "")]
    assert not re.search(r"\w+://", "\n".join(ours))


def test_nothing_of_the_build_is_left_in_it(image: str, sbom: ModuleType) -> None:
    with sbom.mounted(image) as root:
        for folder in ("tmp", "run/secrets", "run/uv-cache", "root/.cache/uv", "var/cache/apt", "var/lib/apt/lists"):
            left = [path.name for path in (root / folder).rglob("*") if path.is_file() and path.name != "lock"]
            assert not left, f"/{folder}: {left}"
        packages = next(root.glob("opt/frontdesk/lib/python3*/site-packages"))
        assert not {"pip", "uv"} & {path.name for path in packages.iterdir()}
        for told in packages.glob("*.dist-info/direct_url.json"):
            assert json.loads(told.read_text("utf-8"))["url"] == "file:///src", told
        assert list(packages.glob("frontdesk/__pycache__/*.pyc"))


def test_its_bill_of_materials_agrees_with_the_lock(image: str, sbom: ModuleType) -> None:
    written = sbom.bill(image)
    bill = json.loads(written)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert written == sbom.bill(image)
    locked = set(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.lock").read_text("utf-8")))
    kinds = {"pypi": set(), "deb": set()}  # type: dict[str, set[tuple[str, str]]]
    for one in bill["components"]:
        kinds[re.match(r"pkg:(\w+)/", one["purl"])[1]].add((one["name"], one["version"]))  # type: ignore[index]
    assert {name for name, _ in kinds["pypi"] - locked} == {"frontdesk"}
    assert "libc6" in {name for name, _ in kinds["deb"]}
