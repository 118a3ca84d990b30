from doubles.registry_fixtures import connect, double, make_double, waits

__all__ = ["connect", "double", "make_double", "waits"]
