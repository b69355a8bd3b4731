"""KServe's model server around bundles, with what the SDK leaves open closed.

Kept from the SDK: the server, its model registry, data plane, V1 and V2 routes, gRPC service and ``/metrics``. Changed:

- it listens on the loopback device unless told otherwise (the SDK: every device, no option);
- it answers probes while models load, and ``/v2/health/ready`` is 503 until every model is ready (the SDK: always 200);
- V2 bodies are read by `frontdesk.serving.protocol` (the SDK: 422 in another form, 500 for shapes that do not fit);
- the routes that load and unload models are shut, in REST and gRPC (the SDK: open to anyone);
- errors never show an exception's text (`frontdesk.serving.failures`);
- requests are timed by `frontdesk.serving.metrics` alone (the SDK: three histograms more, most of the overhead);
- logs are JSON lines without a line per request, which costs a third of the SDK's time per request.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import signal
from collections.abc import Callable, Sequence
from typing import Any

from frontdesk.bundle import Bundle, manifest_at
from frontdesk.errors import BundleError, FrontdeskError, UsageError
from frontdesk.feature_repo import open_reader
from frontdesk.logs import JsonFormatter, StandardError, configure, event
from frontdesk.serving import event_loop, metrics
from frontdesk.serving.asking import asker_for
from frontdesk.serving.crew import Worker
from frontdesk.serving.data_plane import BundleDataPlane, ShutRepository
from frontdesk.serving.features import with_features
from frontdesk.serving.grpc_server import BundleGRPCServer
from frontdesk.serving.listener import listen
from frontdesk.serving.model import BundleModel, Limits
from frontdesk.serving.predictor import PredictorModel
from frontdesk.serving.rest import RestServer
from frontdesk.serving.sdk import ModelServer
from frontdesk.serving.transformer import TransformerModel
from frontdesk.serving.watching import LOOK_SECONDS, Deployed, Watcher
from frontdesk.settings import settings
from frontdesk.storage import Store

GRACE_SECONDS = 30
ROLES = ("whole", "predictor")
_log = logging.getLogger(__name__)


def serve(
    bundles: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    grpc_port: int | None = None,
    engine: str = "auto",
    taxonomy: str | None = None,
    taxonomy_version: str | None = None,
    store: str | None = None,
    role: str = "whole",
    predictor_host: str | None = None,
    predictor_protocol: str = "v2",
    look_seconds: float = LOOK_SECONDS,
    policy: str | None = None,
    model_name: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    worker: Worker | None = None,
) -> None:
    """Serve bundles until SIGTERM or SIGINT; requests in flight are finished first.

    The first bundle of a recipe is served under the recipe's name, a further one as ``<recipe>-<model_id[:8]>``; one
    alone under ``model_name``, if that is given.

    Args:
        bundles: folders or ``s3://`` addresses; with ``store``, recipes, and ``<recipe>-candidate`` for what a rollout
            tries.
        host: device to listen on; ``0.0.0.0`` in a container.
        port: of HTTP; 0 takes a free one, which the log tells.
        grpc_port: of gRPC; None means no gRPC.
        engine: see `frontdesk.engines.open_engine`.
        taxonomy, taxonomy_version: whose labels the bundles answer in; see `frontdesk.bundle.Bundle.load`. Without the
            first, the setting.
        store: serve what is deployed there, and every later deployment from soon after it.
        role: ``predictor`` answers encoded tensors with what the model says; see `frontdesk.serving.predictor`.
        predictor_host: ``host:port`` of such a predictor; this server is its transformer then.
        predictor_protocol: ``v2`` or ``grpc-v2``.
        look_seconds: between two looks at the store.
        policy: file that overrides the bundles' decisions, see `frontdesk.policy_file`; without it, the setting.
        model_name: what the one bundle is called; not with ``store``.
        limits: see `Limits`.
        worker: which one of several this process is; it listens on their socket instead of ``port``.

    Raises:
        UsageError: no bundle, one bundle twice, options that exclude each other, or a port that is taken.
        BundleError, StorageError: a bundle cannot be served.
        BadTaxonomy: the label file does not fit a bundle that answers with labels.
    """
    configure_logs(settings().log_level, **({} if worker is None else {"worker": worker.number}))
    if role not in ROLES:
        raise UsageError(f"there is no role {role!r}", where="--role", remedy=f"Roles: {', '.join(ROLES)}")
    if role == "predictor" and predictor_host is not None:
        raise UsageError("a predictor has no predictor behind it", where="--predictor-host")
    load_bundle = functools.partial(
        Bundle.load,
        engine=engine,
        taxonomy=taxonomy or settings().taxonomy,
        taxonomy_version=taxonomy_version,
        policy=policy or settings().policy,
        ends=predictor_host is not None,
    )

    def load(location: str) -> Bundle:
        bundle = load_bundle(location)
        if role == "predictor":  # its transformer has looked them up
            return bundle
        return with_features(bundle, open_reader, deadline_seconds=settings().features_deadline_ms / 1e3)

    def model(name: str, open_bundle: Callable[[], Bundle]) -> BundleModel:
        if role == "predictor":
            return PredictorModel(name, open_bundle, limits)
        if predictor_host is not None:
            return TransformerModel(name, open_bundle, limits, asker_for(predictor_host, predictor_protocol))
        return BundleModel(name, open_bundle, limits)

    if model_name is not None and (store is not None or len(bundles) != 1):
        raise UsageError("only one bundle can have a name", where="--model-name", remedy="Leave the name out")
    if store is None:
        watchers: list[Watcher] = []
        places = served_names(bundles)
        if model_name is not None:
            places = {model_name: next(iter(places.values()))}
        models = [model(name, functools.partial(load, place)) for name, place in places.items()]
    else:
        deployed = {name: Deployed(Store(store), name, load) for name in bundles}
        for one in deployed.values():
            one.pointer()  # a wrong store or recipe is told before anything is served
        models = [model(name, one.open) for name, one in deployed.items()]
        watchers = [Watcher(one, deployed[one.name], look_seconds) for one in models]
    run(models, host=host, port=port, grpc_port=grpc_port, limits=limits, watchers=watchers, worker=worker)


def run(
    models: Sequence[BundleModel],
    *,
    host: str,
    port: int,
    grpc_port: int | None,
    limits: Limits,
    watchers: Sequence[Watcher] = (),
    worker: Worker | None = None,
) -> None:
    """Load models and serve them until a signal; see `serve`."""
    Server(limits, host=host, port=port, grpc_port=grpc_port, worker=worker).start(list(models), watchers)


def served_names(bundles: Sequence[str]) -> dict[str, str]:
    """Return ``{name: location}`` of bundles to serve, reading only their manifests.

    Raises:
        UsageError: no bundle, or one bundle twice.
        BundleError: there is no bundle at a location.
    """
    if not bundles:
        raise UsageError("no bundle to serve", remedy="Name the folder of at least one bundle")
    names: dict[str, str] = {}
    for location in bundles:
        manifest = manifest_at(location)
        name = manifest["recipe"]
        if name in names:
            name = f"{name}-{manifest['model_id'][:8]}"
        if name in names or location in names.values():
            raise UsageError(f"model {manifest['model_id']} is named twice", where=location)
        names[name] = location
    return names


def configure_logs(level: str, **always: Any) -> None:
    """Send the logs of this library, the SDK and uvicorn to standard error as JSON lines; the others' only warnings."""
    configure(level, **always)
    handler = StandardError()
    handler.setFormatter(JsonFormatter(**always))
    for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler] if name in ("kserve", "uvicorn") else []
        logger.setLevel(logging.WARNING)
        logger.propagate = name not in ("kserve", "uvicorn")


