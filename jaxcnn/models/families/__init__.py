"""One file a family: its modules, their names and keys as at their origin, and VARIANTS."""
