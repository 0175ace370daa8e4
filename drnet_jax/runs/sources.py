"""Where trained models are: folders, repositories of Hugging Face, and those that ship."""

from etils import epath

from drnet_jax.base.errors import first_line
from drnet_jax.runs import exported

PRETRAINED = epath.Path(__file__).parent.parent / "pretrained"


def locate(source: str) -> epath.Path:
    """Returns the folder of a model, local or in a bucket, fetched if it is elsewhere.

    `source` is a folder, `hf://owner/name` or the name of a model that ships.

    Raises:
      FileNotFoundError: a repository cannot be fetched.
      ValueError: the extra hub is not installed.
    """
    if source.startswith("hf://"):
        try:
            import huggingface_hub
        except ImportError:
            raise ValueError(
                f"{source} needs the extra hub: pip install 'drnet_jax[hub]'."
            ) from None
        name, _, revision = source.removeprefix("hf://").partition("@")
        try:
            return epath.Path(huggingface_hub.snapshot_download(name, revision=revision or None))
        except Exception as error:  # Of the network, or of the name.
            raise FileNotFoundError(f"{source} cannot be fetched: {first_line(error)}") from error
    shipped = PRETRAINED / source
    is_name = source.isidentifier() and not epath.Path(source).exists()
    return shipped if is_name and exported.is_exported(shipped) else epath.Path(source)
