/* Runs a converted model with onnxruntime-node.

     npm install                        (with ONNXRUNTIME_NODE_INSTALL=skip it fetches no CUDA libraries)
     node run_model.js MODEL INPUTS OUTPUT

   INPUTS is a folder with NAME.npy for every input, OUTPUT the .npy file for the first output. onnxruntime-node cannot
   register operator libraries, so the converted attentions run as the plain ONNX functions that the file carries. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";

const types = {
  f4: { name: "float32", array: Float32Array },
  f2: { name: "float16", array: Uint16Array },
  i8: { name: "int64", array: BigInt64Array },
};

function read(file) {
  const bytes = readFileSync(file);
  const end = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString("latin1", 10, end).match(/'descr': '<(f4|f2|i8)', 'fortran_order': False, 'shape': \(([0-9, ]*)\)/);
  if (!header) throw new Error(`${file}: this example reads little-endian f4, f2 and i8 in C order`);
  const type = types[header[1]];
  const shape = header[2].split(",").filter((size) => size.trim() !== "").map(Number);
  return new Tensor(type.name, new type.array(new Uint8Array(bytes.subarray(end)).buffer), shape);
}

function write(file, tensor) {
  const type = Object.keys(types).find((key) => types[key].name === tensor.type);
  const text = `{'descr': '<${type}', 'fortran_order': False, 'shape': (${tensor.dims.map((size) => size + ", ").join("")}), }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10; // the data begin at a multiple of 64
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, length & 255, length >> 8]);
  const { buffer, byteOffset, byteLength } = tensor.data;
  writeFileSync(file, Buffer.concat([start, Buffer.from(text.padEnd(length - 1) + "\n"), Buffer.from(buffer, byteOffset, byteLength)]));
}

const [model, inputs, output] = process.argv.slice(2);
if (output === undefined) {
  console.error("node run_model.js MODEL INPUTS OUTPUT");
  process.exit(2);
}
const session = await InferenceSession.create(model);
const feeds = Object.fromEntries(session.inputNames.map((name) => [name, read(join(inputs, name + ".npy"))]));
const results = await session.run(feeds);
write(output, results[session.outputNames[0]]);
