"""RRL-MedSAM's networks (arXiv 2504.20501): torch alone, no files, no geometry; images (batch, channel, k, j, i)."""
