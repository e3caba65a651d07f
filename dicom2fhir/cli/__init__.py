"""The command line: the only room that prints. One command a file; parsing and exit codes apart from the work."""
