"""Compares our digest with its peers: error, size and speed on the same streams."""
