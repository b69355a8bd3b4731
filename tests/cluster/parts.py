"""Parts of a desk for tests that need no whole one: what the chart makes for servers and pipelines, and a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from frontdesk.golden_questions import count_wrong, golden_questions
from tests.cluster.calling import SECURITY, Caller
from tests.cluster.kubectl import Helm
from tests.cluster.release import CHART, SMALL, Images, S3Address

KINDS = ("ServingRuntime", "ServiceAccount", "Role", "RoleBinding")
TEMPLATES = "frontdesk-inference-services"


def ticket_parts(
    namespace: str, pipelines: str, images: Images, s3_address: S3Address, store: str, folder: Path
) -> list[dict[str, Any]]:
    """Return what the chart makes for a ticket server that a deploy step gives its model, and for the step itself.

    Args:
        pipelines: namespace of the steps.
        folder: for the file of values.
    """
    scheme = "https" if s3_address.secure else "http"
    values = {
        "image": {"registry": images.registry, "tag": images.tag},
        "store": store,
        "s3": {"endpoint": f"{scheme}://{s3_address.endpoint}", "region": s3_address.region},
        "database": {"url": "postgresql://desk@nowhere/desk"},
        "serving": {"resources": SMALL},
        "recipes": {"ticket": {"maxReplicas": 1}, "email": {"enabled": False}, "intent": {"enabled": False}},
        "pipelines": {"namespace": pipelines},
    }
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    text = Helm(namespace).run("template", "frontdesk", str(CHART), "--values", str(file))
    objects = [one for one in yaml.safe_load_all(text) if one and "helm.sh/hook" not in str(one["metadata"])]
    return [one for one in objects if one["kind"] in KINDS or one["metadata"]["name"] == TEMPLATES]


def registry_server(image: str) -> list[dict[str, Any]]:
    """Return an MLflow server that keeps everything in its pod."""
    labels = {"app": "mlflow"}
    kept = ("--backend-store-uri", "sqlite:////tmp/mlflow.db", "--artifacts-destination", "/tmp/artifacts")
    served = ("--host", "0.0.0.0", "--port", "5000", "--workers", "1", "--allowed-hosts", "*")
    container = {
        "name": "mlflow",
        "image": image,
        "command": ["python3", "-m", "mlflow", "server", *served, *kept],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "MLFLOW_DISABLE_TELEMETRY", "value": "true"}],
        "resources": {"requests": {"cpu": "20m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": 5000}, "timeoutSeconds": 5},
        "securityContext": SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    template = {"metadata": {"labels": labels}, "spec": spec}
    about = {"name": "mlflow", "labels": labels}
    replicas = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    ports = {"selector": labels, "ports": [{"port": 5000}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": replicas},
        {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": ports},
    ]


def ask_ticket(caller: Caller, namespace: str, bundle: str) -> tuple[set[str], int]:
    """Ask the ticket service a bundle's golden questions; return the models that answer and how many are wrong."""
    questions = golden_questions(bundle)
    url = f"http://ticket-predictor.{namespace}.svc.cluster.local/v1/models/ticket:predict"
    answers = caller.ask(url, {"instances": [one["instance"] for one in questions]})["predictions"]
    return {one["model_id"] for one in answers}, count_wrong(questions, answers)
