"""What only a real account can settle: checks that are run against a deployed stack, and say what they found."""

from etl.smoke._account import Account
from etl.smoke._finding import Finding
from etl.smoke._smoke import Smoke, run_smoke, smoke

__all__ = ["Account", "Finding", "Smoke", "run_smoke", "smoke"]
