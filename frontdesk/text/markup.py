"""HTML mails to text: one pass over the tags, no tree.

A tree is not needed to read a mail, and building one is not linear: on 100 kB of tags that are never closed lxml 6.1
took 4.3 s and selectolax (lexbor) 7.9 s, four times as long for twice the length. A quoted block becomes lines that
begin with ``> ``, a rule becomes underscores, so that the rules for plain text find quotes of HTML mails too.
"""

from __future__ import annotations

import html
import re

from frontdesk.text.removed import Removed

_TAG = re.compile(r"""</?([a-zA-Z][a-zA-Z0-9:]{0,30}+)((?:[^<>"']++|"[^"]*+"|'[^']*+')*+)>""")
_LOOSE_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9:]{0,30}+)([^<>]*+)>")
_LONGEST_TAG = 4_000
_REPEATED_ENTITY = re.compile("&(?:(?:amp|#38|#x26);)++")
_LONG_REFERENCE = re.compile("&#[0-9]{8,}+;?")
_WORD = re.compile(r"[^\W_]")
_SPACES = re.compile(r"[ \t\r\n\f]+")
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|(?:font-size|max-height"
    r"|opacity)\s*:\s*0(?:px|pt|em|%)?\s*(?:;|$|[\"'])",
    re.IGNORECASE,
)
_NO_MARGIN = re.compile(r"msonormal|margin\s*:\s*0|ecx", re.IGNORECASE)
_PIXEL = re.compile(r"(?:width|height)\s*[=:]\s*[\"']?\s*[01](?:px)?\b", re.IGNORECASE)

_RAW = frozenset(("style", "script", "head", "title", "noscript", "template", "svg", "xml", "object"))
_BLOCKS = frozenset(
    ("div", "tr", "li", "dt", "dd", "section", "article", "header", "footer", "address", "pre", "center", "form", "br")
)
_SPACED = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "dl", "body"))
_VOID = frozenset(("br", "hr", "img", "input", "meta", "link", "base", "area", "col", "wbr", "source"))
_RULE = "_" * 32
_DEEPEST = 3


def html_to_text(markup: str) -> tuple[str, list[Removed]]:
    """Return the visible text of an HTML mail and what was dropped: style sheets, scripts, hidden text, pixels."""
    text, removed = _read(markup, skip_hidden=True)
    if not _says_something(text):  # an element that hides everything else is not closed, or a mail is all hidden
        text, removed = _read(markup, skip_hidden=False)
    return text, removed


def _says_something(text: str) -> bool:
    return _WORD.search(text) is not None


class _Page:
    """The lines of text written so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self.depth = 0

    def write(self, data: str, keep_lines: bool) -> None:
        data = html.unescape(_LONG_REFERENCE.sub(" ", _REPEATED_ENTITY.sub("&", data))) if "&" in data else data
        if keep_lines:
            first, *others = data.split("\n")
            self.line.append(first)
            for other in others:
                self.end_line()
                self.line.append(other)
        else:
            self.line.append(_SPACES.sub(" ", data))

    def end_line(self, blank: bool = False) -> None:
        text = " ".join("".join(self.line).split())
        self.line.clear()
        mark = "> " * min(self.depth, _DEEPEST)
        if text:
            self.lines.append(mark + text)
        if blank and self.lines and self.lines[-1] != mark.strip():
            self.lines.append(mark.strip())

    def break_line(self) -> None:
        if any(piece.strip() for piece in self.line):
            self.end_line()
        else:
            self.end_line(blank=True)


def _read(markup: str, skip_hidden: bool) -> tuple[str, list[Removed]]:
    page, removed = _Page(), []
    folded = markup.lower()
    if len(folded) != len(markup):  # a character whose lower case is longer: positions would not match
        folded = markup
    position, preformatted = 0, 0
    unclosed: set[str] = set()  # names that no end tag follows: looked for once
    while (start := markup.find("<", position)) >= 0:
        page.write(markup[position:start], preformatted > 0)
        if markup.startswith("<!--", start):
            end = folded.find("-->", start + 4)
            position = len(markup) if end < 0 else end + 3
            continue
        if markup.startswith(("<!", "<?"), start):
            end = folded.find(">", start)
            position = len(markup) if end < 0 else end + 1
            continue
        end = start + _LONGEST_TAG
        match = _TAG.match(markup, start, end) or _LOOSE_TAG.match(markup, start, end)
        if match is None:
            page.write("<", False)
            position = start + 1
            continue
        name, attributes, closing = match[1].lower(), match[2], markup[start + 1] == "/"
        position = match.end()
        if closing:
            pass
        elif name in _RAW:
            end = -1 if name in unclosed else folded.find(f"</{name}", position)
            if end < 0 and name not in ("style", "script"):
                unclosed.add(name)  # what follows is shown
                continue
            begin, position = position, len(markup) if end < 0 else end
            if name in ("style", "script"):
                removed.append(Removed("style", markup[begin:position], f"content of <{name}>"))
            continue
        elif name == "img":
            if _PIXEL.search(attributes):
                removed.append(Removed("tracking", match.group(), "image of one pixel"))
            continue
        elif skip_hidden and name not in _VOID and attributes and _hides(attributes):
            begin, position = position, _after_element(markup, name, position)
            if _says_something(markup[begin:position]):
                removed.append(Removed("hidden", markup[begin:position], "the style hides it"))
            continue
        preformatted = _apply(page, name, attributes, closing, preformatted)
    page.write(markup[position:], preformatted > 0)
    page.end_line()
    return "\n".join(page.lines), removed


def _hides(attributes: str) -> bool:
    return _HIDING.search(attributes) is not None


def _after_element(markup: str, name: str, position: int) -> int:
    """Return the position behind the end tag that belongs to an element just opened."""
    depth = 1
    for match in re.compile(rf"<(/?){name}(?![a-zA-Z0-9:])", re.IGNORECASE).finditer(markup, position):
        depth += -1 if match[1] else 1
        if depth == 0:
            end = markup.find(">", match.end())
            return len(markup) if end < 0 else end + 1
    return len(markup)


def _apply(page: _Page, name: str, attributes: str, closing: bool, preformatted: int) -> int:
    """Let a tag act on the page; return the number of open preformatted elements."""
    if name == "blockquote":
        page.end_line()
        page.depth = max(0, page.depth + (-1 if closing else 1))
    elif name == "hr":
        page.end_line()
        page.line.append(_RULE)
        page.end_line()
    elif name == "br":
        page.break_line()
    elif name in _SPACED:
        page.end_line(blank=not closing and not _NO_MARGIN.search(attributes))
    elif name in _BLOCKS:
        page.end_line()
        if name == "li" and not closing:
            page.line.append("* ")
        if name == "pre":
            return max(0, preformatted + (-1 if closing else 1))
    elif name in ("td", "th"):
        page.line.append(" ")
    return preformatted
