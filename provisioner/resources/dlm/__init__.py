"""Kinds of Amazon Data Lifecycle Manager."""
