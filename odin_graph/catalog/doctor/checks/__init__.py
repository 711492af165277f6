"""What `odin doctor` checks, one subject a file. Each check yields the faults that it finds."""
