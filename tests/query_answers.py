"""A plain-Python answer to every SQL file that comes with the product, written from the question in its header.

Dicts and loops over rows, no SQL and no Arrow: what an engine says is held against it (`tests/test_query_answers.py` for DuckDB,
`tests/engines` for Trino).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from query_answers_access import (
    acl_dependent_requests,
    ambiguous_lines,
    deletes_under_prefix,
    last_access_per_prefix,
    object_history,
    tls_below_1_2,
    unauthenticated_access,
)
from query_answers_detections import (
    access_denied_bursts,
    acl_dependent_access,
    long_lived_presigned_urls,
    mass_deletion,
    new_source_regions,
    old_tls_clients,
    secrets_in_uris,
    unauthenticated_reads,
    unauthenticated_writes,
)
from query_answers_lines import ambiguous_or_forged_lines, sigv2, sigv2_undecidable
from query_answers_rows import Answer, Seen, days_before
from query_answers_traffic import (
    bytes_out_by_bucket_and_requester,
    errors_by_code,
    recipe_first_rows,
    recipe_sigv2_by_client,
    recipe_sigv2_by_user_agent,
    requests_by_day_and_operation,
    slowest_operations,
    top_requesters,
)

ANSWERS: Mapping[str, Callable[..., Answer]] = {
    "acl_dependent_requests": acl_dependent_requests,
    "ambiguous_lines": ambiguous_lines,
    "bytes_out_by_bucket_and_requester": bytes_out_by_bucket_and_requester,
    "deletes_under_prefix": deletes_under_prefix,
    "detections/access_denied_bursts": access_denied_bursts,
    "detections/acl_dependent_access": acl_dependent_access,
    "detections/ambiguous_or_forged_lines": ambiguous_or_forged_lines,
    "detections/long_lived_presigned_urls": long_lived_presigned_urls,
    "detections/mass_deletion": mass_deletion,
    "detections/new_source_regions": new_source_regions,
    "detections/secrets_in_uris": secrets_in_uris,
    "detections/sigv2": sigv2,
    "detections/sigv2_undecidable": sigv2_undecidable,
    "detections/tls_below_1_2": old_tls_clients,
    "detections/unauthenticated_reads": unauthenticated_reads,
    "detections/unauthenticated_writes": unauthenticated_writes,
    "errors_by_code": errors_by_code,
    "last_access_per_prefix": last_access_per_prefix,
    "object_history": object_history,
    "recipe_first_rows": recipe_first_rows,
    "recipe_sigv2_by_client": recipe_sigv2_by_client,
    "recipe_sigv2_by_user_agent": recipe_sigv2_by_user_agent,
    "requests_by_day_and_operation": requests_by_day_and_operation,
    "slowest_operations": slowest_operations,
    "tls_below_1_2": tls_below_1_2,
    "top_requesters": top_requesters,
    "unauthenticated_access": unauthenticated_access,
}
"""By the name of the query: a function of what is seen and of the query's parameters, with their defaults."""
_KINDS = {"Day": "date", "int": "integer", "str": "string"}


def answer(name: str, seen: Seen, values: Mapping[str, str]) -> Answer:
    """What the query of this name has to answer, with these values as `--param` takes them."""
    given: dict[str, str | int] = {}
    for parameter, (kind, default) in parameters_of(name).items():
        value = values.get(parameter, default)
        if value is None:
            raise KeyError(parameter)
        if kind == "date" and value.startswith("-"):
            value = days_before(seen.newest_day, int(value[1:-1]))
        elif kind == "date" and value == "today":
            value = seen.newest_day
        given[parameter] = int(value) if kind == "integer" else value
    return ANSWERS[name](seen, **given)


def parameters_of(name: str) -> dict[str, tuple[str, str | None]]:
    """(type, default) of each parameter that the answer knows; None where there is none."""
    _, *parameters = inspect.signature(ANSWERS[name]).parameters.values()
    return {
        each.name: (_KINDS[each.annotation], None if each.default is each.empty else str(each.default))
        for each in parameters
    }
