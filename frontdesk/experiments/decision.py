"""What to do, in words: ship, keep, go on, or nothing at all because the experiment is invalid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from frontdesk.experiments.definition import Definition, Guardrail
from frontdesk.experiments.mismatch import STRICT, SampleRatio

Verdict = Literal["ship", "keep", "go on", "invalid"]
Guard = Literal["held", "open", "broken"]
MOST_CROSSED = 0.01
"""Share of the units that may be seen in both arms; they are left out."""
LEAST_DAYS = 7
"""Nothing is shipped before a whole week was seen: desks differ from day to day."""


@dataclass(frozen=True)
class Decision:
    """A verdict for people.

    Attributes:
        headline: what happened, in one sentence.
        reasons: why, most important first.
        advice: what to do now.
    """

    verdict: Verdict
    headline: str
    reasons: tuple[str, ...]
    advice: str

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def guard_state(guard: Guardrail, figures: Mapping[str, Any]) -> Guard:
    """Return whether a guardrail's whole interval lies inside of its bound, outside, or on both sides."""
    low, high = figures["low"], figures["high"]
    if low is None or high is None:
        return "open"
    worst, best = (-low, -high) if guard.sign > 0 else (high, low)
    return "held" if worst < guard.bound else "broken" if best > guard.bound else "open"


def decide(
    definition: Definition,
    *,
    days: int,
    over: bool,
    ratio: SampleRatio,
    crossed: int,
    control_phase: Mapping[str, Any] | None,
    metrics: Mapping[str, Mapping[str, Any]],
) -> Decision:
    """Judge an experiment by the rules that its definition declared.

    Args:
        days: of the A/B phase that were seen.
        over: whether that phase has ended.
        control_phase: the primary metric's figures in the A/A phase.
        metrics: figures of the A/B phase by metric; empty before it.
    """
    faults = _faults(definition, ratio, crossed, control_phase)
    if faults:
        advice = "Do not use these figures. Find what chose the units, repair it, and start a new experiment"
        return Decision("invalid", f"Invalid: {next(iter(faults))}", tuple(faults.values()), advice)
    primary = metrics.get(definition.primary.metric)
    if primary is None:
        advice = "Go on: the comparison has not begun"
        reasons = (_of_control_phase(definition, control_phase),) if control_phase else ()
        return Decision("go on", "Go on: only the A/A phase has been seen so far", reasons, advice)
    return _compare(definition, days, over, control_phase, metrics, primary)


def _faults(
    definition: Definition, ratio: SampleRatio, crossed: int, control_phase: Mapping[str, Any] | None
) -> dict[str, str]:
    """Return what makes the experiment worthless: ``{in short: in full}``, the worst first."""
    found = {}
    units = ratio.control + ratio.treatment + crossed
    if ratio.alarm and ratio.observed is not None:
        found["the arms did not get their shares (sample-ratio mismatch)"] = (
            f"The treatment got {_share(ratio.observed)} of the {units:,} units instead of {_share(ratio.expected)}, "
            "which chance does not do"
        )
    if crossed > MOST_CROSSED * units:
        found["units were in both arms"] = f"{crossed:,} of {units:,} units were seen in both arms"
    if control_phase is not None and control_phase["p"] is not None and control_phase["p"] < STRICT:
        words = f"{metric_words(definition.primary.metric)} was {change_words(control_phase)}"
        found["the arms differ with the same model"] = f"In the A/A phase, with the same model in both arms, {words}"
    return found


