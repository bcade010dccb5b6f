"""Several processes, on one host or on many."""

from jaxcnn.train.distributed.processes import ProcessInfo, initialize, is_main_process

__all__ = ["ProcessInfo", "initialize", "is_main_process"]
