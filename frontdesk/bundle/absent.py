"""What stands in the place of a model that another server holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frontdesk.errors import PredictorUnavailable


class AbsentModel:
    """The model of a bundle that was opened for its ends alone."""

    def probabilities(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, np.ndarray]:
        """Raise `PredictorUnavailable`."""
        raise PredictorUnavailable("the model is another server's", remedy="Ask its predictor")
