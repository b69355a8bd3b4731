"""How good a model is: metrics, calibration, slices, baselines, the report and the gate.

An evaluation is a folder of four files. Nothing here is on the way of a prediction; a server imports none of it.
"""

METRICS = "metrics.json"
"""Every figure, as plain values."""
PREDICTIONS = "predictions.parquet"
"""Every answer to a test row, without the row's text; what the gate compares."""
PICTURES = "pictures.json"
"""What the report draws beside the figures: learning curves, maps of the embeddings."""
REPORT = "report.html"
"""One page for a person."""
