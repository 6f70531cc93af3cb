"""The line searches, each a generator as `search` says."""
