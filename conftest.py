"""Leaves out the documented examples that need PyTorch, where it is missing."""

import importlib.util

collect_ignore_glob = []
if importlib.util.find_spec("torch") is None:
    collect_ignore_glob.append("jaxcnn/interop/convert/*")
