"""Registered models of MLflow's, served over HTTP on this host. Managed by Ansible."""
