"""The public door: keys, limits, batches, suggestions, feedback, the prediction log. Model servers stay private."""
