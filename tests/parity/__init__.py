"""The library against PyTorch: one table of cases, run live and against stored values."""
