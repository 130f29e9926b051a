"""The monthly bill on AWS, line by line, beside what other ways would cost: pure arithmetic on list prices."""

from etl.cost._estimate import Estimate, LineItem, cost
from etl.cost._prices import PRICES, Price
from etl.cost._workload import Workload, billed_record_bytes

__all__ = ["PRICES", "Estimate", "LineItem", "Price", "Workload", "billed_record_bytes", "cost"]
