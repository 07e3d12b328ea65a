"""What fabfile.py's tasks have in common, and those about users."""
