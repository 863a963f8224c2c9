"""Groups compiled by LLVM: the speed. ``execution.reference`` is the meaning."""
