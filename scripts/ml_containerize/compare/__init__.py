"""This image beside the one that is in use: what changed, whose answers moved, which clients would break."""
