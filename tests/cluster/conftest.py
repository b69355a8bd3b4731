"""A cluster, images on its nodes, bundles in its object store, and namespaces to break things in.

`docs/cluster.md` says which variables tell where these are.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest

from frontdesk.bundle import manifest_at
from frontdesk.storage import filesystem
from frontdesk.version import code_digest
from tests.cluster.calling import Caller
from tests.cluster.kubectl import Kubectl, program
from tests.cluster.release import SMALL, Images, Release, S3Address, database_secret, s3_secret

ROOT = Path(__file__).resolve().parents[2]
RESTRICTED = {f"pod-security.kubernetes.io/{level}": "restricted" for level in ("enforce", "warn")}
OURS = {"frontdesk/test": "cluster"}
RECIPES = ("email", "intent", "ticket")


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """Skip what needs a cluster where there is none."""
    if "KUBECONFIG" not in os.environ:
        pytest.skip("KUBECONFIG names no cluster (docs/cluster.md)")
    ran = subprocess.run(
        [program("kubectl"), "get", "--raw", "/readyz"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, f"the cluster of KUBECONFIG does not answer: {ran.stderr}"


@pytest.fixture(scope="session")
def images() -> Images:
    """The images under test; `images/build` makes them, and nodes must have them or reach their registry."""
    return Images(
        os.environ.get("FRONTDESK_TEST_REGISTRY", "registry.local/frontdesk"),
        os.environ.get("FRONTDESK_TEST_TAG", "dev"),
    )


@pytest.fixture(scope="session")
def run_name() -> str:
    """Return what tells this run from others on the same cluster."""
    return os.environ.get("FRONTDESK_TEST_NAME") or secrets.token_hex(3)


@pytest.fixture(scope="session")
def s3_address(run_name: str) -> Iterator[S3Address]:
    """The object store of ``AWS_ENDPOINT_URL``, with a place of this run that is emptied afterwards."""
    address = os.environ.get("AWS_ENDPOINT_URL")
    if address is None:
        pytest.skip("AWS_ENDPOINT_URL names no object store that pods reach (docs/cluster.md)")
    scheme, _, host = address.rpartition("://")
    bucket = os.environ.get("FRONTDESK_TEST_BUCKET", "frontdesk-test")
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    yield S3Address(host.rstrip("/"), scheme == "https", region, f"s3://{bucket}/{run_name}")
    files, path = filesystem(f"s3://{bucket}/{run_name}")
    if files.get_file_info(path).type == pafs.FileType.Directory:
        files.delete_dir(path)


@pytest.fixture(scope="session")
def bundles(request: pytest.FixtureRequest) -> dict[str, Path]:
    """A small bundle of each recipe: those of ``FRONTDESK_TEST_BUNDLES``, else trained, and kept in pytest's cache."""
    if (folder := os.environ.get("FRONTDESK_TEST_BUNDLES")) is not None:
        return {recipe: Path(folder) / recipe for recipe in RECIPES}
    kept = Path(request.config.cache.mkdir(f"bundles-{code_digest()[:16]}"))
    made: dict[str, Callable[[], Path]] = {
        "email": lambda: request.getfixturevalue("email_run").bundle,
        "intent": lambda: request.getfixturevalue("intent_run").bundle,
        "ticket": lambda: request.getfixturevalue("ticket_bundle"),
    }
    for recipe, make in made.items():
        if not (kept / recipe / "manifest.json").is_file():
            shutil.copytree(make(), kept / f".{recipe}", dirs_exist_ok=True)
            (kept / f".{recipe}").rename(kept / recipe)
    return {recipe: kept / recipe for recipe in RECIPES}


@pytest.fixture(scope="session")
def second_bundle(request: pytest.FixtureRequest, bundles: dict[str, Path]) -> Path:
    """Another model of the ticket recipe, as a later lifecycle would make it: the classical one."""
    kept = bundles["ticket"].with_name("ticket-classical")
    if not (kept / "manifest.json").is_file():
        shutil.copytree(request.getfixturevalue("ticket_bundles").classical, kept.with_name(".classical"))
        kept.with_name(".classical").rename(kept)
    return kept


