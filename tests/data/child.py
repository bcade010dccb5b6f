"""Loads a data set in a process of its own, for the tests that kill it or run several.

Takes one argument, JSON: `name`, `data_dir` and `downloads` say what to load. `stop_at`
names a function, `module:attribute`; called for the `after`-th time, it says so and waits
for the end instead of working. `unlocked` pretends that the platform has no file locks.
"""

import dataclasses
import importlib
import json
import os
import sys
import time

from jaxcnn import data
from jaxcnn.data import cache, sources


def main() -> None:
    """Runs the order."""
    order = json.loads(sys.argv[1])
    name = order["name"]
    downloads = tuple(sources.Download(*fields) for fields in order["downloads"])
    sources.SOURCES[name] = dataclasses.replace(sources.SOURCES[name], downloads=downloads)
    if order.get("unlocked"):
        cache.fcntl = None
    if order.get("stop_at"):
        stop_at(order["stop_at"], order.get("after", 1))
    loaded = data.load(name, "train", data_dir=order["data_dir"])
    print("LOADED", int(loaded.images.astype(int).sum()), flush=True)


def stop_at(target: str, after: int) -> None:
    """Replaces a function by one that stops for ever at its `after`-th call."""
    module_name, _, path = target.partition(":")
    owner = importlib.import_module(module_name)
    *outer, attribute = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = getattr(owner, attribute)
    calls = 0

    def stop(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls < after:
            return original(*args, **kwargs)
        # Not print: the library keeps what TFDS prints away, and threads mix their lines.
        os.write(1, b"STOPPED\n")
        time.sleep(60)
        raise AssertionError("nobody killed this process")

    setattr(owner, attribute, stop)


if __name__ == "__main__":
    main()
