"""Rows that break careless code: the same ones for Spark, the library in process, and the server."""

from __future__ import annotations

import random
from typing import Any

_TEXTS: tuple[str | None, ...] = (
    None,
    "",
    "   \t\n\u00a0\u2003\u2028",
    "\x00",
    "before\x00after \x01\x02\x7f",
    "<p>unclosed <b>bold <a href='x",
    "<<<>>><p></p><script>alert(1)",
    "<style>p{color:red}</style><!-- hidden -->shown<!-- never closed",
    "&amp;&lt;b&gt; &#39;&#x27; &#0; &#xD800; &#99999999; &nosuch; &amp",
    "مرحبا بالعالم \u200f\u202eright to left\u202c",
    "שלום עולם 12345678",
    "👩‍👩‍👧‍👦🏳️‍🌈 ❤️‍🔥 🇨🇭 \U0001f9d1\U0001f3fd\u200d\U0001f680",
    "東京タワー 北京 서울 ไทย हिन्दी",
    "\U00020000\U0002a6df \U0010ffff \ufffe\uffff \ufeffbom",
    "İstanbul ΣΊΣΥΦΟΣ Straße ﬁ ǅ Å e\u0301",
    "e\u0300\u0301\u0302" * 40,
    "don't l’ordre `quoted' ''' '",
    "Order 1234567 costs 12,50 € / $3.99 (50%)",
    "'; DROP TABLE tickets; -- \\ \" {{x}} ${y} %s %00",
    '{"json": [1, 2, {"a": null}]}',
    "nan NaN null None inf -inf 1e308",
    "a" * 300,
)
_LONG = ("a" * 5_000, "word " * 6_000, "<" * 3_000, "<a " * 3_000)
_LONG_SHARE = 0.02
_LEVELS: tuple[Any, ...] = (
    None, "", " ", "email", " email ", "Email", "never seen", "\x00", "é", "e\u0301", "👍", "x" * 500, "nan", "1.0",
)  # fmt: skip
_NUMBERS: tuple[float | None, ...] = (
    None, 0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 1.7976931348623157e308, 5e-324, 1e-300, 1e16, 0.1, 1e30, -273.15,
)  # fmt: skip
_TIMES: tuple[str | None, ...] = (
    None, "1970-01-01T00:00:00", "2024-02-29T23:59:59.999999", "0001-01-01T00:00:00+00:00", "9999-12-31T00:00:00Z",
    "2030-06-01T12:00:00+02:00",
)  # fmt: skip


def hostile_rows(
    n: int,
    seed: int = 0,
    *,
    text: tuple[str, ...] = ("subject", "body"),
    categorical: tuple[str, ...] = ("channel", "language", "product", "region"),
    numeric: tuple[str, ...] = ("account_age_days", "order_total"),
    levels: tuple[str, ...] = (),
    words: tuple[str, ...] = (),
) -> list[dict[str, Any]]:
    """Return request instances: every value is one that JSON can carry, and a valid request.

    Args:
        n: how many.
        seed: of the draw; the same rows for the same arguments.
        text, categorical, numeric: the fields; `created_at` is added.
        levels: levels that the model knows, mixed with hostile ones.
        words: words that the model knows, mixed with hostile texts, so that labels differ between rows.
    """
    draw = random.Random(seed)

    def sentence() -> str | None:
        start = draw.choice(_LONG if draw.random() < _LONG_SHARE else _TEXTS)
        if not words or draw.random() < 0.3:
            return start
        return " ".join([start or "", *draw.choices(words, k=draw.randint(1, 30)), draw.choice(_TEXTS[:18]) or ""])

    return [
        {
            **{name: sentence() for name in text},
            **{name: draw.choice(_LEVELS + levels) for name in categorical},
            **{name: draw.choice((*_NUMBERS, draw.uniform(-1e3, 1e3))) for name in numeric},
            "created_at": draw.choice(_TIMES),
        }
        for _ in range(n)
    ]
