"""What Veil releases in place of an image: noise, ciphers, transformations, features."""
