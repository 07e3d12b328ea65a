"""What the action plugin flowstead_databases is made of; knows PostgreSQL and AWS, and nothing of Ansible."""
