"""Classifiers in ONNX files, which may come from strangers (extra ``onnx``).

An ONNX file is a protobuf message: weights, and a graph of operators. The way of a file:

1. `reading` counts what the message holds before it is parsed, and parses it.
2. `graph` takes over what `operators` lists and nothing else, under names of its own: names in a file become Python
   source when a network is converted. Weights are compared with the bytes that they hold.
3. `sizes` computes the shape of every value and what it costs, for one image and for several, before anything is run.
   What depends on shapes alone becomes a constant, so that nothing is left that could change sizes later.
4. `rewriting` writes this as a new model, which ends in logits, with operators that torch's converter knows.
5. `network` turns the model into a torch module with gradients, and compares it with onnxruntime; or lets onnxruntime
   run it, without gradients, where it cannot be converted.
"""
