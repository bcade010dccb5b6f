"""The code examples of the seed pages, by page; tests/test_seeds.py runs them."""

from . import page_000, page_002, page_003, page_004_blocks, page_004_cnn

EXAMPLES = {
    f"{page}-{id}": example
    for page, examples in (
        ("000", page_000.EXAMPLES),
        ("002", page_002.EXAMPLES),
        ("003", page_003.EXAMPLES),
        ("004", page_004_blocks.EXAMPLES),
        ("004", page_004_cnn.EXAMPLES),
    )
    for id, example in examples.items()
}
