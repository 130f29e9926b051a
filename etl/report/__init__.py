"""One page about a lake, to be looked at: HTML in a single file that loads nothing, runs nothing, and can be kept."""

from etl.report._charts import load_charts
from etl.report._data import ReportData
from etl.report._page import render_report
from etl.report._read import read_report
from etl.report._report import report

__all__ = ["ReportData", "load_charts", "read_report", "render_report", "report"]
