"""What GitOps tools make of our documents, by their own code."""
