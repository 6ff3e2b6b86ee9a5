"""What runs jobs: folders of files in, files and rows out."""
