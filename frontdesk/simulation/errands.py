"""The world of the simulated operators' desk: lines, errands as graphs of procedures, words of buttons. Fixed.

An errand is why a client calls: a graph whose nodes are procedures and whose edges carry shares. Procedures that every
line knows (`SHARED`) make errands overlap; the clicks between two procedures hint at the next one.
"""

from __future__ import annotations

import numpy as np

LINES = {"cards": 0.28, "loans": 0.20, "deposits": 0.16, "insurance": 0.14, "mobile": 0.14, "business": 0.08}
"""Lines and their shares of the sessions."""

SHARED = ("identify_client", "change_contact", "send_statement", "file_complaint", "say_goodbye")
"""Procedures of every line."""

ENDING = "say_goodbye"
CLICKS = ("click", "search", "open_tab", "copy", "scroll")
"""Names of events; `click` and `open_tab` carry an element and a text."""

_NOUNS = {
    "cards": ("limit", "block", "reissue", "pin", "chargeback", "delivery", "cashback", "tariff"),
    "loans": ("balance", "payoff", "schedule", "holiday", "refinance", "arrears", "certificate", "offer"),
    "deposits": ("rate", "renewal", "withdrawal", "opening", "closing", "tax", "beneficiary"),
    "insurance": ("claim", "policy", "renewal", "refund", "assistance", "document", "premium"),
    "mobile": ("plan", "roaming", "sim", "porting", "top_up", "number", "coverage"),
    "business": ("account", "payroll", "invoice", "acquiring", "signatory", "currency"),
}
_STEPS = ("show", "explain", "change")
_ERRANDS_PER_LINE = 7
_STRUCTURE_SEED = 20_250
NEW_SHARE, NEW_FROM = 0.12, 0.55
"""The share of a line's own procedures that begin only after this share of the time."""


class Line:
    """One line's procedures and errands.

    Attributes:
        procedures: the line's own, by name.
        errands: ``{first procedure: {procedure: ((next, ...), shares)}}``; `ENDING` has no next.
        weights: shares of the errands.
        begins: ``{procedure: share of the time from which it exists}`` of those that are new.
    """

    def __init__(self, name: str, rng: np.random.Generator) -> None:
        self.name = name
        self.procedures = tuple(f"{name}_{step}_{noun}" for noun in _NOUNS[name] for step in _STEPS)
        new = rng.permutation(len(self.procedures))[: max(1, round(NEW_SHARE * len(self.procedures)))]
        self.begins = {self.procedures[place]: NEW_FROM + 0.05 * order for order, place in enumerate(new)}
        old = [procedure for procedure in self.procedures if procedure not in self.begins]
        starts = [old[place] for place in rng.permutation(len(old))[:_ERRANDS_PER_LINE]]
        self.errands = {start: self._graph(start, rng) for start in starts}
        weights = 1.0 / (1.0 + np.arange(len(starts)))
        self.weights = weights / weights.sum()

    def _graph(self, start: str, rng: np.random.Generator) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        others = [procedure for procedure in self.procedures if procedure != start]
        inner = [others[place] for place in rng.permutation(len(others))[:6]]
        nodes = [start, *inner]
        graph: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
        for place, node in enumerate(nodes):
            ahead = nodes[place + 1 : place + 4]
            shared = str(rng.choice(SHARED[:-1]))
            options = (*ahead, shared, ENDING)
            shares = rng.dirichlet([*(3.0, 1.5, 1.0)[: len(ahead)], 0.8, 0.5 + 0.5 * place])
            graph[node] = (options, shares)
        for shared in SHARED[:-1]:
            options = (*[nodes[place] for place in rng.permutation(len(nodes))[:2]], ENDING)
            graph[shared] = (options, rng.dirichlet(np.array([2.0, 1.0, 2.0])))
        return graph


def world() -> dict[str, Line]:
    """Return the lines, the same for every seed of a simulation."""
    rng = np.random.default_rng(_STRUCTURE_SEED)
    return {name: Line(name, rng) for name in LINES}


def words_of(procedure: str) -> tuple[str, str]:
    """Return an element of the interface and a text that lead to a procedure."""
    parts = procedure.split("_")
    return ("button" if len(procedure) % 2 else "tab"), " ".join(parts[1:]).capitalize()
