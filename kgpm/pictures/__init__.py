"""Pictures: sheets of images and plots, as PNG files."""
