"""The FHIR client: what a server can, what it holds, and the way of every study into it."""
