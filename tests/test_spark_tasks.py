"""How work for Spark is cut: by bytes, whatever the sizes are."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.spark._progress import watch
from etl.spark._tasks import OBJECT_BYTES, TASK_BYTES, count_parts, count_shuffle_parts, group_by_size


def cut(sizes: list[int], *, cores: int = 4) -> list[list[int]]:
    return group_by_size(sizes, size_of=lambda size: size, cores=cores)


def test_thousands_of_tiny_objects_are_few_tasks() -> None:
    groups = cut([12_000] * 3_000)
    assert 4 <= len(groups) <= 15
    assert min(map(len, groups)) > 100
    assert len(cut([12_000] * 40)) == 1


def test_a_giant_object_is_alone_and_holds_up_no_other() -> None:
    giant = 40 << 30
    groups = cut([1_000, 1_000, giant, 1_000])
    assert groups == [[1_000, 1_000], [giant], [1_000]]


def test_there_is_work_for_every_core_and_no_task_is_too_large() -> None:
    sizes = [1 << 20] * 10_000
    groups = cut(sizes, cores=50)
    assert len(groups) > 150
    assert max(map(sum, groups)) <= TASK_BYTES


@given(st.lists(st.integers(0, 1 << 27), max_size=200), st.integers(1, 100))
def test_every_item_is_in_one_group_in_its_order(sizes: list[int], cores: int) -> None:
    groups = cut(sizes, cores=cores)
    assert [size for group in groups for size in group] == sizes
    assert all(groups)
    assert all(len(group) == 1 or sum(group) + len(group) * OBJECT_BYTES <= TASK_BYTES for group in groups)


def test_files_are_about_as_large_as_they_should_be() -> None:
    target = 256 << 20
    assert count_parts(0, target_bytes=target, cores=8) == 1
    assert count_parts(60 << 20, target_bytes=target, cores=8) == 1, "one small file rather than eight"
    assert count_parts(8 * target, target_bytes=target, cores=8) == 4, "quarters of the target keep cores busy"
    assert count_parts(800 * target, target_bytes=target, cores=8) == 100


def test_a_shuffle_of_very_many_tasks_does_not_grow_with_their_square() -> None:
    assert [count_shuffle_parts(tasks, cores=8) for tasks in (1, 30, 700)] == [1, 30, 700], "as many as there are tasks"
    assert 66_880 * count_shuffle_parts(66_880, cores=64) < 0.05 * 66_880**2
    assert count_shuffle_parts(6_688, cores=1_000) >= 1_000, "no core is idle"


def test_who_waits_is_told_in_its_own_thread_and_may_interrupt() -> None:
    """What runs between two jobs when it is cancelled starts another one: it is cancelled until it ends."""
    here, ends, cancelled = threading.get_ident(), threading.Event(), []

    def interrupt() -> None:
        assert threading.get_ident() == here
        raise KeyboardInterrupt

    def cancel() -> None:
        cancelled.append(1)
        if len(cancelled) == 2:
            ends.set()

    with pytest.raises(KeyboardInterrupt):
        watch(lambda: ends.wait(60), tell=interrupt, cancel=cancel)
    assert len(cancelled) == 2
    assert watch(lambda: 7, tell=lambda: None, cancel=cancel) == 7
