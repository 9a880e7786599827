"""The multi-label data set OHMS, built from the box files of OpenImages."""