def _compare(
    definition: Definition,
    days: int,
    over: bool,
    control_phase: Mapping[str, Any] | None,
    metrics: Mapping[str, Mapping[str, Any]],
    primary: Mapping[str, Any],
) -> Decision:
    control, treatment = definition.arms
    said = f"{metric_words(definition.primary.metric)} is {change_words(primary)}"
    guards = [(guard, metrics.get(guard.metric)) for guard in definition.guardrails]
    states = {guard.metric: guard_state(guard, figures) if figures else "open" for guard, figures in guards}
    reasons = [f"With {treatment}, {said}", *(_of_guard(guard, figures, states) for guard, figures in guards)]
    if control_phase is not None:
        reasons.append(_of_control_phase(definition, control_phase))
    broken = [metric for metric, state in states.items() if state == "broken"]
    unsure = [metric for metric, state in states.items() if state == "open"]
    left = definition.phases.ab.days - days
    if broken:
        words = f"Keep {control}: {metric_words(broken[0])} suffers more than was declared bearable"
        return Decision("keep", words, tuple(reasons), f"Stop the experiment and leave {control} in place")
    if primary["outcome"] == "worse":
        words = f"Keep {control}: with {treatment}, {said}"
        return Decision("keep", words, tuple(reasons), f"Stop the experiment and leave {control} in place")
    if primary["outcome"] == "better" and not unsure and (over or days >= LEAST_DAYS):
        words = f"Ship {treatment}: {said}"
        return Decision("ship", words, tuple(reasons), f"Stop the experiment and roll {treatment} out")
    if not over:
        return _go_on(definition, days, left, primary, unsure, reasons)
    if primary["outcome"] == "better":
        listed = " and ".join(metric_words(metric) for metric in unsure)
        words = f"Keep {control}: {treatment} is better, but {listed} may have suffered more than is bearable"
        advice = f"Leave {control} in place; a longer experiment can settle the guardrail"
        return Decision("keep", words, tuple(reasons), advice)
    reasons.append(_what_is_ruled_out(definition, primary))
    words = f"Keep {control}: no difference in {metric_words(definition.primary.metric)} was found"
    return Decision("keep", words, tuple(reasons), f"Leave {control} in place")


def _go_on(
    definition: Definition,
    days: int,
    left: int,
    primary: Mapping[str, Any],
    unsure: Sequence[str],
    reasons: Sequence[str],
) -> Decision:
    if primary["outcome"] == "better":
        waits = metric_words(unsure[0]) if unsure else "a whole week"
        words = f"Go on: {definition.treatment.name} looks better, but {waits} is still to be seen"
    else:
        words = f"Go on: nothing is decided after {days} of {definition.phases.ab.days} days"
    ends = f"{left} more days, until {definition.phases.ab.until.isoformat()}"
    return Decision("go on", words, tuple(reasons), f"Change nothing; the experiment runs {ends} at most")


def _of_guard(guard: Guardrail, figures: Mapping[str, Any] | None, states: Mapping[str, Guard]) -> str:
    name = metric_words(guard.metric)
    if figures is None:
        return f"Of {name} nothing was measured, so its guardrail stays open"
    words = {
        "held": f"at most {_share(guard.bound)} worse, as declared",
        "open": f"that it is at most {_share(guard.bound)} worse is not shown yet",
        "broken": f"worse than the {_share(guard.bound)} that were declared bearable",
    }
    state = states[guard.metric]
    return f"Guardrail {state}: {name} is {change_words(figures)}; {words[state]}"


def _of_control_phase(definition: Definition, figures: Mapping[str, Any]) -> str:
    name, p = metric_words(definition.primary.metric), figures["p"]
    if p is None:
        return "The A/A phase has too few units to say anything"
    if p < definition.alpha:
        words = f"{name} was {change_words(figures)} with one model in both arms"
        return f"Look at the A/A phase: {words}; chance alone does that in {_share(definition.alpha)} of experiments"
    return f"In the A/A phase the arms were alike: {name} was {change_words(figures)}"


def _what_is_ruled_out(definition: Definition, figures: Mapping[str, Any]) -> str:
    wanted = definition.primary.minimum_effect
    low, high = figures["low"], figures["high"]
    best = None if low is None or high is None else (high if definition.primary.sign > 0 else -low)
    if best is not None and best < wanted:
        return f"An improvement of {_share(wanted)}, the smallest worth having, is ruled out"
    return f"An improvement of {_share(wanted)}, the smallest worth having, is not ruled out: there were too few units"


def change_words(figures: Mapping[str, Any]) -> str:
    """Return a relative change and its interval as words: ``6.6 % lower (between 3.1 and 10.0 %)``."""
    if figures["relative"] is None:
        return "not to be compared yet"
    words = _change(figures["relative"])
    if figures["low"] is None or figures["high"] is None:
        return f"{words} (no interval yet)"
    near, far = sorted((figures["low"], figures["high"]), key=abs)
    if near * far > 0:
        return f"{words} (between {100 * abs(near):.1f} and {_share(abs(far))})"
    return f"{words} (between {_change(figures['low'])} and {_change(figures['high'])})"


def metric_words(metric: str) -> str:
    """Return the name of a metric as words."""
    return metric.replace("_", " ")


def _change(value: float) -> str:
    if abs(value) < 0.0005:
        return "unchanged"
    return f"{_share(abs(value))} {'higher' if value > 0 else 'lower'}"


def _share(value: float) -> str:
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"
