"""Random numbers of a training's own: those of the seed, whatever other threads draw, and nobody else's are touched."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import nn
from torch.nn import functional

from separatrix.models.randomness import OwnRandomness

X = torch.linspace(-1, 1, 4 * 8 * 16 * 32).reshape(4, 8, 16, 32)
DRAWS = {
    "dropout": lambda: functional.dropout(X, 0.1),
    "attention": lambda: functional.scaled_dot_product_attention(X, X, X, dropout_p=0.2),
    "a number": lambda: torch.rand([]),  # as layers that are left out at random draw
    "a permutation": lambda: torch.randperm(100),
    "weights": lambda: nn.Linear(16, 8).weight.detach(),
    "choices": lambda: torch.multinomial(torch.ones(50), 5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_numbers_are_those_of_the_seed_and_the_global_state_stays(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        expected = [DRAWS[name](), DRAWS[name]()]
    before, own = torch.get_rng_state(), OwnRandomness(7)
    for value in expected:  # entered again, it goes on
        with own:
            assert torch.equal(DRAWS[name](), value)
    assert torch.equal(before, torch.get_rng_state())


def test_a_generator_that_is_given_is_used():
    given = [torch.Generator().manual_seed(1) for _ in range(2)]
    with OwnRandomness(7):
        found = torch.rand(5, generator=given[0])
    assert torch.equal(found, torch.rand(5, generator=given[1]))


def test_threads_do_not_disturb_each_other():
    barrier = Barrier(4)

    def drawn(seed: int) -> torch.Tensor:
        with OwnRandomness(seed):
            values = []
            for _ in range(50):
                barrier.wait()  # all draw at the same time
                values += [functional.dropout(X, 0.5).sum(), torch.rand([])]
            return torch.stack(values)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(drawn, (1, 2, 1, 3)))
    assert torch.equal(together[0], together[2])
    barrier = Barrier(1)
    for seed, values in zip((1, 2, 1, 3), together, strict=True):
        assert torch.equal(drawn(seed), values)
    assert not torch.equal(together[0], together[1])


def test_shapes_without_numbers_draw_nothing():
    with OwnRandomness(1):
        assert torch.empty(3, device="meta").normal_().shape == (3,)
