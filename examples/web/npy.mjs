/* numpy's .npy files, in Node and in a browser: little-endian float32, float16 and int64 in C order. */
const types = {
  f4: { name: "float32", array: Float32Array },
  f2: { name: "float16", array: globalThis.Float16Array ?? Uint16Array },
  i8: { name: "int64", array: BigInt64Array },
};
const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0];

/** The tensor in `bytes`, as what the constructor of ort.Tensor takes: [type, data, dims]. */
export function read(bytes, name) {
  const end = 10 + new DataView(bytes.buffer, bytes.byteOffset).getUint16(8, true);
  const header = new TextDecoder("latin1").decode(bytes.subarray(10, end)).match(/'descr': '<(f4|f2|i8)', 'fortran_order': False, 'shape': \(([0-9, ]*)\)/);
  if (!header) throw new Error(`${name}: this example reads .npy files of little-endian f4, f2 and i8 in C order`);
  const type = types[header[1]];
  return [type.name, new type.array(new Uint8Array(bytes.subarray(end)).buffer), header[2].split(",").filter((size) => size.trim()).map(Number)];
}

/** The bytes of a .npy file with `tensor` in it. */
export function write(tensor) {
  const descr = Object.keys(types).find((key) => types[key].name === tensor.type);
  const text = `{'descr': '<${descr}', 'fortran_order': False, 'shape': (${tensor.dims.map((size) => `${size}, `).join("")}), }`;
  const start = Math.ceil((10 + text.length + 1) / 64) * 64; // the data begin at a multiple of 64
  const data = new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  const npy = new Uint8Array(start + data.length).fill(0x20);
  npy.set(magic);
  new DataView(npy.buffer).setUint16(8, start - 10, true);
  npy.set(new TextEncoder().encode(text), 10);
  npy[start - 1] = 0x0a;
  npy.set(data, start);
  return npy;
}
