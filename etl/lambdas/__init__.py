"""Lambda handlers: they read the environment, wire the parts, and answer. Each is named by its module."""

__all__: list[str] = []
