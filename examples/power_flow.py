"""AC power flow of a grid: which voltages and flows follow from what is fed in, and what a megawatt more would cost.

Every bus has a voltage (magnitude v, angle θ) and an injection (active power p, reactive power q: what is made there
minus what is taken). What flows out of a bus into its branches and shunts is what is injected:

    p_i = Σ_branches P(v_i, v_j, θ_i − θ_j) + g_i v_i²          q_i = Σ_branches Q(v_i, v_j, θ_i − θ_j) − b_i v_i²

Four numbers a bus and two equations: which two are given says the kind of the bus. All are declared alike, v and θ as
variables, p and q as inputs; then ``fix`` and ``free`` swap what is to be swapped:

    load          p, q given         v, θ found
    generator     p, v given         q, θ found
    reference     v, θ given         p, q found: it covers the losses, which nobody knows beforehand

The solve is Newton's method from a flat start (v = 1 or what generators hold, θ = 0). The objective is the active power
lost in the branches; its multipliers and gradient come from one transposed solve with the last factors. dLosses/dp of a
bus is its marginal loss factor: to take one megawatt more there, the reference must make 1 − dLosses/dp.

Reads MATPOWER case files, such as PGLib-OPF's (https://github.com/power-grid-lib/pglib-opf). Without one: the grid of
IEEE's 14 buses. Run it: ``python examples/power_flow.py CASE.m --plot grid.png``
"""
