"""Webhooks of desks: ``POST /v1/webhooks/{desk}``."""

from fastapi import APIRouter

router = APIRouter(tags=["desks"])
