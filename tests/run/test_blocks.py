import pytest

from synth.run.blocks import plan


@pytest.mark.parametrize("workers", [1, 2, 7, 64])
@pytest.mark.parametrize("count", [0, 1, 5, 64, 1000, 100_000])
def test_a_plan_holds_each_index_once_in_order(count, workers):
    indices = [3 * i for i in range(count)]
    blocks = plan(indices, workers)
    assert [index for block in blocks for index in block] == indices
    assert all(blocks)


def test_blocks_get_smaller_so_that_workers_end_together():
    sizes = [len(block) for block in plan(range(1000), 2)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 125
    assert max(sizes[-4:]) <= 8


def test_few_samples_are_shared_out():
    assert [len(block) for block in plan(range(6), 3)] == [2, 2, 1, 1]


def test_a_store_is_spared_small_fragments():
    for count in (100_000, 1_000_000, 10_000_000):
        assert len(plan(range(count), 64)) < 6000


def test_a_given_block_size_is_kept():
    assert [len(block) for block in plan(range(10), 4, block=4)] == [4, 4, 2]
