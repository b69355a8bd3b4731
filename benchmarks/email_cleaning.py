"""Compare parsers of mail replies with `frontdesk.text.mail`, on the test items of the parsers themselves.

    python -m benchmarks.email_cleaning [--data FILE] [--rounds 5]

Parsers disagree on whether a signature belongs to a reply, so each is asked for both where it offers both, and the
column `one` is the better of its two single outputs: what a user gets who picks one. Equality ignores white space.
Times are CPU milliseconds: quantiles over the mails of the median over the rounds; parsers take turns, on one thread.
"""

from __future__ import annotations

import argparse
import email
import email.policy
import importlib.metadata
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from frontdesk.text.mail import clean_mail

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "email_cleaning_dev.parquet"


@dataclass(frozen=True)
class Answer:
    """What a parser makes of one mail; None where it has no such output."""

    bare: str | None
    signed: str | None
    signature: str | None = None


Parser = Callable[[str, str], Answer]


def body_of(raw: str, kind: str) -> str:
    """Return the plain body that a parser without MIME gets."""
    if kind != "eml":
        return raw
    message = email.message_from_string(raw, policy=email.policy.default)
    part = message.get_body(("plain", "html"))
    return raw if part is None else str(part.get_content())


def ours(raw: str, kind: str) -> Answer:
    """Our cleaning, told nothing about the format."""
    cleaned = clean_mail(raw)
    return Answer(cleaned.text, cleaned.reply, cleaned.signature)


def parsers() -> dict[str, Parser]:
    """Return the parsers that are installed, ours first."""
    found: dict[str, Parser] = {"frontdesk": ours}
    for name, build in (
        ("mail-parser-reply", _mail_parser_reply),
        ("email-reply-parser", _email_reply_parser),
        ("talon", _talon),
        ("quotequail", _quotequail),
        ("unquotemail", _unquotemail),
    ):
        try:
            found[f"{name} {importlib.metadata.version(name)}"] = build()
        except ImportError:
            print(f"{name} is not installed: install frontdesk[bench]")
    return found


def _mail_parser_reply() -> Parser:
    from mailparser_reply import EmailReplyParser

    languages = ["en", "de", "fr", "it", "es", "nl", "pl", "sv", "da", "ja"]
    reader = EmailReplyParser(languages=languages)

    def answer(raw: str, kind: str) -> Answer:
        replies = reader.read(text=body_of(raw, kind)).replies
        if not replies:
            return Answer("", "", "")
        return Answer(replies[0].body, replies[0].full_body, replies[0].signatures)

    return answer


def _email_reply_parser() -> Parser:
    from email_reply_parser import EmailReplyParser

    def answer(raw: str, kind: str) -> Answer:
        fragments = EmailReplyParser.read(body_of(raw, kind)).fragments
        signed = "\n".join(part.content for part in fragments if not part.quoted)
        signature = "\n".join(part.content for part in fragments if part.signature and not part.quoted)
        return Answer("\n".join(part.content for part in fragments if not part.hidden), signed, signature)

    return answer


def _talon() -> Parser:
    from talon import quotations
    from talon.signature.bruteforce import extract_signature

    quotations.register_xpath_extensions()

    def answer(raw: str, kind: str) -> Answer:
        if kind == "html":
            signed = quotations.extract_from_html(raw)
        else:
            signed = quotations.extract_from_plain(body_of(raw, kind))
        bare, signature = extract_signature(signed)
        return Answer(bare, signed, signature or "")

    return answer


def _quotequail() -> Parser:
    import quotequail

    def _quote(text: str) -> list[tuple[bool, str]]:
        return list(quotequail.quote(text, quote_intro_line=True))

    def answer(raw: str, kind: str) -> Answer:
        read = quotequail.quote_html if kind == "html" else _quote
        return Answer(None, "\n".join(text for visible, text in read(body_of(raw, kind)) if visible))

    return answer


def _unquotemail() -> Parser:
    from unquotemail import Unquote

    def answer(raw: str, kind: str) -> Answer:
        text = body_of(raw, kind)
        parsed = Unquote(raw if kind == "html" else None, None if kind == "html" else text)
        return Answer(None, parsed.get_text() or "")

    return answer


def same(given: str | None, expected: str) -> bool:
    """Compare two texts without their white space."""
    return given is not None and "".join(given.split()) == "".join(expected.split())


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=DATA)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    items = pq.read_table(chosen.data).to_pylist()
    warnings.simplefilter("ignore")  # html5lib's, inside talon
    every = parsers()
    answers: dict[str, list[Answer]] = {name: [] for name in every}
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in items] for name in every}
    for turn in range(chosen.rounds):
        for name in list(every) if turn % 2 == 0 else list(every)[::-1]:
            for place, item in enumerate(items):
                begin = time.process_time()
                try:
                    answer = every[name](item["raw"], item["format"])
                except Exception:  # a parser that raises has not answered
                    answer = Answer(None, None, None)
                seconds[name][place].append(time.process_time() - begin)
                if turn == 0:
                    answers[name].append(answer)
    replies = [(place, item) for place, item in enumerate(items) if item["expected_reply"] is not None]
    signed = [(place, item) for place, item in enumerate(items) if item["expected_signature"] is not None]
    table = Table(title=f"{chosen.data.name}: {len(replies)} replies, {len(signed)} signatures, {len(items)} mails")
    for column in (
        "parser",
        "reply, no signature",
        "reply, signed",
        "one",
        "either",
        "signatures",
        "CPU ms, median",
        "p95",
    ):
        table.add_column(column, justify="left" if column == "parser" else "right")
    for name in every:
        bare = [same(answers[name][place].bare, item["expected_reply"]) for place, item in replies]
        full = [same(answers[name][place].signed, item["expected_reply"]) for place, item in replies]
        marks = [same(answers[name][place].signature, item["expected_signature"]) for place, item in signed]
        each = sorted(1_000 * statistics.median(times) for times in seconds[name])
        either = sum(a or b for a, b in zip(bare, full, strict=True))
        shares = [sum(bare), sum(full), max(sum(bare), sum(full)), either]
        table.add_row(
            name,
            *(f"{share / len(replies):.3f}" for share in shares),
            f"{sum(marks) / len(signed):.2f}",
            f"{each[len(each) // 2]:.2f}",
            f"{each[int(0.95 * len(each))]:.2f}",
        )
    console = Console(width=140)
    console.print(table)
    console.print(f"{_processor()}, {platform.python_implementation()} {platform.python_version()}, one thread")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
