"""Text: cleaning and tokens, the same function in Spark, in training and on the server."""
