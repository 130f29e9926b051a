"""Quotas of AWS that say how far a way goes, and prices of engines, each with its source. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.cost._prices import Price


@dataclass(frozen=True)
class Limit:
    """What a service allows by default, as stated at `source`; `note` says what raises it, or how sure it is."""

    name: str
    value: float
    unit: str
    source: str
    note: str = ""


_FIREHOSE: Final = "https://docs.aws.amazon.com/firehose/latest/dev/limits.html"
_LAMBDA: Final = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
_LAMBDA_SQS: Final = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"
_S3: Final = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"
_ATHENA: Final = "https://docs.aws.amazon.com/athena/latest/ug/service-limits.html"
_GENERAL: Final = "https://docs.aws.amazon.com/general/latest/gr"
_THREE: Final = "us-east-1, us-west-2, eu-west-1; the three rise together, on request"
_OTHERS: Final = "most other Regions; the three rise together, on request"
_LISTED: Final = "not verified: from public listings of Service Quotas, see what your account has"

FIREHOSE_LARGE: Final = Limit("Firehose, Direct PUT", 5, "MiB/s a stream", _FIREHOSE, _THREE)
FIREHOSE_LARGE_REQUESTS: Final = Limit("Firehose, Direct PUT", 2_000, "requests/s", _FIREHOSE, _THREE)
FIREHOSE_LARGE_RECORDS: Final = Limit("Firehose, Direct PUT", 500_000, "records/s", _FIREHOSE, _THREE)
FIREHOSE_SMALL: Final = Limit("Firehose, Direct PUT", 1, "MiB/s a stream", _FIREHOSE, _OTHERS)
FIREHOSE_SMALL_REQUESTS: Final = Limit("Firehose, Direct PUT", 1_000, "requests/s", _FIREHOSE, _OTHERS)
FIREHOSE_SMALL_RECORDS: Final = Limit("Firehose, Direct PUT", 100_000, "records/s", _FIREHOSE, _OTHERS)
LAMBDA_CONCURRENCY: Final = Limit(
    "Lambda, all functions of a Region", 1_000, "at once", _LAMBDA, "on request; new accounts have less"
)
LAMBDA_SECONDS: Final = Limit("Lambda, a run", 900, "s", _LAMBDA, "fixed")
LAMBDA_DISK: Final = Limit("Lambda, ephemeral storage", 10_240, "MiB", _LAMBDA, "fixed")
LAMBDA_MEMORY: Final = Limit(
    "Lambda, memory with one processor",
    1_769,
    "MB",
    "https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html",
)
SQS_BATCHES: Final = Limit(
    "Lambda, batches of one queue",
    1_000,
    "at once",
    _LAMBDA_SQS,
    "five at first, up to 300 more a minute; the stack's MaximumConcurrency is 8",
)
SQS_IN_FLIGHT: Final = Limit(
    "SQS, messages in flight",
    120_000,
    "a queue",
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html",
    "about, for most queues",
)
S3_PUTS: Final = Limit(
    "S3, PUT, COPY, POST, DELETE", 3_500, "requests/s a prefix", _S3, "at least, once S3 has divided it"
)
S3_GETS: Final = Limit("S3, GET, HEAD", 5_500, "requests/s a prefix", _S3, "at least, once S3 has divided it")
ATHENA_QUERY_BYTES: Final = Limit("Athena, a statement", 262_144, "bytes", _ATHENA, "fixed")
ATHENA_MINUTES: Final = Limit(
    "Athena, a statement",
    30,
    "minutes",
    f"{_GENERAL}/athena.html",
    f"up to 240 on request ({_ATHENA}); 30 is {_LISTED}",
)
ATHENA_PARTITIONS: Final = Limit(
    "Athena, UNLOAD", 100, "partitions", "https://docs.aws.amazon.com/athena/latest/ug/unload.html", "fixed"
)
ATHENA_QUERIES: Final = Limit(
    "Athena, statements running or waiting",
    200,
    "at once",
    f"{_GENERAL}/athena.html",
    f"us-east-1, fewer elsewhere, such as 100 in ap-northeast-2; {_LISTED}",
)
GLUE_DPUS: Final = Limit("Glue, DPUs of all jobs", 1_000, "at once", f"{_GENERAL}/glue.html", _LISTED)
GLUE_DISK: Final = Limit(
    "Glue, free disk of a G.1X worker", 44, "GB", "https://docs.aws.amazon.com/glue/latest/dg/worker-types.html"
)
GLUE_VCPUS: Final = Limit(
    "Glue, processors of a G.1X worker, which is one DPU, with 16 GB",
    4,
    "vCPUs",
    "https://docs.aws.amazon.com/glue/latest/dg/worker-types.html",
)
GLUE_LEAST_SECONDS: Final = Limit(
    "Glue, billed at least",
    60,
    "s a run",
    "https://aws.amazon.com/about-aws/whats-new/2020/08/"
    "aws-glue-version-2-0-featuring-10x-faster-job-start-times-and-1-minute-minimum-billing-duration/",
)

LIMITS: Final = (
    *(FIREHOSE_LARGE, FIREHOSE_LARGE_REQUESTS, FIREHOSE_LARGE_RECORDS),
    *(FIREHOSE_SMALL, FIREHOSE_SMALL_REQUESTS, FIREHOSE_SMALL_RECORDS),
    *(LAMBDA_CONCURRENCY, LAMBDA_SECONDS, LAMBDA_DISK, LAMBDA_MEMORY, SQS_BATCHES, SQS_IN_FLIGHT, S3_PUTS, S3_GETS),
    *(ATHENA_QUERY_BYTES, ATHENA_MINUTES, ATHENA_PARTITIONS, ATHENA_QUERIES),
    *(GLUE_DPUS, GLUE_DISK, GLUE_VCPUS, GLUE_LEAST_SECONDS),
)

_AGREE: Final = "not verified: the figure is from public repositories that agree"
GLUE: Final = Price("Glue for Spark", 0.44, "DPU-hour", "https://aws.amazon.com/glue/pricing/")
EMR_CPU: Final = Price("EMR Serverless", 0.052624, "vCPU-hour", "https://aws.amazon.com/emr/pricing/", note=_AGREE)
EMR_MEMORY: Final = Price("EMR Serverless", 0.0057785, "GB-hour", "https://aws.amazon.com/emr/pricing/", note=_AGREE)
MACHINE: Final = Price(
    "EC2 m7g.large, 2 vCPUs and 8 GiB, on demand",
    0.0816,
    "hour",
    "https://aws.amazon.com/ec2/pricing/on-demand/",
    note="not verified: from https://www.factualminds.com/blog/amazon-ec2-on-demand-pricing-instance-families-2026/",
)
ENGINE_PRICES: Final = (GLUE, EMR_CPU, EMR_MEMORY, MACHINE)
"""Beside those of `PRICES`."""
