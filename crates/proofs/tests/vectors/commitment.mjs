// Computes the root that the test `the_scheme_stands` pins, from the scheme's description alone, with ethers 6:
//   npm install ethers@6 && node commitment.mjs
import { keccak256, concat, toUtf8Bytes, toBeHex } from "ethers";

const u64 = (value) => toBeHex(value, 8);
const hash = (...parts) => keccak256(concat(parts));
const salt = "0x" + "07".repeat(32);
const leafSalt = (index) => hash("0x04", salt, u64(index));
const config = keccak256(toUtf8Bytes('{"n_layer":1}'));
const tokenizer = keccak256(toUtf8Bytes('{"model":{}}'));

const tensors = [["wte.weight", [50, 100], 3], ["empty", [0, 4], 0], ["ln_f.bias", [6], 9]];
let level = [hash("0x02", leafSalt(0), config, tokenizer)];
for (const [name, shape, fill] of tensors) {
  const size = 4 * shape.reduce((product, axis) => product * axis, 1);
  const bytes = Uint8Array.from({ length: size }, (_, index) => fill + (index % 251));
  for (let offset = 0; offset === 0 || offset < size; offset += 16384) {
    const head = [u64(toUtf8Bytes(name).length), toUtf8Bytes(name), u64(shape.length), ...shape.map(u64), u64(offset)];
    level.push(hash("0x00", leafSalt(level.length), ...head, bytes.slice(offset, offset + 16384)));
  }
}
const leaves = level.length;
while (level.length > 1) {
  const pairs = [];
  for (let index = 0; index < level.length; index += 2) {
    pairs.push(index + 1 < level.length ? hash("0x01", level[index], level[index + 1]) : level[index]);
  }
  level = pairs;
}
console.log(hash("0x03", u64(leaves), level[0]));
