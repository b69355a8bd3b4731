"""Experiments between two served models: declared beforehand, assigned by a hash, watched daily, judged in words.

The gateway needs `definition` and `assignment` only; statsmodels and scipy are loaded by what analyses.
"""
