"""The count of operations: by hand on small programs, and the bound on the price of a gradient on others."""

import numpy as np
import pytest

import lagrange_ad as la


def test_six_equations_by_hand() -> None:
    p = la.Program()
    x = p.input("x", 0.1)
    a = p.define("a", np.exp(x))  # 1 forward; back: exp again and its product with λ, stored: 2
    b = p.define("b", a**2)  # 1; 2·a, the product, the addition to w_a: 3
    c = p.define("c", a + b)  # 1; two partials of 1: 0, of which w_a is the first
    d = p.define("d", np.exp(c))  # 1; 2
    e = p.define("e", np.sin(c))  # 1; cos, the product, the addition to w_c: 3
    p.maximize(p.define("f", d + e))  # 1; 0
    assert p.schedule.operations == (6, 6 + 10)
    assert p.schedule.operations.ratio == pytest.approx(16 / 6)


def test_reductions_and_arrays_by_hand() -> None:
    p = la.Program()
    x = p.input("x", np.ones(100))
    p.minimize(np.sum(x**3))  # x·x·x and 99 additions; 3·x², λ times it
    operations = p.schedule.operations
    assert operations.values == 100 * 2 + 99
    kernel = p.schedule.lowered.objective_groups[0].kernel
    assert operations.gradient == operations.values + 100 * (kernel.partials.n_operations + 1)


def test_products_count_as_linear_algebra_does() -> None:
    p = la.Program()
    matrix = np.arange(1.0, 13.0).reshape(3, 4) / 7
    x = p.input("x", np.ones(4))
    y = p.define("y", matrix @ x)  # 12 products, 3·3 additions; back 12 products, 4·2 additions
    p.minimize(y[0] + y[1] + y[2])
    assert p.schedule.operations == (12 + 9 + 2, 12 + 9 + 2 + 12 + 8)


def test_a_constant_program_has_no_ratio() -> None:
    p = la.Program()
    p.minimize(p.input("x", 1.0))
    assert p.schedule.operations == (0, 0)
    assert np.isnan(p.schedule.operations.ratio)


@pytest.mark.parametrize("size", [1, 20, 400])
def test_the_price_of_a_gradient_does_not_grow(size: int) -> None:
    p = la.Program()
    u = p.input("u", np.zeros(size))
    z = p.variable("z", shape=size + 1)
    p.equate(z, np.concatenate([[1.0], z[:-1] + 0.01 * (u * z[:-1] - np.sin(z[:-1]))]))
    p.minimize(np.sum(z * np.exp(-z)) + np.sum(np.sqrt(1 + u**2)))
    assert 1 < p.schedule.operations.ratio < 4


def test_a_users_function_counts_as_one() -> None:
    p = la.Program()
    x = p.input("x", [0.1, 0.2])
    f = la.external(np.sinh, jacobian=np.cosh, elementwise=True)
    p.minimize(p.define("y", f(x))[0])  # 2; two slopes and their products with λ
    assert p.schedule.operations == (2, 2 + 4)
