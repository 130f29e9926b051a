"""What must hold of the deployed template and no public checker sees: each rule yields what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import template_access_rules as access
import template_job_rules as job
import template_lake_rules as lake
import template_run_rules as run
from template_values import Deployment

Rule = Callable[[Deployment], Iterator[str]]

RULES: tuple[Rule, ...] = (
    lake.conversion_has_room,
    lake.compression_is_the_serializers,
    lake.errors_lie_outside_tables,
    lake.prefix_is_the_partition,
    lake.keys_are_the_schemas,
    lake.streams_wait_for_grants,
    lake.tables_are_the_schemas,
    lake.catalog_follows_the_version,
    lake.queries_are_the_files,
    lake.queries_are_bounded,
    lake.saved_searches_are_the_files,
    run.messages_stay_hidden_long_enough,
    run.batches_are_legal,
    run.failures_are_kept,
    run.a_schedule_calls_the_compactor,
    run.the_compactor_has_room,
    run.the_detector_has_room,
    run.queues_are_encrypted,
    run.functions_are_what_the_package_holds,
    run.logs_are_kept_and_end,
    run.alarms_name_metrics_that_exist,
    run.what_matters_is_alarmed,
    run.firehose_only_where_it_is_the_sink,
    job.the_job_is_there_when_asked_for,
    job.the_job_runs_our_script,
    job.the_job_logs_where_it_may,
    job.the_job_reads_what_it_rewrites,
    job.failed_runs_are_told,
    access.roles_name_what_they_may,
    access.roles_write_only_where_they_must,
    access.the_state_moves_in_two_tables,
    access.the_detector_reads_new_files_alone,
    access.services_are_who_they_say,
    access.buckets_are_closed,
    access.what_holds_data_outlives_the_stack,
    access.only_tls,
    access.rows_never_expire,
    access.uploads_are_aborted,
    access.logs_can_be_delivered,
    access.notifications_reach_the_queue,
    access.new_files_reach_the_detector,
    access.logs_of_logs_are_refused,
    access.a_key_is_used_everywhere,
)
