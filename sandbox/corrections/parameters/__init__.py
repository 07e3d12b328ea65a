"""The parameters of RDS's families: a table for each version, and a module for each engine."""
