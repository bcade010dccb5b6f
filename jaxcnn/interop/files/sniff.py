"""What a file is that is no checkpoint."""

from __future__ import annotations

# (offset, magic, what it is)
_KNOWN = (
    (0, b"version https://git-lfs", "a git-lfs pointer; fetch the file itself with git lfs pull"),
    (0, b"\x1f\x8b", "gzip; unpack it first"),
    (0, b"BZh", "bzip2; unpack it first"),
    (0, b"\xfd7zXZ", "xz; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "zstandard; unpack it first"),
    (0, b"7z\xbc\xaf", "7-zip; unpack it first"),
    (257, b"ustar", "tar; unpack it first"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5, as Keras writes it"),
    (0, b"\x93NUMPY", "one array of NumPy; save a dict of arrays with numpy.savez"),
    (0, b"GGUF", "GGUF"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"%PDF", "a PDF"),
)


def describe(head: bytes) -> str:
    """Names the kind of file that starts with `head`, in words for an error."""
    for offset, magic, what in _KNOWN:
        if head[offset:].startswith(magic):
            return f"it is {what}"
    if not head.strip(b"\0"):
        return "it is all zeros" if head else "it is empty"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "it is a bare pickle; load it where it was written, and torch.save its arrays"
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page; download the file itself"
    text = all(byte in b"\t\n\r\f" or byte >= 32 for byte in head) and head.isascii()
    return "it is text" if text else "its kind is unknown"
