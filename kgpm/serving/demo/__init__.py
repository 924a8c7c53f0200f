"""A page to try an export on."""
