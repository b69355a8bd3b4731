"""The kustomize manifests, from the chart: run as a script, this file writes ``base`` and ``overlays`` anew.

``base`` is the chart with its default values. An overlay is the base, the objects that a scenario of the chart has
besides, and JSON patches (RFC 6902) for what it has otherwise. Helm's hooks are left out: gateways migrate their
database when they start, and schedules are applied by ``frontdesk schedule``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
CHART = HERE.parent / "helm/frontdesk"
NAMESPACE = "frontdesk"
OVERLAYS = {"kind": "trial", "dev": "dev", "prod": "production"}
"""Scenario of the chart that each overlay is."""
_MADE = "# Made from the chart by `make manifests`; change the chart.\n"
_FILES_OF_CHART = ("alerts.yaml", "dashboard.json")
Key = tuple[str, str, str]
Objects = dict[Key, dict[str, Any]]


def chart(helm: str, *values: Path) -> Objects:
    """Return what the chart renders, as kustomize would own it, by kind, namespace and name."""
    command = [helm, "template", "frontdesk", str(CHART), "--namespace", NAMESPACE, "--no-hooks"]
    command += [part for path in values for part in ("--values", str(path))]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    text = text.replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kustomize")
    return {key_of(one): one for one in yaml.safe_load_all(text) if one}


def scenario(name: str) -> Path:
    """Return the values of one of the chart's scenarios."""
    return CHART / "ci" / f"{name}-values.yaml"


def key_of(manifest: Mapping[str, Any]) -> Key:
    """Return what tells an object from others."""
    about = manifest["metadata"]
    return manifest["kind"], about.get("namespace", ""), about["name"]


def differences(old: Any, new: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """Yield the operations of a JSON patch; lists are replaced as a whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            place = f"{path}/{str(name).replace('~', '~0').replace('/', '~1')}"
            if name not in new:
                yield {"op": "remove", "path": place}
            elif name not in old:
                yield {"op": "add", "path": place, "value": new[name]}
            else:
                yield from differences(old[name], new[name], place)
    elif old != new:
        yield {"op": "replace", "path": path, "value": new}


def files(helm: str) -> dict[str, str]:
    """Return ``{path below this folder: content}`` of everything that is made."""
    base = chart(helm)
    made = {"base/kustomization.yaml": _kustomization(["namespace.yaml", "frontdesk.yaml"], [])}
    made["base/namespace.yaml"] = _dumped([_namespace()])
    made["base/frontdesk.yaml"] = _dumped(base.values())
    for overlay, name in OVERLAYS.items():
        wanted = chart(helm, scenario(name))
        more = [one for key, one in wanted.items() if key not in base]
        patches = [_patch(key, old, wanted.get(key)) for key, old in base.items() if wanted.get(key) != old]
        resources = ["../../base", *(["more.yaml"] if more else [])]
        made[f"overlays/{overlay}/kustomization.yaml"] = _kustomization(resources, patches)
        if more:
            made[f"overlays/{overlay}/more.yaml"] = _dumped(more)
    return made


def _namespace() -> dict[str, Any]:
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": levels}}


def _patch(key: Key, old: dict[str, Any], new: dict[str, Any] | None) -> dict[str, Any]:
    kind, namespace, name = key
    about = {"name": name, "namespace": namespace}
    if new is None:
        gone = {"apiVersion": old["apiVersion"], "kind": kind, "metadata": about, "$patch": "delete"}
        return {"patch": yaml.safe_dump(gone, sort_keys=False)}
    target = {"kind": kind, **about}
    return {"target": target, "patch": _text(list(differences(old, new)))}


def _kustomization(resources: list[str], patches: list[dict[str, Any]]) -> str:
    content: dict[str, Any] = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    content["resources"] = resources
    if patches:
        content["patches"] = patches
    return _MADE + _text(content)


def _dumped(objects: Any) -> str:
    return _MADE + "---\n".join(_text(one) for one in objects)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _long_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _long_text)


def _text(content: Any) -> str:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def main() -> None:
    """Write every file, after the chart's copies of alerts and dashboard."""
    helm = shutil.which("helm") or sys.exit("there is no helm: run `make setup`, or install it")
    for name in _FILES_OF_CHART:
        shutil.copyfile(HERE / "monitoring" / name, CHART / "files" / name)
    for path, content in files(helm).items():
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_text(content)


if __name__ == "__main__":
    main()
