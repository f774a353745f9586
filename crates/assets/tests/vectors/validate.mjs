// Runs Ocean's own validator on the documents that this crate publishes:
//   npm install --ignore-scripts @oceanprotocol/ddo-js@0.2.0 && node validate.mjs documents.jsonl
// Each line is a DDO; it must hold as 4.1.0, which it is, and as 4.3.0, which limits lengths. Also recomputes the DID. A document that was spoilt on purpose must fail, else nothing is tested.
import { readFileSync } from "node:fs";
import { DDOManager } from "@oceanprotocol/ddo-js";

const lines = readFileSync(process.argv[2], "utf8").trim().split("\n");
for (const line of lines) {
  const ddo = JSON.parse(line);
  for (const version of ["4.1.0", "4.3.0"]) {
    const manager = DDOManager.getDDOClass({ ...ddo, version });
    const [valid, errors] = await manager.validate();
    const did = manager.makeDid(ddo.nftAddress, String(ddo.chainId));
    if (!valid || did !== ddo.id) throw new Error(`${ddo.metadata.name} as ${version}: ${JSON.stringify(errors)} ${did}`);
  }
  const [spoilt] = await DDOManager.getDDOClass({ ...ddo, services: [{ ...ddo.services[0], timeout: 1.5 }] }).validate();
  if (spoilt) throw new Error("the validator finds nothing");
  console.log(`${ddo.metadata.name}: valid, ${ddo.id}`);
}
