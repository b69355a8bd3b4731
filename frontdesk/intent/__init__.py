"""The intent recipe: which procedure an operator opens next, from the session so far."""
