"""Opens an ONNX graph in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from frontdesk.errors import BundleError


def open_session(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    """Return a session over a graph's file. Raises `BundleError` where the runtime does not take it.

    Args:
        graph: the file.
        threads: of one request.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(graph), sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises a class of its own for each of its status codes
        words = f"ONNX Runtime does not take the graph ({type(error).__name__})"
        raise BundleError(words, where=graph.name, remedy="Make the bundle again") from error
