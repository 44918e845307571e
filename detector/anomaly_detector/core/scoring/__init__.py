"""Windows to scores: model artifacts in ONNX Runtime, the statistical scorer, the revisions that use them."""
