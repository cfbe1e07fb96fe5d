"""What the scripts of this folder's neighbours share: errors with exit codes, and where the cache folder is."""
