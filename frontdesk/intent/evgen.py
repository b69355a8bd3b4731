"""EvGen as it is served: the session network and the counts of the log, loaded from one folder, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import orjson
from safetensors import SafetensorError
from safetensors.numpy import load_file

from frontdesk.errors import BundleError
from frontdesk.intent.batches import batches, pad_requests
from frontdesk.intent.engines.arrays import ArrayNetwork, opened_at
from frontdesk.intent.keys import suffix_keys, window_of, windows
from frontdesk.intent.live import LONGEST_PASS, LiveSessions
from frontdesk.intent.mapped import map_arrays
from frontdesk.intent.markov import MarkovTable
from frontdesk.intent.network_config import NetworkConfig
from frontdesk.intent.sessions import Session, SessionSet
from frontdesk.intent.stacking import Stacking
from frontdesk.intent.tokens import FIRST_TOKEN

WEIGHTS, CONFIG, COUNTS = "weights.safetensors", "config.json", "counts.safetensors"
_TOKENS_AT_ONCE = 4_096


@dataclass(frozen=True)
class EvGen:
    """The trained model.

    Attributes:
        network: full pass and step.
        counts: what was opened after the last tokens.
        stacking: how both are weighed.
    """

    network: ArrayNetwork
    counts: MarkovTable
    stacking: Stacking

    @classmethod
    def load(cls, folder: Path) -> EvGen:
        """Open a folder made by `frontdesk.intent.training.train_evgen`. Raises `BundleError` that names the file."""
        name = CONFIG
        try:
            content = orjson.loads((folder / CONFIG).read_bytes())
            config = NetworkConfig.from_json(content["network"])
            stacking = Stacking.from_json(content["stacking"])
            name = WEIGHTS
            network = ArrayNetwork(config, load_file(folder / WEIGHTS))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise BundleError("the network cannot be read", where=name, remedy="Fuse the bundle again") from error
        return cls(network, MarkovTable.from_arrays(map_arrays(folder / COUNTS)), stacking)

    def live(self, max_sessions: int = 4_096) -> LiveSessions:
        """Return an empty memory of live sessions, for `scores`."""
        return LiveSessions(self.network, max_sessions=max_sessions)

    def scores(
        self, requests: Sequence[Session], *, live: LiveSessions | None = None, valid: np.ndarray | None = None
    ) -> np.ndarray:
        """Return each intent's share of being opened next, float32 [N, K].

        Args:
            requests: sessions so far.
            live: memory of `live`; the same scores from one step per new token.
            valid: bool [K] or [N, K], the intents that exist now; others get 0. None for all.
        """
        if not len(requests):
            return np.zeros((0, self.network.config.intents), np.float32)
        logits = self.logits(requests) if live is None else live.logits(requests)
        window = np.concatenate([window_of(request) for request in requests])
        return self.stacking.mix(logits, self.counts.look_up(suffix_keys(window)), valid)

    def logits(self, requests: Sequence[Session]) -> np.ndarray:
        """Return the network's logits by a full pass over every session, float32 [N, K]."""
        lengths = np.array([len(request.tokens) for request in requests])
        found = np.empty((len(requests), self.network.config.intents), np.float32)
        long = np.flatnonzero(lengths > LONGEST_PASS)
        if len(long):  # stepped: a full pass costs the square of the length
            own = [replace(requests[int(place)], session_id=str(place)) for place in long]
            found[long] = self.live(len(long)).logits(own)
        short = np.flatnonzero(lengths <= LONGEST_PASS)
        for places in batches(lengths, short[np.argsort(lengths[short], kind="stable")], _TOKENS_AT_ONCE):
            padded = pad_requests([requests[int(place)] for place in places])
            stream, _ = self.network.full(padded)
            opened = np.zeros((len(places), self.network.config.intents), bool)
            row, column = np.nonzero((padded.tokens >= FIRST_TOKEN) & padded.is_intent)
            opened[row, padded.tokens[row, column] - FIRST_TOKEN] = True
            last = stream[np.arange(len(places)), padded.lengths]
            found[places] = self.network.read(last, padded.operator, padded.line, opened)
        return found

    def row_scores(self, sessions: SessionSet, rows: np.ndarray, *, valid: np.ndarray | None = None) -> np.ndarray:
        """Return what a request just before each of some rows would have been answered, float32 [N, K].

        Sessions are read once for each of those who ask in them, not once for each request.

        Args:
            sessions: sessions.
            rows: int64 [N], places of rows; their operator and line ask.
            valid: see `scores`.
        """
        places = sessions.session_of[rows]
        askers = np.column_stack([places, sessions.operators[rows], sessions.lines[rows], sessions.features[rows]])
        distinct, group = np.unique(askers, axis=0, return_inverse=True)
        group = group.ravel()
        behind = rows - sessions.offsets[places]  # position of each row's request
        last = np.zeros(len(distinct), np.int64)
        np.maximum.at(last, group, behind)
        logits = np.empty((len(rows), self.network.config.intents), np.float32)
        by_group = np.argsort(group, kind="stable")
        bounds = np.searchsorted(group[by_group], np.arange(len(distinct) + 1))
        order = np.argsort(last, kind="stable")
        for groups in batches(last, order[last[order] <= LONGEST_PASS], _TOKENS_AT_ONCE):
            requests = [_prefix(sessions, distinct[one], int(last[one])) for one in groups]
            padded = pad_requests(requests)
            stream, _ = self.network.full(padded)
            opened = opened_at(padded.tokens, self.network.config.intents)
            for row, one in enumerate(groups):
                asked = by_group[bounds[one] : bounds[one + 1]]
                who = np.repeat(distinct[one : one + 1], len(asked), 0)
                at = behind[asked]
                logits[asked] = self.network.read(stream[row, at], who[:, 1], who[:, 2], opened[row, at])
        for one in np.flatnonzero(last > LONGEST_PASS):
            asked = by_group[bounds[one] : bounds[one + 1]]
            live = self.live(1)
            for place in asked[np.argsort(behind[asked], kind="stable")]:
                request = _prefix(sessions, distinct[one], int(behind[place]))
                logits[place] = live.logits([request])[0]
        return self.stacking.mix(logits, self.counts.look_up(suffix_keys(windows(sessions, places, rows))), valid)


def _prefix(sessions: SessionSet, asker: np.ndarray, length: int) -> Session:
    """Return a session's first rows as a request; the asker is session, operator, line, features: int [3 + F]."""
    place, operator, line, *features = map(int, asker)
    return replace(sessions[place].head(length), operator=operator, line=line, features=tuple(features))
