"""What a run leaves to look at: pictures, weights, and pages made from them."""

from jaxcnn.train.report.figures import save_figure
from jaxcnn.train.report.histograms import LayerHistograms, layer_histograms
from jaxcnn.train.report.inspection import write_inspection
from jaxcnn.train.report.page import write_html_report
from jaxcnn.train.report.write import finish, format_table, print_epoch, write_report

__all__ = [
    "LayerHistograms",
    "finish",
    "format_table",
    "layer_histograms",
    "print_epoch",
    "save_figure",
    "write_html_report",
    "write_inspection",
    "write_report",
]
