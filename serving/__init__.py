"""KServe's model server around bundles, collocated: cleaning, model and label names in one process.

This package is the only one that imports kserve, through `frontdesk.serving.sdk`.
"""
