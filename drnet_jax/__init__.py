"""DrNET in JAX: content and pose of video, disentangled (Denton & Birodkar, NeurIPS 2017)."""

__version__ = "0.2.0"
__all__ = ["Content", "Model", "export", "load", "pretrained"]


def __getattr__(name: str):
    # Lazy, so that `import drnet_jax` costs nothing until a model is loaded.
    if name in __all__:
        from drnet_jax import api

        return getattr(api, name)
    if name == "defaults":  # Settings files written for version 0.1 import it from here.
        from drnet_jax.runs import defaults

        return defaults
    raise AttributeError(f"Module 'drnet_jax' has no attribute {name!r}.")


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__version__"]
