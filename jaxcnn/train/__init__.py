"""Training: state, the pure step, devices, the loop, checkpoints and the report."""

from jaxcnn.train.checkpoint import Checkpoints, Progress
from jaxcnn.train.compilation import default_compilation_cache, enable_compilation_cache
from jaxcnn.train.evaluation import Evaluation, Evaluator
from jaxcnn.train.interrupts import Stopped
from jaxcnn.train.loop import fit
from jaxcnn.train.meter import NonFiniteLossError
from jaxcnn.train.parallel import ParallelStep, even_devices, parallelize
from jaxcnn.train.report import finish, format_table, print_epoch, save_figure, write_report
from jaxcnn.train.run import RunFolder
from jaxcnn.train.settings import RunSettings
from jaxcnn.train.state import TrainState, create_state
from jaxcnn.train.step import make_eval_step, make_train_step, on_rows, scan_steps, to_float

__all__ = [
    "Checkpoints",
    "Evaluation",
    "Evaluator",
    "NonFiniteLossError",
    "ParallelStep",
    "Progress",
    "RunFolder",
    "RunSettings",
    "Stopped",
    "TrainState",
    "create_state",
    "default_compilation_cache",
    "enable_compilation_cache",
    "even_devices",
    "finish",
    "fit",
    "format_table",
    "make_eval_step",
    "make_train_step",
    "on_rows",
    "parallelize",
    "print_epoch",
    "save_figure",
    "scan_steps",
    "to_float",
    "write_report",
]
