"""A sweep on a Dask cluster: a grid of currents and resistances, in chunks of neighbours, two worker processes.

Needs Dask (the extra ``dask``). ``Client("tcp://…")`` in place of the local cluster is all it takes to use one that is
there already; its workers need lagrange_ad. Run it: ``python examples/sweep_dask.py``
"""

import argparse

import numpy as np
from distributed import Client, LocalCluster

import lagrange_ad as la


def model() -> la.Program:
    p = la.Program("diode")
    current, resistance = p.parameter("I", 0.1, unit="A"), p.parameter("R", 100.0, unit="Ω")
    n1, n2 = p.variable("n1", start=10.0, unit="V"), p.variable("n2", start=0.7, unit="V")
    i2 = p.define("i2", (n1 - n2) / 1e4, unit="A")
    p.equate(current, n1 / resistance + i2, name="kcl1")
    p.equate(i2, 1e-15 * (np.exp(n2 / 0.025875) - 1), name="kcl2")
    return p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", metavar="N", type=int, default=400, help="how many points the grid has")
    parser.add_argument("--workers", metavar="N", type=int, default=2, help="how many processes (default 2)")
    options = parser.parse_args()
    p = model()
    grid = la.grid(I=np.linspace(0.01, 1, max(options.points // 4, 1)), R=[50.0, 100.0, 150.0, 200.0])
    with LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None) as cluster, \
            Client(cluster) as client:
        s = p.sweep(grid, executor=client.get_executor())
    print(s)
    alone = p.sweep(grid)
    print("equal to a sweep in this process:", bool(np.allclose(s["n1"], alone["n1"], rtol=1e-12)))


if __name__ == "__main__":  # worker processes import this file
    main()
