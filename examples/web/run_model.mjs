/* Runs a portable model with onnxruntime-web on the CPU (WebAssembly), in Node.

     npm install
     node run_model.mjs MODEL INPUTS OUTPUT

   MODEL is what `hla convert --portable` wrote, INPUTS a folder with NAME.npy for every input, OUTPUT the .npy file for the
   first output. index.html does the same in a browser. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-web";
import { read, write } from "./npy.mjs";

const [model, inputs, output] = process.argv.slice(2);
if (output === undefined) {
  console.error("node run_model.mjs MODEL INPUTS OUTPUT");
  process.exit(2);
}
try {
  const session = await InferenceSession.create(readFileSync(model), { executionProviders: ["wasm"] });
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, new Tensor(...read(readFileSync(join(inputs, `${name}.npy`)), name))]));
  const results = await session.run(feeds);
  writeFileSync(output, write(results[session.outputNames[0]]));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
