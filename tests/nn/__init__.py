"""Tests of jaxcnn.nn beyond parity."""
