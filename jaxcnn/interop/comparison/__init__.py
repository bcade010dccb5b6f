"""Two models side by side: the first layer that diverges, and why."""

from jaxcnn.interop.comparison.causes import Cause
from jaxcnn.interop.comparison.measure import compare
from jaxcnn.interop.comparison.report import LayerReport, Report
from jaxcnn.interop.comparison.state_dicts import compare_state_dicts
from jaxcnn.interop.comparison.values import Error

__all__ = ["Cause", "Error", "LayerReport", "Report", "compare", "compare_state_dicts"]
