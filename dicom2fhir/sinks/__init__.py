"""Where resources go: stdout, one file, or a folder; as Bundles, as one Bundle, or as bare resources."""
