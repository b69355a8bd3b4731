"""What a KFP server of release 2.0 takes of a compiled pipeline.

Its driver ends a step over a field that it does not know, and SDK 2.17 writes such fields beside the old ones of the
same meaning. What is left out here it could not do anyway: deadlines and tolerations. Retries it
ignores; `frontdesk submit` again, or *Retry* on the run's page, goes on from the finished jobs and checkpoints.
It also looks for the producer of an input under the name that the page shows, so there steps have their plain names.
"""

from __future__ import annotations

import yaml

_KNOWN = {
    "secretAsEnv": ("secretName", "keyToEnv"),
    "secretAsVolume": ("secretName", "mountPath"),
    "pvcMount": ("constant", "mountPath"),
}


def for_old_backend(text: str) -> str:
    """Return a compiled pipeline, both documents, as such a server takes it."""
    pipeline, platform = yaml.safe_load_all(text)
    for component in (pipeline["root"], *pipeline["components"].values()):
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            task["taskInfo"]["name"] = name
    for executor in pipeline["deploymentSpec"]["executors"].values():
        resources = executor["container"]["resources"]
        for part in (resources, resources.get("accelerator", {})):
            for name in [name for name in part if name.startswith("resource")]:
                del part[name]
    for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        for name in list(executor):
            if name in _KNOWN:
                executor[name] = [{key: one[key] for key in _KNOWN[name] if key in one} for one in executor[name]]
            elif name != "nodeSelector":
                del executor[name]
    return str(yaml.safe_dump_all([pipeline, platform], allow_unicode=True))
