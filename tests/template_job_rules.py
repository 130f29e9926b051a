"""Rules for the Spark job: it is there when asked for, runs our script, reads what it must, and tells when it fails."""

from __future__ import annotations

from collections.abc import Iterator

from template_values import EVENT_RULE, JOB, LOG_GROUP, Deployment, as_list, role_statements, statements

from etl.errors import BadParameter
from etl.jobs import Job, read_arguments
from infra.generate_template import LOCK, spark_modules

NAME = "stack-rewrite"


def the_job_is_there_when_asked_for(deployment: Deployment) -> Iterator[str]:
    """With everything that is its own, and without a schedule: it costs only what somebody starts."""
    asked = deployment["SparkJob"] == "Yes"
    own = {name for name in deployment.resources if name.startswith("Rewriter")}
    if asked != ("Rewriter" in own) or (own and not asked) or len(deployment.of_type(JOB)) != asked:
        yield f"{deployment['SparkJob']}: {sorted(own)}"
    if deployment.of_type("AWS::Glue::Trigger"):
        yield "something starts it"


def the_job_runs_our_script(deployment: Deployment) -> Iterator[str]:
    """On the Glue that it is tested for, with arguments that it takes and every package as locked; once at a time."""
    for name, job in deployment.of_type(JOB).items():
        command = {"Name": "glueetl", "PythonVersion": "3", "ScriptLocation": "../build/spark_job.py"}
        if (job["Name"], job.get("GlueVersion"), job["Command"]) != (NAME, "5.1", command):
            yield f"{name}: {job}"
        if (job.get("WorkerType"), job.get("NumberOfWorkers")) != (
            deployment["SparkWorkerType"],
            deployment["SparkWorkers"],
        ):
            yield f"{name}: {job.get('NumberOfWorkers')} {job.get('WorkerType')}"
        if (job.get("MaxRetries"), job.get("ExecutionProperty")) != (0, {"MaxConcurrentRuns": 1}):
            yield f"{name}: a run that left something out would be forgotten, or paid for twice"
        if not 0 < job.get("Timeout", 2880) <= 1440:
            yield f"{name}: it may cost for {job.get('Timeout')} minutes"
        given = job["DefaultArguments"]
        lake = f"s3://{deployment['LakeBucketName']}/{deployment['LakePrefix']}"
        days, hours = deployment["CompactionGraceDays"], deployment["CompactionSealHours"]
        try:
            asked: object = read_arguments([str(text) for pair in given.items() for text in pair])
        except BadParameter as error:
            asked = error
        if asked != Job("compact", lake, grace_days=days, seal_hours=hours):
            yield f"{name}: {asked}"
        if given.get("--lake-region") != "eu-west-1":
            yield f"{name}: boto3 knows no Region"
        if given.get("--additional-python-modules") != spark_modules(LOCK.read_text(encoding="utf-8")):
            yield f"{name}: {given.get('--additional-python-modules')}"


def the_job_logs_where_it_may(deployment: Deployment) -> Iterator[str]:
    """Both groups that Glue writes are the stack's, so that they end."""
    groups = {group["LogGroupName"]: name for name, group in deployment.of_type(LOG_GROUP).items()}
    for name, job in deployment.of_type(JOB).items():
        prefix = job["DefaultArguments"].get("--custom-logGroup-prefix", "/aws-glue/jobs")
        wanted = {groups.get(f"{prefix}/{kind}", "") for kind in ("output", "error")}
        if not all(wanted) or not wanted <= set(as_list(deployment.resources[name].get("DependsOn", []))):
            yield f"{name}: Glue would make {prefix} for ever"
        may = [
            set(as_list(statement["Resource"]))
            for role, statement in role_statements(deployment)
            if role == "RewriterRole" and "logs:PutLogEvents" in statement["Action"]
        ]
        if may != [{f"<{group}.Arn>" for group in wanted}]:
            yield f"{name}: {may}"


def the_job_reads_what_it_rewrites(deployment: Deployment) -> Iterator[str]:
    """The lake, the log objects, an archive if there is one, and its script: of this account."""
    if deployment["SparkJob"] != "Yes":
        return
    lake = f"{deployment['LakeBucketName']}/{deployment['LakePrefix']}"
    archive = [deployment["ArchiveBucketName"]] if deployment["ArchiveBucketName"] else []
    listed = {deployment["LakeBucketName"], deployment["LogBucketName"], *archive}
    read = {f"{lake}{folder}/*" for folder in ("raw", "compacted", "staging", "meta")}
    read |= {
        f"{deployment['CodeBucketName']}/*",
        f"{deployment['LogBucketName']}/*",
        *(f"{each}/*" for each in archive),
    }
    for action, wanted in ("s3:GetObject", read), ("s3:ListBucket", listed):
        found = {
            resource.removeprefix("arn:aws:s3:::")
            for role, statement in role_statements(deployment)
            if role == "RewriterRole" and action in as_list(statement["Action"])
            for resource in as_list(statement["Resource"])
        }
        if found != wanted:
            yield f"RewriterRole: {action} {sorted(found ^ wanted)}"
    for role, statement in role_statements(deployment):
        own = {"StringEquals": {"aws:ResourceAccount": "111122223333"}}
        if role == "RewriterRole" and statement["Sid"] == "ReadScript" and statement.get("Condition") != own:
            yield "a bucket of another account may give the script"


def failed_runs_are_told(deployment: Deployment) -> Iterator[str]:
    """By the topic of the alarms, which lets the rule publish."""
    asked = deployment["SparkJob"] == "Yes"
    found = list(deployment.of_type(EVENT_RULE).values())
    pattern = {
        "source": ["aws.glue"],
        "detail-type": ["Glue Job State Change"],
        "detail": {"jobName": [NAME], "state": ["FAILED", "TIMEOUT"]},
    }
    if [(rule["EventPattern"], [each["Arn"] for each in rule["Targets"]]) for rule in found] != (
        [(pattern, ["<Alarms>"])] if asked else []
    ):
        yield f"{found}"
    services = [
        statement["Principal"]["Service"]
        for policy in deployment.of_type("AWS::SNS::TopicPolicy").values()
        for statement in statements(policy)
        if (statement["Action"], statement["Resource"]) == ("sns:Publish", "<Alarms>")
    ]
    if services != ["cloudwatch.amazonaws.com", *(["events.amazonaws.com"] if asked else [])]:
        yield f"{services} may publish"
