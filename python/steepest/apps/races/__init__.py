"""What `steepest race` is made of: surfaces, paths, pictures, the page."""
