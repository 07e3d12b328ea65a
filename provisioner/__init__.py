"""Flowstead's provisioner: from deployment.yml to AWS resources and an Ansible inventory."""
