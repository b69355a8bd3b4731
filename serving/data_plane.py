"""The SDK's data plane with our bodies, honest readiness and a shut repository. REST and gRPC both go through it."""

from __future__ import annotations

from typing import Any

from frontdesk.errors import Forbidden
from frontdesk.serving import protocol
from frontdesk.serving.crew import Crew
from frontdesk.serving.model import BundleModel
from frontdesk.serving.sdk import DataPlane, ModelRepository, ModelRepositoryExtension


class ShutRepository(ModelRepositoryExtension):  # type: ignore[misc]
    """Which models are served is decided when the server starts, not by a caller."""

    async def load(self, model_name: str) -> None:
        """Refuse."""
        raise Forbidden("models are not loaded or unloaded through this server")

    async def unload(self, model_name: str) -> None:
        """Refuse."""
        await self.load(model_name)


class BundleDataPlane(DataPlane):  # type: ignore[misc]
    """The data plane of `BundleModel`s.

    Args:
        models: the served ones.
        crew: the workers of this server, where there are several.
    """

    def __init__(self, models: ModelRepository, crew: Crew | None = None) -> None:
        super().__init__(models)
        self._crew = crew

    async def ready(self) -> bool:
        """Return whether every model is ready, in every worker."""
        return self._complete() and all(model.ready for model in self.model_registry.get_models().values())

    async def model_ready(self, model_name: str, disable_predictor_health_check: bool = False) -> bool:
        """Return whether a model is ready, in every worker. Raises the SDK's ModelNotFound."""
        return bool(await super().model_ready(model_name, disable_predictor_health_check)) and self._complete()

    def _complete(self) -> bool:
        return self._crew is None or self._crew.complete()

    def metadata(self) -> dict[str, Any]:
        """Return the server's metadata; the repository extension is shut."""
        return {**super().metadata(), "extensions": ["binary_tensor_data"]}

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        """Return a model's metadata; its one version is the model_id."""
        content: dict[str, Any] = await super().model_metadata(model_name)
        manifest = self.model(model_name).bundle.manifest
        return {**content, "platform": f"frontdesk_{manifest['model_kind']}", "versions": [manifest["model_id"]]}

    def model(self, name: str) -> BundleModel:
        """Return a model. Raises the SDK's ModelNotFound."""
        model: BundleModel = self.get_model_from_registry(name)
        return model

    def decode(self, body: Any, headers: dict[str, str], **_: Any) -> tuple[Any, dict[str, Any]]:
        """Parse a V1 body. Raises `InvalidRequest`."""
        protocol.require_json(headers.get("content-type"))
        return protocol.parse_json(body), {}

    async def infer(
        self, model_name: str, request: Any, headers: dict[str, str] | None = None
    ) -> tuple[Any, dict[str, str]]:
        """Answer a request that came by gRPC; those by HTTP have routes of ours."""
        answered, response_headers = await super().infer(model_name, request, headers)
        return self.model(model_name).infer_response(answered, request.id), response_headers