class Server(ModelServer):  # type: ignore[misc]
    """The SDK's server with a chosen device, honest readiness and loading beside serving."""

    def __init__(
        self, limits: Limits, *, host: str, port: int, grpc_port: int | None, worker: Worker | None = None
    ) -> None:
        super().__init__(http_port=port, enable_grpc=grpc_port is not None, enable_latency_logging=False)
        data_plane = BundleDataPlane(self.registered_models, worker.crew if worker else None)
        repository = ShutRepository(self.registered_models)
        self.dataplane, self.model_repository_extension = data_plane, repository
        self._failure: FrontdeskError | None = None
        self._worker = worker
        self._listener = worker.listener if worker else listen(host, port)
        self._rest = RestServer(
            data_plane, repository, self._listener, grace_seconds=GRACE_SECONDS, body_bytes=limits.body_bytes
        )
        self._grpc = (
            BundleGRPCServer(
                f"{host}:{grpc_port}", data_plane, repository, GRACE_SECONDS, limits.body_bytes, shared=bool(worker)
            )
            if grpc_port is not None
            else None
        )

    def start(self, models: list[BundleModel], watchers: Sequence[Watcher] = ()) -> None:
        """Serve until a signal. Raises what a model's loading raised, after the server has stopped."""
        for model in models:
            self.register_model(model)
        event_loop.run(self._serve_models(models, watchers))
        if self._failure is not None:
            raise self._failure

    async def _serve_models(self, models: list[BundleModel], watchers: Sequence[Watcher]) -> None:
        loading = asyncio.create_task(self._load(models))
        if self._worker and self._worker.returning:
            await loading  # the others answer
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # uvicorn takes the signal, drains, and raises it again for us
        if self._failure is None:
            if self._grpc:
                await self._grpc.start()
            watching = asyncio.create_task(self._watch(loading, watchers))
            await self._rest.start()
            watching.cancel()
            if self._grpc:
                await self._grpc.stop()
        loading.cancel()
        for model in models:
            await model.close()
            model.stop()
        event(_log, "stopped")

    async def _load(self, models: list[BundleModel]) -> None:
        host, port = self._listener.getsockname()[:2]
        event(_log, "listening", host=host, port=port, models=[model.name for model in models])
        for model in models:
            try:
                await asyncio.to_thread(model.open)
            except FrontdeskError as error:
                self._failure = error
            except Exception as error:
                # The message of a foreign exception may quote anything; the log has its type and places.
                _log.exception("model_failed", extra={"fields": {"model": model.name}})
                self._failure = BundleError(f"model {model.name} cannot be loaded ({type(error).__name__})")
            if self._failure:
                self._rest.stop()
                return
        # What is loaded stays: a full collection would walk hundreds of thousands of objects within a request.
        gc.collect()
        gc.freeze()
        metrics.show_worker(again=bool(self._worker and self._worker.again))
        if self._worker:
            self._worker.report()

    async def _watch(self, loading: asyncio.Task[None], watchers: Sequence[Watcher]) -> None:
        await loading
        if self._failure is None:
            await asyncio.gather(*(watcher.run() for watcher in watchers))
