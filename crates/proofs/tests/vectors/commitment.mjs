// Computes the roots that the test `the_schemes_stand` pins, from the schemes' description alone, with ethers 6:
//   npm install ethers@6 && node commitment.mjs
import { keccak256, concat, toUtf8Bytes, toBeHex } from "ethers";

const u64 = (value) => toBeHex(value, 8);
const hash = (...parts) => keccak256(concat(parts));
const salt = "0x" + "07".repeat(32);
const leafSalt = (index) => hash("0x04", salt, u64(index));
const config = keccak256(toUtf8Bytes('{"n_layer":1}'));
const tokenizer = keccak256(toUtf8Bytes('{"model":{}}'));

const fill = (size, first) => Uint8Array.from({ length: size }, (_, index) => first + (index % 251));
const text = (value) => [u64(toUtf8Bytes(value).length), toUtf8Bytes(value)];

// `tensors` are name, shape, type and bytes; `leaf` is what stands before a part of one.
function root(tensors, leaf) {
  let level = [hash("0x02", leafSalt(0), config, tokenizer)];
  for (const [name, shape, kind, bytes] of tensors) {
    for (let offset = 0; offset === 0 || offset < bytes.length; offset += 16384) {
      const part = [...text(name), u64(shape.length), ...shape.map(u64), u64(offset), bytes.slice(offset, offset + 16384)];
      level.push(hash(...leaf(leafSalt(level.length), kind, bytes), ...part));
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
  return hash("0x03", u64(leaves), level[0]);
}

const values = [
  ["wte.weight", [50, 100], "F32", fill(50 * 100 * 4, 3)],
  ["empty", [0, 4], "F32", fill(0, 0)],
  ["ln_f.bias", [6], "F32", fill(6 * 4, 9)],
];
console.log(root(values, (salt) => ["0x00", salt]));
const stored = [
  ["wte.weight", [50, 640], "Q4_0", fill(50 * 640 / 32 * 18, 3)],
  ["empty", [0, 4], "F16", fill(0, 0)],
  ["ln_f.bias", [6], "F32", fill(6 * 4, 9)],
];
console.log(root(stored, (salt, kind, bytes) => ["0x05", salt, ...text(kind), u64(bytes.length)]));
