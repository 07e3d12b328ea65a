"""Kinds of S3."""
