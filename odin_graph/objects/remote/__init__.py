"""The objects of a workspace that a server has open."""
