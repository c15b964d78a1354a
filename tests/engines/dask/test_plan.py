"""Which parts make a shard, and where."""

from hypothesis import given
from hypothesis import strategies as st

from offbeat.engines.dask.plan import plan

WORKERS = ("a", "b", "c")


@given(
    rows=st.lists(st.integers(1, 50), min_size=1, max_size=30),
    seed=st.randoms(use_true_random=False),
    threads=st.dictionaries(st.sampled_from(WORKERS), st.integers(1, 3), min_size=1),
    count=st.integers(1, 20),
)
def test_every_part_is_in_one_group_and_no_group_is_empty(rows, seed, threads, count):
    holders = [seed.sample(WORKERS, seed.randint(0, 2)) for _ in rows]
    groups = plan(rows, holders, threads, count)
    assert sorted(i for group in groups for i in group.parts) == list(range(len(rows)))
    assert len(groups) == min(count, len(rows))
    assert all(group.parts for group in groups)
    n_ranks = min(sum(threads.values()), len(groups))
    assert [group.rank for group in groups] == [s * n_ranks // len(groups) for s in range(len(groups))]
    assert {group.home for group in groups} <= set(threads)


def test_parts_stay_where_they_are_when_that_is_even():
    groups = plan([10] * 6, [["b"], ["a"]] * 3, {"a": 1, "b": 1}, 2)
    assert [(group.home, group.parts) for group in groups] == [("a", (1, 3, 5)), ("b", (0, 2, 4))]


def test_parts_that_lie_on_one_worker_are_spread():
    groups = plan([10] * 4, [["a"]] * 4, {"a": 1, "b": 1}, 2)
    assert [len(group.parts) for group in groups] == [2, 2]


def test_threads_of_all_workers_take_part_before_a_second_one_of_any():
    groups = plan([10] * 2, [["a"]] * 2, {"a": 4, "b": 1}, 2)
    assert [group.home for group in groups] == ["a", "b"]
