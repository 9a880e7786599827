"""OHMS, built from the box files of OpenImages."""
