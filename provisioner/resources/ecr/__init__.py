"""Kinds of Amazon Elastic Container Registry."""
