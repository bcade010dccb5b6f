"""Reads mutated checkpoint files in a process of its own: python -m tests.interop.fuzz_files.

Prints, as JSON, how many files were read and refused, the slowest reading, the growth of memory,
and everything that was neither an array nor a CheckpointError.
"""

from __future__ import annotations

import argparse
import json
import resource
import struct
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxcnn.interop import CheckpointError, files
from tests.interop.torch_bytes import (
    FLOATS,
    PROTOCOL,
    archive,
    call,
    entry,
    legacy,
    module,
    name,
    npy,
    safetensors,
    storage,
    tensor,
    value,
)

EXTREMES = (0, 1, 2, 5, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**64 - 1)
OPCODES = [bytes([opcode]) for opcode in b"(.0123NRQ\x81\x85\x86\x90\x92\x93\x94abdehijloqrstu}]"]
Build = Callable[[bytes], bytes]


def roots() -> list[bytes]:
    """Pickles, without their protocol and STOP, of the kinds that a reader has to know."""
    untyped = value(("storage", name("torch.storage", "UntypedStorage"), "0", "cpu", 24)) + b"Q"
    third = call(
        *(name("torch._utils", "_rebuild_tensor_v3"), untyped, 0, (3, 2), (1, 3), False, {}),
        name("torch", "float32"),
    )
    numpy_dtype = call(name("numpy", "dtype"), "f4", False, True)
    numpy_dtype += value((3, "<", None, None, None, -1, -1, 0)) + b"b"
    array = call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), (0,), 1)
    array += value((1, (2,), numpy_dtype, False, b"C\x08" + FLOATS[:2].tobytes())) + b"b"
    parameter = call(name("torch._utils", "_rebuild_parameter"), tensor() + b"q\x01", True, {})
    inner = module("B", {"weight": parameter, "none": None}, {"mean": b"h\x01"})
    return [
        value({"w": tensor(), "b": tensor((2,), (2,), 3), "epoch": 1}),
        value({"state_dict": {"module.w": third, "module.x": array}, "optimizer": {"state": {}}}),
        value({"model": module("A", {}, {}, {"0": inner, "1": inner}, training=True), "lr": 1}),
        value({"w": tensor(held=storage("0", "FloatStorage", 6, ("1", 0, 6)))}),
    ]


def zip_of(pickle: bytes) -> bytes:
    """A zip of torch.save with the right CRC, whatever the pickle."""
    return archive({"a/data.pkl": pickle, "a/byteorder": b"little", "a/data/0": FLOATS.tobytes()})


def seeds() -> list[tuple[bytes, Build]]:
    """(what is mutated, what makes a file of it): whole files, and parts behind a checksum."""
    same: Build = lambda content: content
    pickles = [PROTOCOL + root + b"." for root in roots()]
    header = {"w": entry(), "v": entry("BF16", [2, 3], 24, 36), "__metadata__": {"a": "b"}}
    safe = safetensors(header, bytes(36))
    text = safe[8:-36]
    arrays = {"w.npy": npy(), "v.npy": npy()}
    return [
        *((zip_of(pickle), same) for pickle in pickles),
        *((pickle, zip_of) for pickle in pickles * 3),
        *((legacy(root, itemsize=1 if b"Untyped" in root else 4), same) for root in roots()),
        (safe, same),
        (text, lambda mutant: safetensors(mutant, bytes(36))),
        (archive(arrays), same),
        (archive(arrays, zipfile.ZIP_DEFLATED), same),
        (archive({}), same),
        (npy(), lambda mutant: archive({"w.npy": mutant}, zipfile.ZIP_DEFLATED)),
    ]


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """One change, or some more: bits, bytes, opcodes, lengths, cuts, blocks moved or repeated."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at, other = (int(rng.integers(len(data) + 1)) for _ in range(2))
        n = int(rng.integers(1, 20))
        match rng.integers(8):
            case 0 if at < len(data):
                data[at] ^= 1 << int(rng.integers(8))
            case 1 if at < len(data):
                data[at] = int(rng.integers(256))
            case 2:
                code = "BHLQ"[int(rng.integers(4))]
                number = EXTREMES[int(rng.integers(len(EXTREMES)))]
                packed = struct.pack(f"<{code}", number % 256 ** struct.calcsize(f"<{code}"))
                data[at : at + len(packed)] = packed
            case 3 if rng.random() < 0.3:
                del data[at:]
            case 4:
                del data[at : at + n]
            case 5:
                data[at:at] = data[other : other + n]
            case 6:
                block = data[at : at + n]
                data[at : at + n] = data[other : other + n]
                data[other : other + n] = block
            case 7:  # opcodes of pickles
                data[at:at] = OPCODES[other % len(OPCODES)]
    return bytes(data)


def outcome(path: Path) -> str:
    """What became of a file: "read", "refused", or what must not happen."""
    try:
        checkpoint = files.read_checkpoint(path)
    except CheckpointError as error:
        message = str(error)
        named = message.startswith("read_checkpoint: ") and f"got path={str(path)!r}" in message
        return "refused" if named and "fit into memory" not in message else message
    except BaseException:
        return traceback.format_exc()
    for key, x in checkpoint.state_dict.items():
        if not (isinstance(key, str) and type(x) is np.ndarray and x.dtype != object):
            return f"{key!r}: {type(x)}"
        x.tobytes()  # reads every entry: one outside its storage would crash
    return "read"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    pool = seeds()
    counts: dict[str, int] = {"read": 0, "refused": 0}
    wrong: list[Any] = []
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        for content, build in pool:
            path.write_bytes(build(content))
            assert outcome(path) == "read", outcome(path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(options.count):
            content, build = pool[i % len(pool)]
            mutant = build(mutate(content, rng))
            path.write_bytes(mutant)
            started = time.process_time()
            result = outcome(path)
            slowest = max(slowest, time.process_time() - started)
            if result in counts:
                counts[result] += 1
            else:
                wrong.append((i, mutant.hex(), result))
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(json.dumps({**counts, "slowest": slowest, "growth": growth, "wrong": wrong[:5]}))


if __name__ == "__main__":
    main()
