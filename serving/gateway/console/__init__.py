"""The pages under ``/console``: server-rendered, with no build step and no address but the gateway's own."""

from frontdesk.serving.gateway.console.routes import router

__all__ = ["router"]
