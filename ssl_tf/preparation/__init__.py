"""Any images, read as people see them, into record files to train from."""