@pytest.fixture(scope="session")
def stored(bundles: dict[str, Path], s3_address: S3Address) -> dict[str, str]:
    """The addresses of the bundles in the object store."""
    return {recipe: put(s3_address, folder) for recipe, folder in bundles.items()}


def put(s3_address: S3Address, bundle: Path) -> str:
    """Copy a bundle to where deployed models lie; return its address."""
    manifest = manifest_at(str(bundle))
    parts = ("models", manifest["recipe"], manifest["model_id"])
    s3_address.store.upload(bundle, *parts)
    return s3_address.store.uri(*parts)


@pytest.fixture(scope="session")
def namespaces(run_name: str) -> Iterator[Callable[[str], Kubectl]]:
    """Make namespaces under Pod Security ``restricted``; they go at the end, with everything in them."""
    made: list[str] = []

    def make(name: str) -> Kubectl:
        full = f"frontdesk-test-{run_name}-{name}"
        Kubectl().apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": full, "labels": RESTRICTED | OURS}}
        )
        made.append(full)
        return Kubectl(full)

    yield make
    for name in made:
        remove_namespace(name)


def remove_namespace(name: str) -> None:
    """Delete a namespace; InferenceServices first, while their controller can still let go of them."""
    kubectl = Kubectl(name)
    kubectl.tried("delete", "isvc", "--all", "--timeout=60s")
    kubectl.tried("delete", "pods", "--all", "--grace-period=1", "--wait=false")
    Kubectl().run("delete", "namespace", name, "--ignore-not-found", "--timeout=120s")


def doctor(namespace: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run ``frontdesk doctor --cluster --json``; return its exit code and its findings by name."""
    import orjson

    command = [sys.executable, "-m", "frontdesk.cli.main", "doctor", "--cluster", "--namespace", namespace, "--json"]
    ran = subprocess.run([*command, *arguments], capture_output=True, timeout=120, check=False)
    assert ran.stdout, ran.stderr.decode()
    content = orjson.loads(ran.stdout)
    assert "findings" in content, content
    found: dict[str, Any] = {}
    for finding in content["findings"]:
        found.setdefault(finding["name"], []).append(finding)
    return ran.returncode, found


@pytest.fixture(scope="session")
def values(images: Images, s3_address: S3Address, stored: dict[str, str]) -> dict[str, Any]:
    """Values of the chart for a small node: every recipe pinned to a bundle, its own place in the object store.

    A start takes many times the CPU that is asked for, so autoscalers, which are there, may not add pods.
    """
    scheme = "https" if s3_address.secure else "http"
    postgres = os.environ.get("FRONTDESK_TEST_POSTGRES", "registry.local/frontdesk/postgres:15")
    recipe = {"resources": SMALL, "transformer": {"resources": SMALL}, "minReplicas": 1, "maxReplicas": 1}
    return {
        "image": {"registry": images.registry, "tag": images.tag},
        "store": s3_address.prefix,
        "s3": {"endpoint": f"{scheme}://{s3_address.endpoint}", "region": s3_address.region},
        "database": {"bundled": {"enabled": True, "image": postgres, "storage": "", "resources": SMALL}},
        "serving": {"resources": SMALL},
        "recipes": {name: recipe | {"bundle": stored[name]} for name in RECIPES},
        "gateway": {"resources": SMALL, "replicas": 1, "autoscaling": {"minReplicas": 1, "maxReplicas": 1}},
    }


@pytest.fixture(scope="session")
def desk(namespaces: Callable[[str], Kubectl], values: dict[str, Any], s3_address: S3Address) -> Iterator[Release]:
    """The chart with three recipes and the gateway, for every test that leaves it as it found it."""
    kubectl = namespaces("desk")
    release = Release(kubectl, values)
    kubectl.apply(s3_secret(s3_address), database_secret())
    release.install()
    kubectl.ready(*RECIPES)
    yield release
    release.uninstall()


@pytest.fixture(scope="session")
def caller(desk: Release, images: Images) -> Caller:
    """A client beside the desk."""
    return Caller(desk.kubectl, images["serving"])
