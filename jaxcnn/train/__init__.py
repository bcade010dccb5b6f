"""Training: state, the pure step, devices, the loop, checkpoints and the report."""

from jaxcnn.train.checkpoint import Checkpoints, Progress
from jaxcnn.train.compilation import default_compilation_cache, enable_compilation_cache
from jaxcnn.train.distributed import ProcessInfo, initialize, is_main_process
from jaxcnn.train.ema import AveragedParams
from jaxcnn.train.evaluation import Evaluation, Evaluator
from jaxcnn.train.experiment import ExperimentSettings, run_experiment
from jaxcnn.train.interrupts import Stopped
from jaxcnn.train.loop import fit
from jaxcnn.train.meter import NonFiniteLossError
from jaxcnn.train.parallel import ParallelStep, all_devices, even_devices, parallelize
from jaxcnn.train.photographs import PhotographSettings
from jaxcnn.train.precision import grad_scaler
from jaxcnn.train.recipe import Optimizer, Recipe, Schedule
from jaxcnn.train.report import (
    LayerHistograms,
    finish,
    format_table,
    layer_histograms,
    print_epoch,
    save_figure,
    write_html_report,
    write_inspection,
    write_report,
)
from jaxcnn.train.run import RunFolder
from jaxcnn.train.settings import RunSettings
from jaxcnn.train.state import TrainState, create_state
from jaxcnn.train.step import make_eval_step, make_train_step, on_rows, scan_steps, to_float
from jaxcnn.train.writers import TensorBoardWriter, WandbWriter

__all__ = [
    "AveragedParams",
    "Checkpoints",
    "Evaluation",
    "Evaluator",
    "ExperimentSettings",
    "LayerHistograms",
    "NonFiniteLossError",
    "Optimizer",
    "ParallelStep",
    "PhotographSettings",
    "ProcessInfo",
    "Progress",
    "Recipe",
    "RunFolder",
    "RunSettings",
    "Schedule",
    "Stopped",
    "TensorBoardWriter",
    "TrainState",
    "WandbWriter",
    "all_devices",
    "create_state",
    "default_compilation_cache",
    "enable_compilation_cache",
    "even_devices",
    "finish",
    "fit",
    "format_table",
    "grad_scaler",
    "initialize",
    "is_main_process",
    "layer_histograms",
    "make_eval_step",
    "make_train_step",
    "on_rows",
    "parallelize",
    "print_epoch",
    "run_experiment",
    "save_figure",
    "scan_steps",
    "to_float",
    "write_html_report",
    "write_inspection",
    "write_report",
]
