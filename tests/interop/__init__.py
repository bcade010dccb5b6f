"""Tests of jaxcnn.interop beyond parity."""
