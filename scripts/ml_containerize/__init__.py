"""A model in a git repository becomes a serving image: built once, proved once, published as those bytes."""

__version__ = "1.0.0"
