"""Runs a converted model with onnxruntime from pip.

    pip install -r requirements.txt
    python run_model.py MODEL INPUTS OUTPUT [LIBHLA_OPS]

INPUTS is a folder with NAME.npy for every input, OUTPUT the .npy file for the first output. With LIBHLA_OPS (libhla_ops.so)
the converted attentions run in the operator library, without it as the plain ONNX functions that the file carries.
Run so far with onnxruntime 1.30.0 and Python 3.11 on Linux x86-64, by HostsTest.
"""
import pathlib
import sys

import numpy as np
import onnxruntime as ort

if len(sys.argv) not in (4, 5):
    sys.exit("run_model.py MODEL INPUTS OUTPUT [LIBHLA_OPS]")
model, inputs, output, *library = sys.argv[1:]

options = ort.SessionOptions()
for path in library:
    options.register_custom_ops_library(path)  # the only line that the library needs
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
feeds = {slot.name: np.load(pathlib.Path(inputs, slot.name + ".npy")) for slot in session.get_inputs()}
np.save(output, session.run(None, feeds)[0])
