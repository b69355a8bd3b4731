"""A Kubernetes API server: objects of any kind as plain mappings. The only module that imports ``kubernetes``.

Objects are applied on the server's side: what we declare is ours, what others declared of the same object stays theirs.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client, config
from urllib3.exceptions import HTTPError

from frontdesk.errors import ClusterError
from frontdesk.logs import event

_APPLY, _JSON = "application/apply-patch+yaml", "application/json"
_SECONDS = (10, 30)
"""How long a connection and an answer may take."""
_log = logging.getLogger(__name__)
logging.getLogger("kubernetes.client.rest").setLevel(logging.INFO)  # below, it logs answers: secrets are among them


class Cluster:
    """One API server. Every method raises `ClusterError` where it refuses or does not answer.

    Args:
        context: of the kubeconfig; None for its current one.

    The kubeconfig is the one of ``KUBECONFIG``, else of the user; inside a pod without one, the pod's service account.
    """

    def __init__(self, context: str | None = None) -> None:
        settings = client.Configuration()
        try:
            if context is not None or _has_kubeconfig():
                config.load_kube_config(os.environ.get("KUBECONFIG") or None, context, settings, persist_config=False)
            else:
                config.load_incluster_config(settings)
        except Exception as error:  # of the loader, of its YAML parser, of programs that it asks for a token
            raise ClusterError(
                f"no cluster is configured ({type(error).__name__})",
                where="KUBECONFIG",
                remedy="Name a kubeconfig and one of its contexts",
            ) from error
        settings.retries = False  # whoever waits for a state asks again anyway
        self._api = client.ApiClient(settings)
        self._address = str(settings.host)
        self._kinds: dict[str, dict[str, Any]] = {}

    def apply(self, manifest: Mapping[str, Any], *, manager: str) -> dict[str, Any]:
        """Make an object what is declared, and return it as the server has it now.

        Args:
            manager: whose declaration it is. Fields that another manager set are taken over.
        """
        about = manifest["metadata"]
        path = self._path(manifest["apiVersion"], manifest["kind"], about.get("namespace"), about["name"])
        query = {"fieldManager": manager, "force": "true"}
        made: dict[str, Any] = self._ask("PATCH", path, query, manifest, _APPLY)
        event(_log, "applied", kind=manifest["kind"], namespace=about.get("namespace"), name=about["name"])
        return made

    def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return an object, None where there is none of the name, or no such kind."""
        try:
            found: dict[str, Any] = self._ask("GET", self._path(api_version, kind, namespace, name))
        except _Missing:
            return None
        return found

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[dict[str, Any]]:
        """Return the objects of a kind, those of every namespace where none is named.

        Args:
            labels, fields: selectors in the words of ``kubectl get -l`` and ``--field-selector``.
        """
        query = {name: value for name, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        page = self._ask("GET", self._path(api_version, kind, namespace), query)
        # The members of a list do not say what they are.
        return [{"apiVersion": api_version, "kind": kind, **one} for one in page["items"]]

    def delete(self, api_version: str, kind: str, namespace: str | None, name: str) -> None:
        """Delete an object and what it owns; where there is none, nothing happens."""
        try:
            self._ask("DELETE", self._path(api_version, kind, namespace, name), {"propagationPolicy": "Background"})
        except _Missing:
            return
        event(_log, "deleted", kind=kind, namespace=namespace, name=name)

    def can(self, verb: str, group: str, resource: str, namespace: str | None, *, account: str | None = None) -> bool:
        """Return whether an account may do something to a resource (``deployments``, ``pods/log``).

        Args:
            account: a service account as ``NAMESPACE/NAME``; None for the one that asks. Asking for another is a right.
        """
        name, _, part = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": name, "subresource": part, "namespace": namespace or ""}
        kind, spec = "SelfSubjectAccessReview", {"resourceAttributes": attributes}
        if account is not None:
            space, _, who = account.partition("/")
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{space}", "system:authenticated"]
            user: dict[str, Any] = {"user": f"system:serviceaccount:{space}:{who}", "groups": groups}
            kind, spec = "SubjectAccessReview", {**user, **spec}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        answer = self._ask("POST", f"/apis/authorization.k8s.io/v1/{kind.lower()}s", body=review)
        return bool(answer["status"]["allowed"])

    def version(self) -> str:
        """Return the release of the API server (``v1.34.4``)."""
        return str(self._ask("GET", "/version")["gitVersion"])

    def _path(self, api_version: str, kind: str, namespace: str | None, name: str | None = None) -> str:
        """Return where a kind's objects are, or one of them. Raises `_Missing` for an unknown kind."""
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        resource = self._resource(root, kind)
        within = f"/namespaces/{namespace}" if namespace and resource["namespaced"] else ""
        return f"{root}{within}/{resource['name']}" + (f"/{name}" if name else "")

    def _resource(self, root: str, kind: str) -> dict[str, Any]:
        """Return what the server calls the objects of a kind, asked once."""
        if f"{root} {kind}" not in self._kinds:
            for one in self._ask("GET", root)["resources"]:
                if "/" not in one["name"]:  # a part of an object, as pods/log
                    self._kinds[f"{root} {one['kind']}"] = one
        try:
            return self._kinds[f"{root} {kind}"]
        except KeyError:
            raise _Missing(f"the cluster knows no {kind} in {root.removeprefix('/apis/')}") from None

    def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, content: str = _JSON
    ) -> Any:
        headers = {"Accept": "application/json, */*", "Content-Type": content}
        with self._answering(f"{method} {path}"):
            self._api.update_params_for_auth(headers, [], ["BearerToken"])
            answer = self._api.rest_client.request(
                method,
                self._address + path,
                query_params=list((query or {}).items()),
                headers=headers,
                body=body,
                _request_timeout=_SECONDS,
            )
        return json.loads(answer.data)

    @contextmanager
    def _answering(self, request: str) -> Iterator[None]:
        try:
            yield
        except client.ApiException as error:
            kind = _Missing if error.status == 404 else ClusterError
            raise kind(f"{request}: {_words(error)}", where=self._address) from error
        except (HTTPError, OSError) as error:
            raise ClusterError(
                f"the cluster does not answer ({type(error).__name__})",
                where=self._address,
                remedy="Check KUBECONFIG and that the server answers",
            ) from error


class _Missing(ClusterError):
    """The server has no such object or kind."""


def _has_kubeconfig() -> bool:
    return bool(os.environ.get("KUBECONFIG")) or Path("~/.kube/config").expanduser().exists()


def _words(error: client.ApiException) -> str:
    """Return what the server said, in one line."""
    try:
        said = str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        said = str(error.reason)
    return " ".join(f"{said} ({error.status})".split())
