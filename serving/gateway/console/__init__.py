"""The pages of the console under ``/console``."""

from fastapi import APIRouter

router = APIRouter(prefix="/console", include_in_schema=False)
