"""What is measured. Each function takes a framework's name, prepares, and returns a function that takes one sample."""
