"""Images, volumes and stacks: adding, pixels, labels, revisions and lineage."""
