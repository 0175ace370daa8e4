"""Compilation for tests, which run once what they compile."""

import functools

import jax

FAST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Compiler options for a third of the time, slower programs, and other rounding."""

fast_jit = functools.partial(jax.jit, compiler_options=FAST)
"""`jax.jit` with `FAST`; not for functions that another `jax.jit` compiles."""
