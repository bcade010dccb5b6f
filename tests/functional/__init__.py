"""Tests of jaxcnn.functional beyond parity."""
