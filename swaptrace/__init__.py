"""Record the swap events of a real kernel and replay them onto every virtual-swap layout."""

__all__ = ["__version__"]
__version__ = "0.1.0"
