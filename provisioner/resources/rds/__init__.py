"""Kinds of RDS."""
