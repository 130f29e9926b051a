"""What it costs on AWS, line by line, beside other ways, and how far each way goes: pure arithmetic on list prices."""

from etl.cost._estimate import Estimate, LineItem, cost
from etl.cost._limits import LIMITS, Limit
from etl.cost._prices import PRICES, Price
from etl.cost._scale_page import docs_scale
from etl.cost._workload import Workload, billed_record_bytes

__all__ = [
    "LIMITS",
    "PRICES",
    "Estimate",
    "Limit",
    "LineItem",
    "Price",
    "Workload",
    "billed_record_bytes",
    "cost",
    "docs_scale",
]
