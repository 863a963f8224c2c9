"""Array expressions: what NumPy's own functions and operators build from a program's symbols.

An :class:`Expression` is a node of a directed acyclic graph with an operation, operands and a shape. NumPy's
protocols ``__array_ufunc__`` and ``__array_function__`` build the nodes, so ``np.exp(x) @ y`` reads as usual;
what is not supported says so by name. Graphs are walked by loops (:func:`postorder`), never by recursion.

Operations: ``symbol``, ``constant``, every row of the table of elementary functions, ``view`` (any rearrangement
of elements: indexing, reshape, transpose, …), ``concatenate``, ``sum``, ``scatter`` (``np.bincount``), ``matmul``,
``sparse_matmul``, ``external`` (a user's own function), and those of :mod:`composed`, which are names for others.
"""

from .building import bincount, concatenate, matmul, stack, sum_
from .composed import COMPOSED, expansion
from .functions import FUNCTIONS
from .node import MOST_ELEMENTS, Expression, as_expression, constant, elementwise
from .reductions import logsumexp, softmax, softplus
from .refusals import supported_names, unsupported
from .symbols import Array, Element, Shape, Symbol, View
from .walking import Packed, evaluate, evaluate_nodes, expanded, pack, postorder, symbols_of, unpack

__all__ = [
    "COMPOSED", "FUNCTIONS", "MOST_ELEMENTS", "Array", "Element", "Expression", "Packed", "Shape", "Symbol", "View",
    "as_expression", "bincount", "concatenate", "constant", "elementwise", "evaluate", "evaluate_nodes", "expanded",
    "expansion", "logsumexp", "matmul", "pack", "postorder", "softmax", "softplus", "stack", "sum_", "supported_names",
    "symbols_of", "unpack", "unsupported",
]  # fmt: skip
