"""PyTorch's own operator tests (OpInfo), answered by jaxcnn."""
