"""A gridworld: Bellman's equations are a linear cycle, and their multipliers are discounted visit counts.

A 5 × 5 grid, four moves; leaving the grid costs 1 and leaves one where one is. From A = (0, 1) every move earns 10 and
leads to A' = (4, 1), from B = (0, 3) it earns 5 and leads to B' = (2, 3). The value of a state under a policy π(a|s),
discounted by γ = 0.9, and an objective that starts in every state alike (d = 1/25 each):

    v(s) = Σ_a π(a|s) q(s, a)       q(s, a) = r(s, a) + γ v(s'(s, a))       J = Σ_s d(s) v(s)

Each v needs others that need it: a cycle of 25. Stationarity of L = J + Σ λ(s)·(right − left) in v says what λ is:

    λ = d + γ P_πᵀ λ        so        λ = (I − γ P_πᵀ)⁻¹ d = Σ_t γ^t P(s_t = s)

the expected discounted number of visits, since a unit added to the equation of s is a unit of reward at each visit.
In the policy's logits θ (π = softmax θ) the gradient is then λ(s) π(a|s) (q(s, a) − v(s)): the policy gradient theorem.

The best values solve v(s) = max_a q(s, a). Newton's method on this cycle is policy iteration (M. Puterman and
S. Brumelle, 1979); where two moves are equally good, its multipliers are the visits of one policy that is best. With
τ log Σ_a exp(q/τ) for max it is smooth, and tends to the best values as τ → 0.

Sources: R. Sutton and A. Barto, "Reinforcement Learning" (2nd ed., 2018), examples 3.5 and 3.8, whose values stand
beside ours; R. Sutton et al., "Policy gradient methods" (2000). Run it: ``python examples/markov.py --plot grid.png``
"""

import argparse
from functools import reduce

import numpy as np
from pages import table

import lagrange_ad as la

SIDE, GAMMA = 5, 0.9
MOVES = {"↑": (-1, 0), "→": (0, 1), "↓": (1, 0), "←": (0, -1)}
JUMPS = {(0, 1): ((4, 1), 10.0), (0, 3): ((2, 3), 5.0)}
PUBLISHED = {
    "random": [[3.3, 8.8, 4.4, 5.3, 1.5], [1.5, 3.0, 2.3, 1.9, 0.5], [0.1, 0.7, 0.7, 0.4, -0.4],
               [-1.0, -0.4, -0.4, -0.6, -1.2], [-1.9, -1.3, -1.2, -1.4, -2.0]],
    "best": [[22.0, 24.4, 22.0, 19.4, 17.5], [19.8, 22.0, 19.8, 17.8, 16.0], [17.8, 19.8, 17.8, 16.0, 14.4],
             [16.0, 17.8, 16.0, 14.4, 13.0], [14.4, 16.0, 14.4, 13.0, 11.7]],
}  # fmt: skip
"""Figures 3.2 and 3.5 of Sutton and Barto."""


def world() -> tuple[np.ndarray, np.ndarray]:
    """(s'(s, a), r(s, a)), both (25, 4); states by row."""
    after, reward = np.empty((SIDE**2, 4), dtype=int), np.zeros((SIDE**2, 4))
    for s in range(SIDE**2):
        i, j = divmod(s, SIDE)
        for a, (down, right) in enumerate(MOVES.values()):
            (k, m), gain = JUMPS.get((i, j), ((i + down, j + right), 0.0))
            inside = 0 <= k < SIDE and 0 <= m < SIDE
            after[s, a], reward[s, a] = (k * SIDE + m, gain) if inside else (s, -1.0)
    return after, reward


AFTER, REWARD = world()


def evaluation(policy: np.ndarray) -> la.Program:
    """The values of a given policy, (25, 4)."""
    p = la.Program("the values of a policy")
    pi = p.parameter("pi", policy)
    v = p.variable("v", shape=SIDE**2)
    p.equate(v, np.sum(pi * (REWARD + GAMMA * v[AFTER]), axis=1))
    p.maximize(np.mean(v))
    return p


def best() -> la.Program:
    """The values of the best policy."""
    p = la.Program("the best values")
    v = p.variable("v", shape=SIDE**2)
    q = REWARD + GAMMA * v[AFTER]
    p.equate(v, reduce(np.maximum, [q[:, a] for a in range(4)]))
    p.maximize(np.mean(v))
    return p


def soft() -> la.Program:
    """The same with τ log Σ exp(q/τ) for the maximum."""
    p = la.Program("the soft values")
    tau = p.parameter("tau", 1.0)
    v = p.variable("v", shape=SIDE**2)
    q = (REWARD + GAMMA * v[AFTER]) / tau
    p.equate(v, tau * reduce(np.logaddexp, [q[:, a] for a in range(4)]))
    p.maximize(np.mean(v))
    return p


def learner() -> la.Program:
    """The values of the policy softmax θ, θ an input."""
    p = la.Program("a policy to be learned")
    theta = p.input("theta", np.zeros((SIDE**2, 4)))
    weight = np.exp(theta)
    pi = p.define("pi", weight / np.sum(weight, axis=1, keepdims=True))
    v = p.variable("v", shape=SIDE**2)
    p.equate(v, np.sum(pi * (REWARD + GAMMA * v[AFTER]), axis=1))
    p.maximize(np.mean(v))
    return p


