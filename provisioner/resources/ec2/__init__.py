"""Kinds of EC2 and VPC."""
