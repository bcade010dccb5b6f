"""Tests of jaxcnn.models beyond parity."""
