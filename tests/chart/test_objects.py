"""Are the objects of every scenario what a cluster needs: restricted, pinned, bound to each other, without secrets?"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

import frontdesk.settings
from frontdesk.cluster_rules import problems
from frontdesk.monitoring.plan import plan_of
from frontdesk.pipelines.cluster import cluster_of
from frontdesk.pipelines.schedules import parse_schedules
from frontdesk.recipes import names
from frontdesk.serving.gateway.settings import GatewaySettings
from tests.chart.rendering import (
    CHART,
    NAMESPACE,
    ROOT,
    SCENARIOS,
    Manifest,
    containers,
    named,
    of_kind,
    pods,
    rendered,
    run_helm,
    selects,
    services,
)
from tests.unit.test_ci_examples import parse

SETTINGS: list[type[BaseSettings]] = [
    GatewaySettings,
    *(
        kind
        for _, kind in inspect.getmembers(frontdesk.settings, inspect.isclass)
        if issubclass(kind, BaseSettings) and kind is not BaseSettings
    ),
]
every = pytest.mark.parametrize("scenario", SCENARIOS)


def environment(container: Manifest) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container.get("env", ())}


@every
def test_lint_has_nothing_to_say(scenario: str) -> None:
    values = [] if scenario == "default" else ["--values", str(CHART / "ci" / f"{scenario}-values.yaml")]
    done = run_helm("lint", "--strict", str(CHART), *values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


@every
def test_nothing_is_silently_wrong(scenario: str) -> None:
    found = {one["metadata"]["name"]: problems(one) for one in rendered(scenario)}
    assert not {name: words for name, words in found.items() if words}


@every
def test_names_labels_and_places(scenario: str) -> None:
    manifests = rendered(scenario)
    keys = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in manifests]
    assert len(set(keys)) == len(keys)
    for one in manifests:
        about = one["metadata"]
        wanted = {f"app.kubernetes.io/{key}" for key in ("name", "instance", "component", "part-of", "managed-by")}
        assert wanted | {"app.kubernetes.io/version"} <= set(about["labels"]), about["name"]
        assert about["namespace"] in (NAMESPACE, "kubeflow"), about["name"]
        if about["namespace"] != NAMESPACE:
            assert one["kind"] in ("ServiceAccount", "Role", "RoleBinding", "PersistentVolumeClaim"), about["name"]


@every
def test_every_pod_is_restricted_and_has_what_it_needs(scenario: str) -> None:
    for name, _, spec in pods(rendered(scenario)):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
    for name, container in containers(rendered(scenario)):
        assert problems({"kind": "Pod", "spec": {"containers": [container]}}) == [], name
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError", name
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}, name
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
        assert "memory" in container["resources"]["limits"], name


@every
def test_every_mount_has_its_volume(scenario: str) -> None:
    for name, _, spec in pods(rendered(scenario)):
        there = {volume["name"] for volume in spec["volumes"]}
        used = {
            mount["name"]
            for container in [*spec.get("initContainers", ()), *spec["containers"]]
            for mount in container["volumeMounts"]
        }
        assert used == there, name


@every
def test_secrets_are_only_named(scenario: str) -> None:
    manifests = rendered(scenario)
    assert not of_kind(manifests, "Secret")
    for name, container in containers(manifests):
        for variable, value in environment(container).items():
            if re.search(r"PASSWORD|SECRET_ACCESS|ACCESS_KEY|TOKEN$", variable):
                assert set(value) == {"secretKeyRef"}, f"{name} {variable}"
            if isinstance(value, str):
                assert not re.search(r"://[^/@]*:(?!\$\()[^/@]+@", value), f"{name} {variable}"


@every
def test_our_variables_are_settings(scenario: str) -> None:
    known = {f"{kind.model_config['env_prefix']}{field}".upper() for kind in SETTINGS for field in kind.model_fields}
    seen = set()
    for name, container in containers(rendered(scenario)):
        given = [one["name"] for one in container.get("env", ())]
        assert len(set(given)) == len(given), name
        seen |= {variable for variable in given if variable.startswith("FRONTDESK_")}
    assert seen <= known
    assert "FRONTDESK_DATABASE" in seen


@every
def test_settings_are_understood(scenario: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for _, container in containers(rendered(scenario)):
        with monkeypatch.context() as patch:
            for variable, value in environment(container).items():
                if variable.startswith("FRONTDESK_") and isinstance(value, str):
                    patch.setenv(variable, value)
            for kind in SETTINGS:
                kind()


@every
def test_every_command_is_one_of_ours(scenario: str) -> None:
    seen = 0
    for name, container in containers(rendered(scenario)):
        if "/frontdesk/" not in container["image"]:
            continue
        entry = (
            ["frontdesk"] if container["image"].partition("/frontdesk/")[2].startswith(("gateway", "serving")) else []
        )
        line = [*container.get("command", entry), *container.get("args", ())]
        assert line[0] == "frontdesk", name
        parse(line[1:])
        seen += 1
    assert seen >= 2


@every
def test_accounts_have_no_more_than_they_need(scenario: str) -> None:
    manifests = rendered(scenario)
    assert not of_kind(manifests, "ClusterRole", "ClusterRoleBinding")
    for role in of_kind(manifests, "Role"):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"], role["metadata"]["name"]
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]
                assert rule["resourceNames"]
    bound = {subject["name"] for one in of_kind(manifests, "RoleBinding") for subject in one["subjects"]}
    assert bound == {"frontdesk-pipelines"}
    roles = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in of_kind(manifests, "Role")}
    accounts = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in of_kind(manifests, "ServiceAccount")}
    for binding in of_kind(manifests, "RoleBinding"):
        assert (binding["metadata"]["namespace"], binding["roleRef"]["name"]) in roles
        assert all((subject["namespace"], subject["name"]) in accounts for subject in binding["subjects"])
    for name, _, spec in pods(manifests):
        account = spec["serviceAccountName"]
        assert (NAMESPACE, account) in accounts or account == "default", name
        assert account != "frontdesk-pipelines", name
    tokenless = [
        one for one in of_kind(manifests, "ServiceAccount") if one["metadata"]["name"] != "frontdesk-pipelines"
    ]
    assert all(one["automountServiceAccountToken"] is False for one in tokenless)


@every
def test_what_is_named_is_there(scenario: str) -> None:
    manifests = rendered(scenario)
    there = {(one["kind"], one["metadata"]["name"]) for one in manifests}
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in there
        assert "replicas" not in named(manifests, target["kind"], target["name"])["spec"], "it would undo the scaling"
    for one in of_kind(manifests, "Ingress"):
        for rule in one["spec"]["rules"]:
            assert ("Service", rule["http"]["paths"][0]["backend"]["service"]["name"]) in there
    for name, _, spec in pods(manifests):
        for volume in spec["volumes"]:
            for kind, field in (("configMap", "name"), ("persistentVolumeClaim", "claimName")):
                if kind in volume:
                    assert (kind[0].upper() + kind[1:], volume[kind][field]) in there, name


@every
def test_services_and_budgets_select_pods(scenario: str) -> None:
    manifests = rendered(scenario)
    labels = [one for _, one, _ in pods(manifests)]
    for one in of_kind(manifests, "Service"):
        assert any(selects({"matchLabels": one["spec"]["selector"]}, pod) for pod in labels), one["metadata"]["name"]
    for one in of_kind(manifests, "PodDisruptionBudget"):
        assert any(selects(one["spec"]["selector"], pod) for pod in labels), one["metadata"]["name"]
    for one in of_kind(manifests, "Deployment", "StatefulSet"):
        wanted = one["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        assert set(wanted) == {f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")}, (
            "it is for ever"
        )


@every
def test_every_pod_has_its_ways_in_and_out(scenario: str) -> None:
    policies = of_kind(rendered(scenario), "NetworkPolicy")
    for name, labels, _ in pods(rendered(scenario)):
        own = [one for one in policies if one["spec"]["podSelector"] and selects(one["spec"]["podSelector"], labels)]
        assert own, f"{name} is cut off"
    (deny,) = (one for one in policies if one["metadata"]["name"] == "frontdesk-default-deny")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for one in policies:
        for rule in one["spec"].get("egress", ()):
            assert rule.get("ports") or one["metadata"]["name"] == "frontdesk-steps", one["metadata"]["name"]


def test_only_those_reach_a_bundled_store_that_work_with_it() -> None:
    manifests = rendered("trial", "mlflow=http://mlflow", "rollouts.enabled=true", "watching.enabled=true")
    for store, variable in (("postgres", "FRONTDESK_DATABASE"), ("redis", "FRONTDESK_REDIS")):
        (rule,) = named(manifests, "NetworkPolicy", f"frontdesk-{store}")["spec"]["ingress"]
        for name, labels, spec in pods(manifests):
            both = [*spec.get("initContainers", ()), *spec["containers"]]
            uses = any(variable in environment(container) for container in both)
            assert any(selects(peer["podSelector"], labels) for peer in rule["from"]) == uses, (store, name)


@every
def test_the_gateway_asks_the_servers_that_there_are(scenario: str) -> None:
    manifests = rendered(scenario)
    (gateway,) = named(manifests, "Deployment", "frontdesk-gateway")["spec"]["template"]["spec"]["containers"]
    models = json.loads(environment(gateway)["FRONTDESK_MODELS"])
    wanted = {}
    for name, service in services(manifests).items():
        address = f"http://{name}-{'transformer' if 'transformer' in service['spec'] else 'predictor'}"
        wanted[name] = address
        if "containers" in service["spec"]["predictor"]:
            wanted[f"{name}-candidate"] = address
    assert models == wanted
    assert set(services(manifests)) <= set(names())


@every
def test_hooks_go_when_they_are_done(scenario: str) -> None:
    for one in rendered(scenario):
        if "helm.sh/hook" in one["metadata"].get("annotations", {}):
            assert one["kind"] == "Job"
            assert "hook-succeeded" in one["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
            assert one["spec"]["ttlSecondsAfterFinished"] <= 3600
            assert one["spec"]["activeDeadlineSeconds"] <= 3600


@pytest.mark.parametrize("recipe", names())
@pytest.mark.parametrize("shape", ["collocated", "separate"])
def test_a_service_for_the_deploy_step_lacks_only_its_model(recipe: str, shape: str) -> None:
    address = f"s3://frontdesk/store/models/{recipe}/0123456789abcdef0123"
    waiting = services(rendered("default", f"recipes.{recipe}.shape={shape}"))[recipe]
    pinned = rendered("default", f"recipes.{recipe}.shape={shape}", f"recipes.{recipe}.bundle={address}")
    manager = "app.kubernetes.io/managed-by"
    # Helm would take over what it finds under its own label, and leave the old model in it without a word.
    assert waiting["metadata"]["labels"].pop(manager) == "frontdesk-deploy"
    waiting["metadata"]["labels"][manager] = "Helm"
    waiting["spec"]["predictor"]["model"]["storageUri"] = address
    if shape == "separate":
        waiting["spec"]["transformer"]["containers"][0]["env"].append({"name": "STORAGE_URI", "value": address})
        args = waiting["spec"]["transformer"]["containers"][0]["args"]
        assert {"--http_port=8080", f"--model_name={recipe}"} <= set(args), "else KServe appends its own"
        assert f"--predictor_host={recipe}-predictor.{NAMESPACE}:80" in args
    assert of_kind(pinned, "InferenceService") == [waiting]
    assert f"{recipe}.yaml" not in named(pinned, "ConfigMap", "frontdesk-inference-services")["data"]


def test_files_are_those_that_the_product_reads(tmp_path: Path) -> None:
    production = rendered("production")
    schedules = named(production, "ConfigMap", "frontdesk-schedules")["data"]
    declared = parse_schedules(yaml.safe_load(schedules["schedules.yaml"]), where="schedules")
    assert len(declared.schedules) == 3
    assert all(one.arguments(declared.store, declared.registry) for one in declared.schedules)
    assert parse_schedules(yaml.safe_load(schedules["none.yaml"]), where="none").schedules == ()
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(named(production, "ConfigMap", "frontdesk-cluster")["data"]["cluster.yaml"])
    given = cluster_of(str(cluster))
    assert given.service_account == "frontdesk-pipelines"
    assert given.environment["FRONTDESK_SERVING_NAMESPACE"] == NAMESPACE
    assert given.secrets["frontdesk-database"] == {"password": "PGPASSWORD"}
    assert given.image_pull_secrets == ("registry",)
    plan = tmp_path / "monitoring.yaml"
    plan.write_text(named(production, "ConfigMap", "frontdesk-watching")["data"]["monitoring.yaml"])
    assert plan_of(str(plan), "ticket").slices == ("language", "channel")


def test_alerts_and_dashboard_have_one_source() -> None:
    source = ROOT / "manifests/monitoring"
    for name in ("alerts.yaml", "dashboard.json"):
        assert (CHART / "files" / name).read_text() == (source / name).read_text(), "run `make manifests`"
    rule = named(rendered("production"), "PrometheusRule", "frontdesk")
    assert rule["spec"] == yaml.safe_load((source / "alerts.yaml").read_text())
    dashboard = named(rendered("production"), "ConfigMap", "frontdesk-dashboard")
    assert json.loads(dashboard["data"]["frontdesk.json"]) == json.loads((source / "dashboard.json").read_text())


def test_what_prometheus_calls_the_jobs_is_what_the_alerts_go_by() -> None:
    (down,) = (
        alert["expr"]
        for group in yaml.safe_load((ROOT / "manifests/monitoring/alerts.yaml").read_text())["groups"]
        for alert in group["rules"]
        if alert.get("alert") == "FrontdeskTargetDown"
    )
    assert 'job=~"frontdesk-.*"' in down
    manifests = rendered("production")
    (relabelled,) = named(manifests, "ServiceMonitor", "frontdesk-models")["spec"]["endpoints"]
    assert relabelled["relabelings"][0]["replacement"].startswith("frontdesk-")
    monitor = named(manifests, "ServiceMonitor", "frontdesk-gateway")["spec"]
    service = named(manifests, "Service", "frontdesk-gateway")
    assert selects(monitor["selector"], service["metadata"]["labels"])
    assert service["metadata"]["name"].startswith("frontdesk-")


def test_data_of_bundled_stores_stays_where_it_is_asked_for() -> None:
    def policies(*settings: str) -> list[Any]:
        claims = of_kind(rendered("trial", *settings), "PersistentVolumeClaim")
        return [one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for one in claims]

    assert policies() == [None, None]
    assert policies("database.bundled.keep=true") == ["keep", None]
    assert policies("database.bundled.storage=", "redis.bundled.storage=") == []
