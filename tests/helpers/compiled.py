"""Compilation for tests, which run once what they compile."""

import functools

import jax

fast_jit = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    },
)
"""`jax.jit` in a third of the time, for slower programs with the same numbers up to rounding."""
