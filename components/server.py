"""A Kubeflow Pipelines server: versions of pipelines, runs, recurring runs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from kfp import client as sdk
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError

from frontdesk.errors import FrontdeskError, PipelineServerError, UsageError
from frontdesk.logs import event
from frontdesk.settings import settings
from frontdesk.storage import file_digest

EXPERIMENT = "frontdesk"
_PAGE = 100
_VERSION_DIGITS = 12
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """A version of a pipeline on the server.

    Attributes:
        name: digest of its file, so that equal files are one version.
        fresh: whether this call made it.
    """

    pipeline_id: str
    version_id: str
    name: str
    fresh: bool


@dataclass(frozen=True)
class Recurring:
    """A recurring run on the server.

    Attributes:
        name: unique among those of `EXPERIMENT`.
        description: our mark stands in it.
    """

    id: str
    name: str
    description: str
    enabled: bool


class Server:
    """One server. Every method raises `PipelineServerError` where it refuses or does not answer.

    Args:
        address: ``http://host:port``; None for the one of the cluster that this process runs in.
        namespace: on a server with several users.
        token_file: of a bearer token.
        service_account: of the runs; None for the server's own.
    """

    def __init__(
        self,
        address: str | None,
        *,
        namespace: str | None = None,
        token_file: str | None = None,
        service_account: str | None = None,
    ) -> None:
        self._where = (address or "the cluster's pipeline server").rpartition("@")[2]
        token = None
        if token_file is not None:
            try:
                token = Path(token_file).read_text("utf-8").strip()
            except OSError as error:
                raise UsageError("the token cannot be read", where="FRONTDESK_KFP_TOKEN_FILE") from error
        with self._answering(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the SDK, about releases
            self._client = sdk.Client(host=address, namespace=namespace or "kubeflow", existing_token=token)
        self._namespace, self._service_account = namespace, service_account

    @classmethod
    def of_settings(cls, service_account: str | None = None) -> Server:
        """Return the server that the settings name. Raises `UsageError` where they name none.

        Args:
            service_account: of the runs; None for that of the settings.
        """
        chosen = settings()
        if chosen.kfp is None:
            raise UsageError("no pipeline server is set", where="FRONTDESK_KFP", remedy="Set it to http://HOST:PORT")
        return cls(
            chosen.kfp,
            namespace=chosen.kfp_namespace,
            token_file=chosen.kfp_token_file,
            service_account=service_account or chosen.kfp_service_account,
        )

    def check(self) -> None:
        """Ask the server something that changes nothing."""
        with self._answering():
            self._client.list_experiments(page_size=1, namespace=self._namespace)

    def ensure_version(self, pipeline: str, path: Path) -> Version:
        """Return the version of a pipeline that a compiled file is, uploaded where the server does not have it."""
        name = file_digest(path)[:_VERSION_DIGITS]
        with self._answering():
            found = self._client.get_pipeline_id(pipeline)
            if found is None:
                made = self._client.upload_pipeline(str(path), pipeline_name=pipeline, namespace=self._namespace)
                found = made.pipeline_id
            for version in self._pages(lambda token: self._versions(found, token), "pipeline_versions"):
                if version.display_name == name:
                    return Version(found, version.pipeline_version_id, name, False)
            # A pipeline's first upload is a version too, but named like the pipeline: it tells nothing of the file.
            uploaded = self._client.upload_pipeline_version(str(path), pipeline_version_name=name, pipeline_id=found)
        event(_log, "pipeline_version_uploaded", pipeline=pipeline, version=name)
        return Version(found, uploaded.pipeline_version_id, name, True)

    def newest_version(self, pipeline: str) -> Version:
        """Return the newest version of a pipeline that was uploaded before. Raises `UsageError` where there is none."""
        with self._answering():
            found = self._client.get_pipeline_id(pipeline)
            if found is not None:
                page = self._client.list_pipeline_versions(found, page_size=1, sort_by="created_at desc")
                for version in page.pipeline_versions or ():
                    return Version(found, version.pipeline_version_id, version.display_name, False)
        raise UsageError(f"the server has no pipeline {pipeline}", remedy="Upload it with frontdesk submit or schedule")

    def start(self, version: Version, name: str, parameters: Mapping[str, Any]) -> str:
        """Start a run; return its id."""
        with self._answering():
            run = self._client.run_pipeline(
                self._experiment(),
                name,
                params=dict(parameters),
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
                service_account=self._service_account,
            )
        event(_log, "run_started", name=name, run=run.run_id)
        return str(run.run_id)

    def state(self, run: str) -> str:
        """Return the state of a run as the server calls it: ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ..."""
        with self._answering():
            return str(self._client.get_run(run).state)

    def recurring(self) -> list[Recurring]:
        """Return every recurring run of `EXPERIMENT`."""
        with self._answering():
            experiment = self._experiment()
            return [
                Recurring(
                    one.recurring_run_id, one.display_name, one.description or "", str(one.status).upper() == "ENABLED"
                )
                for one in self._pages(lambda token: self._recurring(experiment, token), "recurring_runs")
            ]

    def repeat(
        self, version: Version, name: str, description: str, cron: str, parameters: Mapping[str, Any], enabled: bool
    ) -> str:
        """Make a recurring run; return its id. One run at a time, and none for times that were missed.

        Args:
            cron: six fields, seconds first.
        """
        with self._answering():
            made = self._client.create_recurring_run(
                self._experiment(),
                name,
                description=description,
                cron_expression=cron,
                max_concurrency=1,
                no_catchup=True,
                params=dict(parameters),
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
                enabled=enabled,
                service_account=self._service_account,
            )
        event(_log, "schedule_made", name=name, cron=cron)
        return str(made.recurring_run_id)

    def remove(self, recurring: str) -> None:
        """Delete a recurring run; its runs stay."""
        with self._answering():
            self._client.delete_recurring_run(recurring)
        event(_log, "schedule_removed", id=recurring)

    def _experiment(self) -> str:
        """Return the id of `EXPERIMENT`, made where there is none."""
        return str(self._client.create_experiment(EXPERIMENT, namespace=self._namespace).experiment_id)

    def _versions(self, pipeline: str, token: str) -> Any:
        return self._client.list_pipeline_versions(pipeline, page_token=token, page_size=_PAGE)

    def _recurring(self, experiment: str, token: str) -> Any:
        return self._client.list_recurring_runs(page_token=token, page_size=_PAGE, experiment_id=experiment)

    @staticmethod
    def _pages(page: Callable[[str], Any], what: str) -> Iterator[Any]:
        token = ""
        while True:
            some = page(token)
            yield from getattr(some, what) or ()
            token = some.next_page_token or ""
            if not token:
                return

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            with redirect_stdout(StringIO()):  # the SDK prints links, which are no part of a command's answer
                yield
        except FrontdeskError:
            raise
        except (ApiException, HTTPError, OSError, RuntimeError, ValueError) as error:
            status = getattr(error, "status", None)
            words = f"the pipeline server refused ({type(error).__name__}{f', {status}' if status else ''})"
            raise PipelineServerError(
                words, where=self._where, remedy="Check FRONTDESK_KFP and that the server answers"
            ) from error
