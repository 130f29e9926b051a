"""Compactors that are killed and stopped beside readers, each a process of its own, on one lake."""
