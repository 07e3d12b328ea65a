"""Kinds of Secrets Manager."""
