"""Simulated experiments by the hundred: errors and finds at the rates that were promised."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.experiments import ALPHA, POWER, Line, crossed, simulated, table
from frontdesk.experiments.effects import effects
from frontdesk.experiments.power import Plan, units_needed
from frontdesk.simulation.experiments import EFFECT, experiment

RUNS = 200


def test_looking_every_day_keeps_alpha_and_finds_the_effect_that_was_planned_for() -> None:
    definition = experiment(ab_days=30, aa_days=0)
    units = units_needed(Plan(1.0, 1.0, looks=30), EFFECT, POWER)["total"]
    same = effects(simulated(RUNS, units, 1))
    peeking = float(crossed(definition, same).mean())
    assert Line("A/A", units, peeking, RUNS, ALPHA).holds
    assert Line("A/A, one look", units, float(np.mean(np.abs(same.z[:, -1]) > 1.959964)), RUNS, ALPHA).holds
    assert float((np.abs(same.z) > 1.959964).any(axis=1).mean()) > 0.15  # what the boundaries are for
    found = crossed(definition, effects(simulated(RUNS, units, 2, change=EFFECT)))
    assert Line("A/B", units, float(found.mean()), RUNS, POWER).holds


@pytest.mark.slow
def test_a_thousand_of_each_keep_every_promise() -> None:
    lines = table(1_000, 1)
    assert [line for line in lines if not line.holds] == []
    by_name = {line.name: line.found for line in lines}
    assert by_name["sample ratio as declared, alarm on any day"] <= 0.005
    assert by_name["sample ratio 47 : 53, alarm on any day"] > 0.6
