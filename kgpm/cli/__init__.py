"""The command line: flags, a quiet start, one-sentence errors."""
