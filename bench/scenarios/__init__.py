"""One file a scenario; `SCENARIOS` in the order of the report."""

from __future__ import annotations

from bench.scenarios import (
    backlog,
    capture,
    conflicts,
    daily_delta,
    documents,
    durable,
    field_day,
    first_sync,
    live,
    memory,
    postgres,
    tasks_bootstrap,
    tasks_online,
    tasks_permission,
    tasks_query,
    tasks_queue,
    tasks_storm,
    verification,
)

SCENARIOS = (
    capture.SCENARIO,
    durable.SCENARIO,
    first_sync.SCENARIO,
    backlog.SCENARIO,
    conflicts.SCENARIO,
    daily_delta.SCENARIO,
    documents.SCENARIO,
    field_day.SCENARIO,
    memory.SCENARIO,
    verification.SCENARIO,
    live.SCENARIO,
    postgres.SCENARIO,
    tasks_bootstrap.SCENARIO,
    tasks_online.SCENARIO,
    tasks_queue.REPLAY,
    tasks_queue.LARGE,
    tasks_storm.SCENARIO,
    tasks_query.ONE_TABLE,
    tasks_query.RELATIONSHIPS,
    tasks_permission.SCENARIO,
)
