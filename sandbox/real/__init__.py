"""The real things behind the local AWS: networks, hosts, databases, names and certificates.

Everything here drives `ip`, `nft`, `podman` and `mmdebstrap`, and knows nothing of the AWS API: the control
plane decides what exists, this package makes it so. Linux only, as root.
"""
