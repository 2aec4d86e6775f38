"""What the Helm chart rests on: the type of its values, its generated files, and what its hooks run."""
