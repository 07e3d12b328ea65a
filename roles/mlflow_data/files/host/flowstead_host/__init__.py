"""What the programs of the mlflow role on its host are made of. Managed by Ansible."""
