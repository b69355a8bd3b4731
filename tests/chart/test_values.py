"""Does the schema refuse what would fail later or silently, and does the README name every value?"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from frontdesk import cluster_rules
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.settings import Settings
from tests.chart.rendering import CHART, rendered, run_helm

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
SET_BY_THE_CHART = {"lines", "desks", "agents", "console_secret_file"}

REFUSED = {
    "a mutable tag": ("image.tag=latest", "/image/tag"),
    "a mutable image": ("database.bundled.image=docker.io/library/postgres:latest", "/database/bundled/image"),
    "an image without a tag": ("redis.bundled.image=localhost:5000/redis", "/redis/bundled/image"),
    "a digest that is none": ("image.digests.gateway=sha256:12", "/image/digests/gateway"),
    "storage that nothing fetches": ("recipes.ticket.bundle=ftp://host/model", "/recipes/ticket/bundle"),
    "a path for storage": ("recipes.ticket.bundle=models/ticket", "/recipes/ticket/bundle"),
    "an unknown shape": ("recipes.ticket.shape=both", "/recipes/ticket/shape"),
    "an unknown recipe": ("recipes.tickets.enabled=true", "tickets"),
    "a canary that gets nothing": ("recipes.ticket.canaryTrafficPercent=10", "canaryTrafficPercent"),
    "a metric that nothing follows": ("recipes.ticket.scaleMetric=rps", "scaleMetric"),
    "no replica": ("recipes.ticket.minReplicas=0", "/recipes/ticket/minReplicas"),
    "fewer at most than at least": ("recipes.ticket.minReplicas=9", "maxReplicas"),
    "fewer transformers": ("recipes.ticket.shape=separate,recipes.ticket.transformer.minReplicas=9", "maxReplicas"),
    "fewer gateways": ("gateway.autoscaling.minReplicas=9", "maxReplicas"),
    "no resources": ("recipes.ticket.resources.limits.memory=1Gi", "/recipes/ticket/resources"),
    "no memory limit": ("serving.resources.limits=null", "/serving/resources"),
    "a pinned model that is followed": (
        "recipes.ticket.followStore=true,recipes.ticket.bundle=s3://a/b",
        "/recipes/ticket/bundle",
    ),
    "two parts that follow": ("recipes.ticket.followStore=true,recipes.ticket.shape=separate", "/recipes/ticket/shape"),
    "a password in the address": ("database.url=postgresql://desk:secret@host/desk", "/database/url"),
    "another database": ("database.url=mysql://desk@host/desk", "/database/url"),
    "credentials of the object store": ("s3.endpoint=http://key:secret@minio:9000", "/s3/endpoint"),
    "a store that pods do not share": ("store=/var/store", "/store"),
    "an unknown setting": ("gateway.settings.holdout=0.1", "holdout"),
    "features without a folder": ("features.enabled=true,redis.enabled=true", "/features/folder"),
    "features without Redis": ("features.enabled=true,features.folder=s3://a/b", "/redis/enabled"),
    "rollouts without a registry": ("rollouts.enabled=true", "/mlflow"),
    "schedules without a server": (
        "pipelines.schedules[0].name=a,pipelines.schedules[0].cron=1 1 * * *,mlflow=http://mlflow",
        "/pipelines/kfp/address",
    ),
    "an ingress without a host": ("ingress.enabled=true", "/ingress/host"),
    "a route without a parent": (
        "httpRoute.enabled=true,httpRoute.hostnames[0]=a.example.com",
        "/httpRoute/parentRefs",
    ),
    "a schedule that is none": ("watching.schedule=hourly", "/watching/schedule"),
    "root": ("redis.bundled.user=0", "/redis/bundled/user"),
    "a value that there is not": ("gatway.replicas=3", "gatway"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses(name: str) -> None:
    setting, place = REFUSED[name]
    done = run_helm("template", "frontdesk", str(CHART), "--set", setting)
    assert done.returncode != 0
    assert place in done.stderr


def test_every_object_of_the_schema_is_closed() -> None:
    def look(node: Any, path: str) -> None:
        if isinstance(node, dict):
            if "properties" in node and node.get("type") == "object":
                assert node.get("additionalProperties") is False, path
            for name, inner in node.items():
                if name not in ("if", "then", "allOf", "anyOf"):
                    look(inner, f"{path}/{name}")

    look(SCHEMA, "")


def test_it_knows_the_storage_that_the_rules_know() -> None:
    pattern = SCHEMA["definitions"]["recipe"]["properties"]["bundle"]["pattern"]
    schemes = re.search(r"\((.*)\)", pattern)
    assert schemes is not None
    assert schemes[1].replace("\\", "").split("|") == list(cluster_rules.SCHEMES)


def test_it_knows_every_setting() -> None:
    known = set(SCHEMA["properties"]["gateway"]["properties"]["settings"]["properties"])
    assert known == set(GatewaySettings.model_fields) - SET_BY_THE_CHART
    assert set(SCHEMA["properties"]["serving"]["properties"]["settings"]["properties"]) <= set(Settings.model_fields)


def test_the_version_is_the_package_s() -> None:
    from frontdesk.version import VERSION

    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == VERSION


def leaves(node: Any, path: str = "") -> list[str]:
    if not isinstance(node, dict) or not node:
        return [path]
    return [leaf for name, inner in node.items() for leaf in leaves(inner, f"{path}.{name}" if path else name)]


def test_the_readme_names_every_value_and_no_other() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    for recipe in defaults["recipes"]:
        assert defaults["recipes"][recipe] == defaults["recipes"]["ticket"]
    defaults["recipes"] = {"RECIPE": defaults["recipes"]["ticket"]}
    listed = re.findall(r"(?m)^\| `([A-Za-z0-9.]+)` \|", (CHART / "README.md").read_text())
    covered = {leaf for leaf in leaves(defaults) for name in listed if leaf == name or leaf.startswith(f"{name}.")}
    assert covered == set(leaves(defaults))
    for name in listed:
        node = defaults
        for part in name.split("."):
            assert part in node, f"there is no value {name}"
            node = node[part]


def test_what_is_set_arrives() -> None:
    manifests = rendered(
        "default",
        "gateway.settings.body_bytes=8388608",
        "gateway.settings.holdout_share=0.05",
        "gateway.settings.log_keep_labelled=true",
        "gateway.settings.log_fields.email[0]=custodian_bank",
        "gateway.settings.jwt_issuer=desk",
    )
    (gateway,) = (
        one for one in manifests if (one["kind"], one["metadata"]["name"]) == ("Deployment", "frontdesk-gateway")
    )
    given = {one["name"]: one.get("value") for one in gateway["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert given["FRONTDESK_GATEWAY_BODY_BYTES"] == "8388608"
    assert given["FRONTDESK_GATEWAY_HOLDOUT_SHARE"] == "0.05"
    assert given["FRONTDESK_GATEWAY_LOG_KEEP_LABELLED"] == "true"
    assert given["FRONTDESK_GATEWAY_LOG_FIELDS"] == '{"email":["custodian_bank"]}'
    assert given["FRONTDESK_GATEWAY_JWT_ISSUER"] == "desk"
