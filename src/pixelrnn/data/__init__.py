"""Photographs and occlusions: files, sources of any size, and the datasets made of them."""
