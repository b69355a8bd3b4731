"""Bundles from ``file://`` and ``s3://`` are served, and verified while they are loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from frontdesk.bundle import Bundle, manifest_at
from frontdesk.errors import BundleError
from frontdesk.storage import Store, canonical_json, write_atomically
from tests.s3_server import S3
from tests.serving.process import ServerProcess


def test_bundles_are_served_from_s3_and_file(
    s3: S3, ticket_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model_id = manifest_at(str(ticket_bundle))["model_id"]
    store = Store(s3.uri("served"))
    store.upload(ticket_bundle, "models", "ticket", model_id)
    there = store.uri("models", "ticket", model_id)
    pointer = {"model_id": model_id, "uri": there, "version": 1}
    store.put(canonical_json(pointer), "models", "ticket", "current.json")
    for number, arguments in enumerate(([f"file://{ticket_bundle}"], ["ticket", "--store", store.root])):
        with ServerProcess(["-m", "frontdesk.serving", *arguments], tmp_path / f"log{number}") as server:
            answer = server.client.post("/v1/models/ticket:predict", json={"instances": [{"body": "lost card"}]})
            assert answer.json()["predictions"][0]["model_id"] == model_id
    assert Bundle.load(there).model_id == model_id


def test_an_altered_bundle_in_s3_is_refused(
    s3: S3, ticket_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = tmp_path / "bundle"
    shutil.copytree(ticket_bundle, copy)
    content = (copy / "policy.json").read_bytes()
    write_atomically(copy / "policy.json", content.replace(b"0", b"1", 1))
    store = Store(s3.uri("altered"))
    store.upload(copy, "bundle")
    with pytest.raises(BundleError, match=r"policy\.json"):
        Bundle.load(store.uri("bundle"))
    assert not list((tmp_path / "cache").rglob("policy.json")), "nothing of it is kept"
