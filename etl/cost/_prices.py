"""List prices, each with where it is from and when it was read; us-east-1, without free tier, discounts or tax. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Price:
    """`usd` for each `unit`, as listed at `source` on `as_of`; `note` says how sure that is."""

    name: str
    usd: float
    unit: str
    source: str
    as_of: str = "2026-11-23"
    note: str = ""


_SECONDARY: Final = "the rule from the source, the figure from public repositories that agree"
_RECALLED: Final = "from memory of the source, to be checked"

FIREHOSE_INGESTION: Final = Price(
    "Firehose ingestion, Direct PUT, first 500 TB",
    0.029,
    "GB",
    "https://aws.amazon.com/firehose/pricing/",
    note=_SECONDARY,
)
FIREHOSE_CONVERSION: Final = Price(
    "Firehose format conversion", 0.018, "GB", "https://aws.amazon.com/firehose/pricing/", note=_SECONDARY
)
LAMBDA_ARM: Final = Price(
    "Lambda, arm64", 0.0000133334, "GB-second", "https://aws.amazon.com/lambda/pricing/", note=_SECONDARY
)
LAMBDA_REQUESTS: Final = Price(
    "Lambda requests", 0.20, "million requests", "https://aws.amazon.com/lambda/pricing/", note=_SECONDARY
)
SQS: Final = Price(
    "SQS, standard queue", 0.40, "million requests", "https://aws.amazon.com/sqs/pricing/", note=_SECONDARY
)
S3_GET: Final = Price("S3 GET", 0.0004, "1,000 requests", "https://aws.amazon.com/s3/pricing/", note=_SECONDARY)
S3_PUT: Final = Price("S3 PUT", 0.005, "1,000 requests", "https://aws.amazon.com/s3/pricing/", note=_SECONDARY)
S3_STORAGE: Final = Price(
    "S3 Standard, first 50 TB", 0.023, "GB-month", "https://aws.amazon.com/s3/pricing/", note=_RECALLED
)
ATHENA: Final = Price("Athena", 5.0, "TB scanned", "https://aws.amazon.com/athena/pricing/", note=_SECONDARY)
METRIC: Final = Price(
    "CloudWatch custom metric", 0.30, "metric-month", "https://aws.amazon.com/cloudwatch/pricing/", note=_RECALLED
)
ALARM: Final = Price(
    "CloudWatch alarm", 0.10, "alarm-month", "https://aws.amazon.com/cloudwatch/pricing/", note=_RECALLED
)
VENDED_STANDARD: Final = Price(
    "Vended logs to CloudWatch Logs, first 10 TB",
    0.50,
    "GB",
    "https://aws.amazon.com/cloudwatch/pricing/",
    note=_SECONDARY,
)
VENDED_S3: Final = Price(
    "Vended logs to S3, or to Infrequent Access, first 10 TB",
    0.25,
    "GB",
    "https://aws.amazon.com/cloudwatch/pricing/",
    note=_SECONDARY + "; a charge for conversion to Parquet may come on top",
)
CLOUDTRAIL: Final = Price(
    "CloudTrail data events", 0.10, "100,000 events", "https://aws.amazon.com/cloudtrail/pricing/", note=_SECONDARY
)

PRICES: Final = (
    *(FIREHOSE_INGESTION, FIREHOSE_CONVERSION, LAMBDA_ARM, LAMBDA_REQUESTS, SQS, S3_GET, S3_PUT, S3_STORAGE, ATHENA),
    *(METRIC, ALARM, VENDED_STANDARD, VENDED_S3, CLOUDTRAIL),
)
"""All prices that an estimate uses."""
