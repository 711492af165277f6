"""Data set versions: members, frozen labels, verification and exchange."""
