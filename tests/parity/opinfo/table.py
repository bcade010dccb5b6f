"""The whole table: every OpInfo that jaxcnn answers for."""

from __future__ import annotations

import importlib

from .entry import Entry

ROOMS = ("conv", "pooling", "normalization", "activation", "dropout", "linear", "shape", "loss")

ENTRIES: dict[str, Entry] = {}
for _room in ROOMS:
    for _entry in importlib.import_module(f"{__package__}.{_room}").ENTRIES:
        assert _entry.id not in ENTRIES, f"{_entry.id} is in the table twice"
        ENTRIES[_entry.id] = _entry
