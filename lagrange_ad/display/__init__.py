"""Pictures of results: leaves that nothing in the library depends on."""
