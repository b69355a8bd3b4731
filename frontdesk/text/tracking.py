"""Links without what follows people, and the image and link marks that mail programs leave in plain text."""

from __future__ import annotations

import re

from frontdesk.text.removed import Removed

_LINK = re.compile(r"https?://[^\s<>\"'\])]{1,4000}")
_TRACKED = re.compile(
    r"(?:utm_[a-z]{1,20}|mc_[ce]id|fbclid|gclid|dclid|msclkid|yclid|igshid|_hsenc|_hsmi"
    r"|mkt_tok|vero_id|wickedid|oly_(?:enc|anon)_id|s_cid|trk|upn|elqtrackid)=",
    re.IGNORECASE,
)
_LONG_LINK = 200
_MARK = re.compile(
    r"\[cid:[^\]\s]{1,300}\]|\[https?://[^\]\s]{1,2000}\.(?:png|gif|jpe?g)[^\]\s]{0,300}\]" r"|\[image: [^\]]{0,200}\]",
    re.IGNORECASE,
)
_MAILTO = re.compile(r"<mailto:[^<>\s]{1,300}>|\[mailto:[^\[\]\s]{1,300}\]", re.IGNORECASE)


def untracked(text: str) -> tuple[str, list[Removed]]:
    """Drop tracking parameters, the tails of very long links, and marks of inline images."""
    removed: list[Removed] = []

    def drop(match: re.Match[str]) -> str:
        removed.append(Removed("tracking", match.group(), "mark of an inline image or a repeated address"))
        return ""

    def shorten(match: re.Match[str]) -> str:
        link = match.group()
        address, mark, query = link.partition("?")
        if mark and (len(link) > _LONG_LINK or _TRACKED.search(query)):
            parameters = [
                part for part in re.split("[&;]", query) if part and not _TRACKED.match(part.removeprefix("amp;"))
            ]
            query = "&".join(parameters) if len(link) <= _LONG_LINK else ""
        short = f"{address}?{query}" if query else address
        short = short[:_LONG_LINK]
        if short != link:
            removed.append(
                Removed("tracking", link, "parameters that follow people, or a link of more than 200 characters")
            )
        return short

    if "[" in text or "mailto:" in text:
        text = _MAILTO.sub(drop, _MARK.sub(drop, text))
    if "http" in text:
        text = _LINK.sub(shorten, text)
    return text, removed
