"""The tests: folders and files as in ssl_tf, helpers beside those who use them."""
