"""A dense network, 784-256-64-10 with tanh, squared loss, on a batch of 512: value, and gradient in all weights.

    python benchmarks/network.py
    python benchmarks/network.py --batch 64

Nearly all the work is in eight matrix products, so the question is what is lost around them. Everything is float64, on
all cores, which must be idle: two threads that wait for each other suffer most from a third. Each row is timed in
processes of its own, in turns: the threads of one library's products go on waiting for a while after it, and slow down
whoever is next. PyTorch runs eagerly: ``torch.compile`` takes 20 s and then was slower here (15 ms against 13).
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from common import Array, Peer, Work, child, compare, cores, cpu_jax, heading, medians, parser, rounds, show

import lagrange_ad as la

LAYERS = (784, 256, 64, 10)
"""Sizes of the layers, inputs first."""


def data(batch: int) -> tuple[Array, Array]:
    """Inputs and wanted outputs."""
    random = np.random.default_rng(0)
    return random.random((batch, LAYERS[0])), np.eye(LAYERS[-1])[random.integers(LAYERS[-1], size=batch)]


def weights() -> list[Array]:
    """W1, b1, W2, b2, W3, b3."""
    random = np.random.default_rng(1)
    made: list[Array] = []
    for before, after in itertools.pairwise(LAYERS):
        made += [random.standard_normal((before, after)) / np.sqrt(before), 0.01 * random.standard_normal(after)]
    return made


def points() -> list[list[Array]]:
    """Two sets of weights, so that no call repeats the one before."""
    return [weights(), [1.001 * w for w in weights()]]


def network(x: Any, y: Any, w: Sequence[Any], np: Any = np) -> Any:
    """The loss, with the functions of whoever asks."""
    w1, b1, w2, b2, w3, b3 = w
    h1 = np.tanh(x @ w1 + b1)
    h2 = np.tanh(h1 @ w2 + b2)
    return 0.5 * np.sum((h2 @ w3 + b3 - y) ** 2) / x.shape[0]


def ours(batch: int) -> Work:
    x, y = data(batch)
    p = la.Program("network")
    w1, b1, w2, b2, w3, b3 = (p.input(f"{'Wb'[i % 2]}{1 + i // 2}", w) for i, w in enumerate(weights()))
    h1 = p.define("h1", np.tanh(x @ w1 + b1))
    h2 = p.define("h2", np.tanh(h1 @ w2 + b2))
    out = p.define("out", h2 @ w3 + b3)
    p.minimize(0.5 * np.sum((out - y) ** 2) / batch)
    arguments = [np.concatenate([part.ravel() for part in w]) for w in points()]
    return Work(p.reduced().value_and_gradient, arguments)


def flat(result: Any) -> list[Array]:
    """Value, and the gradient as one array."""
    value, gradient = result
    return [np.asarray(value), np.concatenate([np.ravel(part) for part in gradient])]


def numpy_by_hand(batch: int) -> Work:
    x, y = data(batch)

    def value_and_gradient(w: Sequence[Array]) -> tuple[float, list[Array]]:
        w1, b1, w2, b2, w3, b3 = w
        h1 = np.tanh(x @ w1 + b1)
        h2 = np.tanh(h1 @ w2 + b2)
        wrong = h2 @ w3 + b3 - y
        d3 = wrong / batch
        d2 = (d3 @ w3.T) * (1.0 - h2 * h2)
        d1 = (d2 @ w2.T) * (1.0 - h1 * h1)
        gradient = [x.T @ d1, d1.sum(axis=0), h1.T @ d2, d2.sum(axis=0), h2.T @ d3, d3.sum(axis=0)]
        return 0.5 * np.vdot(wrong, wrong) / batch, gradient

    return Work(value_and_gradient, points(), flat)


def jax_jit(batch: int) -> Work:
    jax = cpu_jax()
    x, y = (jax.numpy.asarray(part) for part in data(batch))
    compiled = jax.jit(jax.value_and_grad(lambda w: network(x, y, w, jax.numpy)))
    arguments = [[jax.numpy.asarray(part) for part in w] for w in points()]
    return Work(lambda w: jax.block_until_ready(compiled(w)), arguments, flat)


def pytorch(batch: int) -> Work:
    import torch

    torch.set_num_threads(cores())
    x, y = (torch.from_numpy(part) for part in data(batch))

    def value_and_gradient(w: Sequence[Any]) -> tuple[Any, Any]:
        value = network(x, y, w, torch)
        return value, torch.autograd.grad(value, w)

    arguments = [[torch.from_numpy(part).requires_grad_() for part in w] for w in points()]
    return Work(value_and_gradient, arguments, lambda result: flat((result[0].detach(), result[1])))


def peers(batch: int) -> list[Peer]:
    said = "ours not slower than the fastest of JAX and PyTorch"
    return [
        Peer("lagrange_ad", (), lambda: ours(batch)),
        Peer("JAX, jit", ("jax",), lambda: jax_jit(batch), 1.0, said),
        Peer("PyTorch", ("torch",), lambda: pytorch(batch), 1.0, said),
        Peer("NumPy by hand", (), lambda: numpy_by_hand(batch), 1 / 1.2, "ours ≤ 1.2 × it"),
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--batch", type=int, default=0, help="rows of the batch (default 512, quick 64)")
    options.add_argument("--alone", help=argparse.SUPPRESS)
    given = options.parse_args()
    batch = given.batch or (64 if given.quick else 512)
    if given.alone:
        (peer,) = (peer for peer in peers(batch) if peer.name == given.alone)
        print(json.dumps({"seconds": medians([peer.make()], 25)[0]}))
        return
    heading(f"Dense network {'-'.join(map(str, LAYERS))}, batch {batch}: value and gradient")
    rows = compare(peers(batch), 1)  # the numbers agree; the times are those of processes of their own
    timed = [row for row in rows if not row.missing]
    turns = [[child(__file__, "--alone", row.peer.name, "--batch", batch)["seconds"] for row in timed]
             for _ in range(rounds(given))]
    for row, seconds in zip(timed, zip(*turns, strict=True), strict=True):
        row.seconds = statistics.median(seconds)
    show(rows)


if __name__ == "__main__":
    main()
