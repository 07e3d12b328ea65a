"""A local AWS: the API on an HTTPS endpoint, and real hosts, databases and networks behind it.

Nothing in ``provisioner/`` or ``roles/`` knows this package. It answers AWS's own wire protocols, so whatever
works here works on AWS; docs/sandbox.md says what it corrects and what only real AWS can show.
"""