def transitions(policy: np.ndarray) -> np.ndarray:
    """P_π[s, s'] of a policy."""
    matrix = np.zeros((SIDE**2, SIDE**2))
    np.add.at(matrix, (np.arange(SIDE**2)[:, None], AFTER), policy)
    return matrix


def visits(policy: np.ndarray) -> np.ndarray:
    """Discounted visit counts (I − γPᵀ)⁻¹ d, in closed form."""
    return np.linalg.solve(np.eye(SIDE**2) - GAMMA * transitions(policy).T, np.full(SIDE**2, 1 / SIDE**2))


def simulated_visits(policy: np.ndarray, walks: int, seed: int = 0) -> np.ndarray:
    """The same by walking: the mean of Σ γ^t [s_t = s] over many walks of 150 moves."""
    random, counts = np.random.default_rng(seed), np.zeros(SIDE**2)
    state, heap = np.arange(walks) % SIDE**2, np.cumsum(policy, axis=1)
    for t in range(150):  # 0.9^150 is 1e-7
        counts += GAMMA**t * np.bincount(state, minlength=SIDE**2)
        move = np.sum(random.random(walks)[:, None] > heap[state], axis=1)
        state = AFTER[state, np.minimum(move, 3)]
    return counts / walks


def policy_gradient(at: la.Point) -> np.ndarray:
    """The policy gradient theorem: λ(s) π(a|s) (q(s, a) − v(s))."""
    q = REWARD + GAMMA * at["v"][AFTER]
    return at.multiplier["v"][:, None] * at["pi"] * (q - at["v"][:, None])


def grids(title: str, **columns: np.ndarray) -> str:
    """Grids side by side as a table."""
    shown = [[" ".join(f"{x:6.2f}" for x in row) for row in np.reshape(grid, (SIDE, SIDE))]
             for grid in columns.values()]
    return table(title, [name.replace("_", " ") for name in columns], list(zip(*shown, strict=True)))


def draw(path: str, random: la.Point, learned: la.Point) -> None:
    from pages import canvas

    panels = [(random["v"], "values, random policy", "viridis"), (learned["v"], "values, learned policy", "viridis"),
              (random.multiplier["v"], "multipliers (visits), random", "magma"),
              (learned.multiplier["v"], "multipliers (visits), learned", "magma")]  # fmt: skip
    with canvas(path, columns=4, size=(9.2, 2.75)) as axes:
        for ax, (grid, title, colours) in zip(axes, panels, strict=True):
            low = grid.min() if colours == "viridis" else 0.0
            ax.imshow(grid.reshape(SIDE, SIDE), cmap=colours, vmin=low)
            ax.set(title=title, xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            for s, x in enumerate(grid):
                arrow = "\n" + list(MOVES)[np.argmax(learned["pi"][s])] if grid is panels[1][0] else ""
                ax.text(s % SIDE, s // SIDE, f"{x:.{1 if colours == 'viridis' else 2}f}{arrow}", ha="center",
                        va="center", color="black" if x > (low + grid.max()) / 2 else "white", fontsize=7.5)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A gridworld: values, visit counts, a policy improved by ascent.")
    parser.add_argument("--walks", type=int, default=50000, help="simulated walks (default 50000)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)

    uniform = np.full((SIDE**2, 4), 0.25)
    random = evaluation(uniform).evaluate()
    lam, walked = random.multiplier["v"], simulated_visits(uniform, options.walks)
    print(grids("1. the random policy", values=random["v"], published=np.array(PUBLISHED["random"]), multipliers=lam))
    print(f"multipliers against (I − γPᵀ)⁻¹ d: {np.max(np.abs(lam - visits(uniform))):.1e}; "
          f"against {options.walks} walks: {np.max(np.abs(lam - walked)):.1e}\n")

    found = best().evaluate(start={"v": random["v"]})
    print(grids("2. the best policy: v = max q", values=found["v"], published=np.array(PUBLISHED["best"]),
                multipliers=found.multiplier["v"]))
    print(f"best state {found['v'].max():.4f}, solved in {found.blocks[0].iterations} Newton steps\n")

    p, at, rows = soft(), random, []
    for tau in (1.0, 0.3, 0.1, 0.03, 0.01):
        at = p.evaluate(tau=tau, start={"v": at["v"]})
        rows.append([f"{tau}", f"{at['v'].max():.4f}", f"{np.max(at['v'] - found['v']):.1e}"])
    print(table("3. the soft maximum", ["τ", "best state", "largest difference from 2."], rows))

    p = learner()
    start = p.evaluate()
    difference = np.max(np.abs(start.gradient["theta"] - policy_gradient(start)))
    print(f"\n4. a softmax policy improved by ascent\n\ngradient against the policy gradient theorem: {difference:.1e}")
    result = p.ascend(progress=False)
    learned = result.at
    print(f"{result.message} after {result.steps} steps; J {start.objective:.4f} → {result.objective:.4f}, "
          f"best state {learned['v'].max():.4f}\n")
    arrows = [[list(MOVES)[a] for a in row] for row in np.argmax(learned["pi"], axis=1).reshape(SIDE, SIDE)]
    print("\n".join("    " + " ".join(row) for row in arrows))
    print(grids("\nlearned", values=learned["v"], multipliers=learned.multiplier["v"]))
    if options.plot:
        draw(options.plot, random, learned)


if __name__ == "__main__":
    main()
