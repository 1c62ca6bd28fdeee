"""Where images come from: formats, the bundled digits, batches."""
