"""Pods that trust a key open what it signed, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frontdesk.bundle import manifest_at
from frontdesk.bundle.signature import sign_bundle
from tests.cluster.calling import Caller, answered
from tests.cluster.conftest import doctor
from tests.cluster.kubectl import Kubectl, until
from tests.cluster.questions import questions
from tests.cluster.release import Images, Release, S3Address, database_secret, s3_secret
from tests.signing_keys import key_pair

pytestmark = pytest.mark.cluster
PODS = "serving.kserve.io/inferenceservice=ticket"


def test_a_bundle_that_no_trusted_key_signed_never_answers(
    namespaces: Callable[[str], Kubectl],
    values: dict[str, Any],
    s3_address: S3Address,
    images: Images,
    bundles: dict[str, Path],
    second_bundle: Path,
    tmp_path: Path,
) -> None:
    kubectl, keys = namespaces("trust"), key_pair(tmp_path, "ours")
    signed = tmp_path / "signed"
    shutil.copytree(bundles["ticket"], signed)
    sign_bundle(str(signed), str(keys.private))
    places = {"signed": signed, "unsigned": second_bundle}
    for name, bundle in places.items():
        s3_address.store.upload(bundle, "models", "trust", name)
    trusted = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "trusted"},
        "stringData": {"verify.pub": keys.public.read_text("utf-8")},
    }
    kubectl.apply(s3_secret(s3_address), database_secret(), trusted)
    off = {recipe: {"enabled": False} for recipe in ("email", "intent")}
    release = Release(
        kubectl, values | {"recipes": values["recipes"] | off, "trust": {"verifyKeys": {"secret": "trusted"}}}
    )

    def serve(name: str) -> None:
        release.install({"recipes": {"ticket": {"bundle": s3_address.store.uri("models", "trust", name)}}})

    serve("signed")
    kubectl.ready("ticket")
    kubectl.rolled_out("ticket-predictor")
    caller, asked = Caller(kubectl, images["serving"]), {"instances": questions("ticket", 1)}
    url, good = release.url("ticket-predictor", "/v1/models/ticket:predict"), manifest_at(str(signed))["model_id"]
    assert answered(caller, url, asked)["predictions"][0]["model_id"] == good

    serve("unsigned")
    until("the new pod has failed", lambda: kubectl.restarts(PODS) >= 1, told=kubectl.story)
    assert caller.ask(url, asked)["predictions"][0]["model_id"] == good
    code, findings = doctor(release.namespace)
    (told,) = findings["InferenceService ticket"]
    assert (code, told["state"]) == (1, "wrong")
    assert "signed" in told["words"], told
    release.uninstall()
