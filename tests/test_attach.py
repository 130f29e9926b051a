"""Whatever a log bucket did before it does afterwards; what cannot be done beside it is refused before anything is written."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import click
import pytest
from aws_account import ACCOUNT, REGION, aws_account, refusal
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_cli import accesslake, one_line

from etl.attach import (
    Attachment,
    allows_log_delivery,
    apply_attachment,
    is_notified,
    logs_under,
    merge_logging,
    merge_notification,
    merge_policy,
    plan_attachment,
)
from etl.errors import AccessLakeError, BadParameter, SourceNotFound, SourceReplaced, SourceUnreadable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:logs"
OTHER = f"arn:aws:sqs:{REGION}:{ACCOUNT}:other"
PARTITIONED = {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}


def queue_configuration(queue: str = OTHER, events: tuple[str, ...] = ("s3:ObjectCreated:*",), **rules: str) -> Any:
    found: dict[str, Any] = {"Id": "theirs", "QueueArn": queue, "Events": list(events)}
    if rules:
        found["Filter"] = {"Key": {"FilterRules": [{"Name": name, "Value": value} for name, value in rules.items()]}}
    return found


# --- Notifications ----------------------------------------------------------------------------------------------------

PREFIX = st.text("ab/", max_size=4)
EVENTS = st.lists(
    st.sampled_from(["s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectRemoved:*", "s3:ObjectRestore:Post"]),
    min_size=1,
    max_size=2,
    unique=True,
)
RULES = st.fixed_dictionaries({}, optional={"prefix": PREFIX, "Suffix": st.sampled_from(["", ".gz"])})
FILTER = RULES.map(
    lambda rules: {"Key": {"FilterRules": [{"Name": name, "Value": value} for name, value in rules.items()]}}
)


def configurations(target: str, arns: list[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    required: dict[str, st.SearchStrategy[Any]] = {
        "Id": st.text(max_size=3),
        target: st.sampled_from(arns),
        "Events": EVENTS,
    }
    return st.lists(st.fixed_dictionaries(required, optional={"Filter": FILTER}), max_size=3)


CURRENT = st.fixed_dictionaries(
    {},
    optional={
        "QueueConfigurations": configurations("QueueArn", [QUEUE, OTHER]),
        "TopicConfigurations": configurations("TopicArn", ["arn:aws:sns:us-east-1:1:t"]),
        "LambdaFunctionConfigurations": configurations("LambdaFunctionArn", ["arn:aws:lambda:us-east-1:1:function:f"]),
        "EventBridgeConfiguration": st.just({}),
    },
)


@settings(max_examples=300)
@given(current=CURRENT, prefix=PREFIX)
def test_what_was_there_is_still_there_and_twice_is_once(current: dict[str, Any], prefix: str) -> None:
    before = copy.deepcopy(current)
    try:
        merged = merge_notification(current, queue=QUEUE, prefix=prefix)
    except BadParameter:
        assume(False)
        raise
    assert current == before
    assert is_notified(merged, queue=QUEUE, prefix=prefix)
    assert merged.keys() - before.keys() <= {"QueueConfigurations"}
    for kind, configurations in before.items():
        assert merged[kind][: len(configurations)] == configurations if configurations else kind in merged
    assert len(merged.get("QueueConfigurations", [])) - len(before.get("QueueConfigurations", [])) == (
        0 if is_notified(before, queue=QUEUE, prefix=prefix) else 1
    )
    assert merge_notification(merged, queue=QUEUE, prefix=prefix) == merged


@settings(max_examples=300)
@given(current=CURRENT, prefix=PREFIX, keys=st.lists(st.text("ab/", max_size=6), max_size=5))
def test_no_object_is_ever_announced_by_two_of_one_event(current: dict[str, Any], prefix: str, keys: list[str]) -> None:
    """What S3 refuses: told before it is written, and only then."""

    def hearing(configuration: dict[str, Any], key: str) -> bool:
        rules = configuration.get("Filter", {"Key": {"FilterRules": []}})["Key"]["FilterRules"]
        created = any(event.startswith("s3:ObjectCreated:") for event in configuration["Events"])
        return created and all(
            key.startswith(rule["Value"]) if rule["Name"] == "prefix" else key.endswith(rule["Value"]) for rule in rules
        )

    theirs = [each for configurations in current.values() for each in configurations]
    assume(not is_notified(current, queue=QUEUE, prefix=prefix))
    candidates = [prefix + key + end for key in keys for end in ("", ".gz")]
    try:
        merge_notification(current, queue=QUEUE, prefix=prefix)
    except BadParameter:
        longest = [prefix, *(_prefix_of(each) for each in theirs)]
        witnesses = [start + ".gz" for start in longest if start.startswith(prefix)]
        assert any(hearing(each, key) for each in theirs for key in witnesses)
    else:
        assert not any(hearing(each, key) for each in theirs for key in candidates)


def _prefix_of(configuration: dict[str, Any]) -> str:
    rules = configuration.get("Filter", {"Key": {"FilterRules": []}})["Key"]["FilterRules"]
    return next((str(rule["Value"]) for rule in rules if rule["Name"] == "prefix"), "")


@pytest.mark.parametrize(
    ("theirs", "prefix", "message"),
    [
        (queue_configuration(), "logs/", f"logs/: {OTHER} already hears of objects under the whole bucket"),
        (queue_configuration(Prefix="logs/a/"), "logs/", "already hears of objects under logs/a/"),
        (queue_configuration(prefix="logs/"), "", "the whole bucket: .* already hears of objects under logs/"),
        (queue_configuration(suffix=".gz"), "logs/", "under the whole bucket ending in .gz"),
        (queue_configuration(events=("s3:ObjectCreated:Put",), prefix="l"), "logs/", "already hears"),
        (queue_configuration(queue=QUEUE, prefix="logs/a/"), "logs/", "already hears of objects under logs/a/"),
        (queue_configuration(queue=QUEUE, suffix=".gz"), "logs/", "already hears"),
    ],
)
def test_an_overlap_is_one_clear_error(theirs: dict[str, Any], prefix: str, message: str) -> None:
    with pytest.raises(BadParameter, match=message):
        merge_notification({"QueueConfigurations": [theirs]}, queue=QUEUE, prefix=prefix)


@pytest.mark.parametrize(
    "theirs",
    [
        queue_configuration(prefix="other/"),
        queue_configuration(events=("s3:ObjectRemoved:*",)),
        queue_configuration(events=("s3:ObjectRemoved:*",), prefix="logs/"),
    ],
)
def test_what_does_not_overlap_may_stay(theirs: dict[str, Any]) -> None:
    merged = merge_notification({"QueueConfigurations": [theirs]}, queue=QUEUE, prefix="logs/")
    assert merged["QueueConfigurations"][0] == theirs
    assert merged["QueueConfigurations"][1]["Events"] == ["s3:ObjectCreated:*"]
    assert merged["QueueConfigurations"][1]["Filter"] == {
        "Key": {"FilterRules": [{"Name": "prefix", "Value": "logs/"}]}
    }


@pytest.mark.parametrize(
    "queue", ["", "logs", QUEUE + ".fifo", QUEUE.replace("sqs", "sns"), QUEUE + "\n", QUEUE + ":x"]
)
def test_what_is_no_queue_is_refused(queue: str) -> None:
    with pytest.raises(BadParameter):
        merge_notification({}, queue=queue, prefix="")


# --- Logging ----------------------------------------------------------------------------------------------------------


def target(bucket: str, prefix: str) -> dict[str, Any]:
    return {"LoggingEnabled": {"TargetBucket": bucket, "TargetPrefix": prefix}}


def test_new_logging_is_partitioned_by_event_time() -> None:
    merged = merge_logging({}, source="a", bucket="logs", log_prefix="l/", notified="")
    enabled = target("logs", "l/")["LoggingEnabled"]
    assert merged == {"LoggingEnabled": {**enabled, "TargetObjectKeyFormat": PARTITIONED}}
    assert merge_logging(merged, source="a", bucket="logs", log_prefix="l/", notified="") == merged


@pytest.mark.parametrize("there", [target("logs", "l/"), target("logs", "l/a/")])
def test_logging_that_arrives_already_stays_as_it_is(there: dict[str, Any]) -> None:
    assert merge_logging(there, source="a", bucket="logs", log_prefix="l/", notified="l/") == there


@pytest.mark.parametrize(
    ("there", "source", "message"),
    [
        (target("elsewhere", "l/"), "a", "a: logs into s3://elsewhere/l/ already"),
        (target("logs", "m/"), "a", "a: logs into s3://logs/m/ already"),
        (target("logs", ""), "a", "already"),
        ({}, "logs", "logs: a bucket that logs into itself never stops"),
        (target("logs", "l/"), "logs", "never stops"),
    ],
)
def test_logging_that_cannot_be_is_refused(there: dict[str, Any], source: str, message: str) -> None:
    with pytest.raises(BadParameter, match=message):
        merge_logging(there, source=source, bucket="logs", log_prefix="l/", notified="l/")


def test_a_log_of_logs_is_seen() -> None:
    assert logs_under(target("logs", "l/a/"), bucket="logs", prefix="l/")
    assert logs_under(target("logs", ""), bucket="logs", prefix="l/")
    assert not logs_under(target("logs", "m/"), bucket="logs", prefix="l/")
    assert not logs_under(target("other", "l/"), bucket="logs", prefix="l/")
    assert not logs_under({}, bucket="logs", prefix="")


# --- Policy -----------------------------------------------------------------------------------------------------------

MINE: Any = {"Sid": "OnlyTls", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Resource": "*"}
DELIVER = {
    "Effect": "Allow",
    "Principal": {"Service": "logging.s3.amazonaws.com"},
    "Action": "s3:PutObject",
    "Resource": "arn:aws:s3:::logs/*",
}


def allowed(statement: dict[str, Any], source: str | None = "a") -> bool:
    return allows_log_delivery(
        {"Statement": statement}, partition="aws", account=ACCOUNT, bucket="logs", log_prefix="l/", source=source
    )


def merged_policy(current: dict[str, Any], *sources: str) -> Any:
    return merge_policy(
        current, partition="aws", account=ACCOUNT, bucket="logs", log_prefix="l/", sources=sources or ("a",)
    )


def test_a_permission_is_added_for_these_buckets_of_this_account_alone() -> None:
    (added,) = merged_policy({}, "a", "b")["Statement"]
    assert added.pop("Sid").isalnum()
    assert added == DELIVER | {
        "Resource": "arn:aws:s3:::logs/l/*",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            "ArnLike": {"aws:SourceArn": ["arn:aws:s3:::a", "arn:aws:s3:::b"]},
        },
    }
    assert allowed(added)
    assert not allowed(added, "c")


def test_every_statement_stays_and_twice_is_once() -> None:
    current: Any = {"Version": "2008-10-17", "Id": "mine", "Statement": MINE}
    merged = merged_policy(current)
    assert merged == {**current, "Statement": [MINE, merged["Statement"][1]]}
    assert merged_policy(merged) == merged
    more = merged_policy(merged, "a", "b")
    assert more["Statement"][:2] == merged["Statement"]
    assert more["Statement"][2]["Condition"]["ArnLike"]["aws:SourceArn"] == ["arn:aws:s3:::b"]
    assert len({each["Sid"] for each in more["Statement"]}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"Action": ["s3:GetObject", "s3:Put*"]},
        {"Resource": ["arn:aws:s3:::x", "arn:aws:s3:::logs/l/*"]},
        {"Condition": {"StringEquals": {"aws:SourceAccount": [ACCOUNT]}, "ArnLike": {"AWS:SourceArn": "arn:*:s3:::*"}}},
        {
            "Condition": {
                "ArnLike": {"aws:SourceArn": ["arn:*:s3:::*"]},
                "ArnNotLike": {"aws:SourceArn": "arn:aws:s3:::logs"},
            }
        },
    ],
)
def test_a_permission_that_is_there_is_seen(change: dict[str, Any]) -> None:
    assert allowed(DELIVER | change)
    assert allowed(DELIVER | change, None)


@pytest.mark.parametrize(
    "change",
    [
        {"Effect": "Deny"},
        {"Principal": "*"},
        {"Principal": {"Service": "s3.amazonaws.com"}},
        {"Action": "s3:GetObject"},
        {"Resource": "arn:aws:s3:::logs/other/*"},
        {"Resource": "arn:aws:s3:::logs"},
        {"Resource": "arn:aws:s3:::logs/[l]/*"},
        {"Resource": "arn:aws:s3:::logs/l/?"},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "999999999999"}}},
        {"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::b"}}},
        {"Condition": {"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:::*"}}},
        {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Condition": {"NumericEquals": {"aws:SourceAccount": ACCOUNT}}},
    ],
)
def test_a_permission_that_is_not_there_is_not_seen(change: dict[str, Any]) -> None:
    assert not allowed(DELIVER | change)
    assert len(merged_policy({"Statement": [DELIVER | change]})["Statement"]) == 2


# --- On buckets -------------------------------------------------------------------------------------------------------


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    with aws_account(monkeypatch):
        client = boto3.client("s3")
        for name in ("logs", "source-a", "source-b"):
            client.create_bucket(Bucket=f"{name}-bucket")
        for queue in ("logs", "other"):
            boto3.client("sqs").create_queue(QueueName=queue)
        yield client


def attachment(s3: Any, **changed: Any) -> Attachment:
    given = {
        "account": ACCOUNT,
        "bucket": "logs-bucket",
        "queue": QUEUE,
        "prefix": "l/",
        "source_buckets": ["source-a-bucket"],
    }
    return plan_attachment(s3, **(given | changed))


def configuration(s3: S3Client) -> str:
    """All that attaching could touch, as text."""
    found: list[Any] = [s3.get_bucket_notification_configuration(Bucket="logs-bucket")]
    found += [s3.get_bucket_logging(Bucket=f"{name}-bucket") for name in ("logs", "source-a", "source-b")]
    for each in found:
        del each["ResponseMetadata"]
    try:
        found.append(s3.get_bucket_policy(Bucket="logs-bucket")["Policy"])
    except s3.exceptions.ClientError:
        found.append(None)
    return json.dumps(found, sort_keys=True)


def test_it_is_planned_then_written_and_then_done(s3: S3Client) -> None:
    theirs: Any = {
        "QueueConfigurations": [
            queue_configuration(prefix="other/"),
            queue_configuration(events=("s3:ObjectRemoved:*",)),
        ],
    }
    theirs["QueueConfigurations"][1]["Id"] = "removed"
    s3.put_bucket_notification_configuration(Bucket="logs-bucket", NotificationConfiguration=theirs)
    s3.put_bucket_policy(Bucket="logs-bucket", Policy=json.dumps({"Version": "2012-10-17", "Statement": [MINE]}))
    before = configuration(s3)
    planned = attachment(s3)
    assert configuration(s3) == before
    assert [(each.what, each.bucket) for each in planned.changes] == [
        ("policy", "logs-bucket"),
        ("notification", "logs-bucket"),
        ("logging", "source-a-bucket"),
    ]
    apply_attachment(s3, planned)
    notification: Any = s3.get_bucket_notification_configuration(Bucket="logs-bucket")
    assert notification["QueueConfigurations"][:2] == theirs["QueueConfigurations"]
    assert is_notified(notification, queue=QUEUE, prefix="l/")
    assert json.loads(s3.get_bucket_policy(Bucket="logs-bucket")["Policy"])["Statement"][0] == MINE
    logging: Any = s3.get_bucket_logging(Bucket="source-a-bucket")["LoggingEnabled"]
    assert (logging["TargetBucket"], logging["TargetPrefix"]) == ("logs-bucket", "l/")
    assert not s3.get_bucket_logging(Bucket="source-b-bucket").get("LoggingEnabled")


def test_without_source_buckets_only_the_notification_is_touched(s3: S3Client) -> None:
    (change,) = attachment(s3, source_buckets=[]).changes
    assert (change.what, change.before) == ("notification", {})
    apply_attachment(s3, attachment(s3, source_buckets=[]))
    assert attachment(s3, source_buckets=[]).changes == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bucket": "no-bucket"}, "no-bucket: no such bucket"),
        ({"source_buckets": ["no-bucket"]}, "no-bucket: no such bucket"),
        ({"source_buckets": ["logs-bucket"]}, "logs-bucket: a bucket that logs into itself never stops"),
        ({"log_prefix": "elsewhere/"}, "elsewhere/: logs there are not under the prefix 'l/'"),
        ({"log_prefix": ""}, "'': logs there are not under"),
        ({"queue": "logs"}, "is not the ARN of an SQS queue"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(
    s3: S3Client, changed: dict[str, Any], message: str
) -> None:
    before = configuration(s3)
    with pytest.raises(AccessLakeError, match=message) as caught:
        attachment(s3, **changed)
    assert "\n" not in str(caught.value)
    assert configuration(s3) == before


def test_a_log_bucket_that_logs_into_itself_is_not_attached(s3: S3Client) -> None:
    class Looping:
        """moto wants permissions for such logging that S3 does not."""

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def get_bucket_logging(self, **_: Any) -> Any:
            return target("logs-bucket", "l/x/")

    with pytest.raises(BadParameter, match="logs-bucket: logs into itself"):
        attachment(Looping(), source_buckets=[])


def test_a_change_meanwhile_is_not_overwritten(s3: S3Client) -> None:
    planned = attachment(s3, source_buckets=[])
    theirs: Any = {"QueueConfigurations": [queue_configuration(prefix="other/")]}
    s3.put_bucket_notification_configuration(Bucket="logs-bucket", NotificationConfiguration=theirs)
    before = configuration(s3)
    with pytest.raises(SourceReplaced, match="logs-bucket: its notification has changed meanwhile"):
        apply_attachment(s3, planned)
    assert configuration(s3) == before


def test_no_permission_is_one_line(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(**_: Any) -> None:
        raise refusal("AccessDenied", "GetBucketPolicy", "not authorized\nat all")

    monkeypatch.setattr(s3, "get_bucket_policy", deny)
    with pytest.raises(SourceUnreadable, match=r"logs-bucket: policy: .*not authorized") as caught:
        attachment(s3)
    assert "\n" not in str(caught.value)
    with pytest.raises(SourceNotFound):
        attachment(s3, bucket="no-bucket")


# --- The command ------------------------------------------------------------------------------------------------------

COMMAND = (
    "attach",
    "--bucket",
    "logs-bucket",
    "--queue",
    QUEUE,
    "--prefix",
    "l/",
    "--source-bucket",
    "source-a-bucket",
)


def test_it_shows_first_and_writes_only_when_told(s3: S3Client) -> None:
    before = configuration(s3)
    code, out, err = accesslake(*COMMAND)
    assert (code, err) == (0, "nothing is written; --yes writes it\n")
    assert configuration(s3) == before
    assert "--- notification of logs-bucket (now)" in out
    assert f'+      "QueueArn": "{QUEUE}",' in out
    assert "+++ logging of source-a-bucket (then)" in out
    assert json.loads(accesslake(*COMMAND, "--json")[1])["written"] is False
    assert configuration(s3) == before
    code, _, err = accesslake(*COMMAND, "--yes")
    assert (code, err) == (0, "written\n")
    done = configuration(s3)
    assert done != before
    assert accesslake(*COMMAND, "--yes") == (0, "", "everything is so already\n")
    assert json.loads(accesslake(*COMMAND, "--yes", "--json")[1]) == {
        "bucket": "logs-bucket",
        "changes": [],
        "written": False,
    }
    assert configuration(s3) == done


@pytest.mark.parametrize("answer", [True, False])
def test_on_a_terminal_it_asks(s3: S3Client, monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr("etl.cli._attach._on_terminal", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: answer)
    before = configuration(s3)
    assert accesslake(*COMMAND)[2] == ("written\n" if answer else "nothing is written; --yes writes it\n")
    assert (configuration(s3) != before) is answer


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--bucket", "no-bucket", "--queue", QUEUE), 1, "no-bucket: no such bucket"),
        (("--bucket", "logs-bucket", "--queue", "x\x1b[2J"), 2, "is not the ARN of an SQS queue"),
        (("--bucket", "logs-bucket"), 2, "Missing option '--queue'"),
    ],
)
def test_bad_input_is_one_line(s3: S3Client, arguments: tuple[str, ...], code: int, message: str) -> None:
    found, out, err = accesslake("attach", *arguments, "--yes")
    assert (found, out) == (code, "")
    assert message in one_line(err)
    assert "\x1b" not in err


def test_without_credentials_or_a_region_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws_account(monkeypatch):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        code, _, err = accesslake(*COMMAND)
    assert code == 1
    one_line(err)
