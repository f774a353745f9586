// Makes receipts.json with ethers 6, independently of our encoding:
//   npm install ethers@6 && node make.mjs > receipts.json
// The key is public and signs nothing of value: 32 bytes of 0x11.
import { Wallet, TypedDataEncoder } from "ethers";

const wallet = new Wallet("0x" + "11".repeat(32));
const bytes = (byte, length) => "0x" + byte.repeat(length);
const types = {
  Commitment: [["string", "scheme"], ["bytes32", "root"]],
  Usage: [["uint64", "trainedTokens"], ["uint64", "promptTokens"], ["uint64", "generatedTokens"], ["uint64", "scoredTokens"]],
  Order: [["uint64", "chainId"], ["bytes32", "transaction"], ["uint64", "logIndex"]],
  Receipt: [
    ["bytes16", "job"], ["string", "asset"], ["address", "nft"], ["string", "operation"], ["string", "engine"],
    ["Commitment", "commitmentIn"], ["Commitment", "commitmentOut"], ["bytes32", "tokenizer"], ["bytes32", "input"],
    ["string", "parameters"], ["uint64", "seed"], ["bytes32", "output"], ["Usage", "usage"], ["Order", "order"],
    ["address", "consumer"], ["address", "datatoken"], ["address", "feeToken"], ["uint256", "feeAmount"],
    ["address", "node"], ["bytes32", "request"], ["bytes32", "previous"], ["uint64", "startedAt"], ["uint64", "finishedAt"],
  ],
  Refusal: [
    ["Order", "order"], ["address", "consumer"], ["address", "node"], ["bytes32", "request"], ["string", "code"],
    ["string", "reason"], ["uint64", "at"],
  ],
  Publication: [
    ["uint64", "chainId"], ["address", "nft"], ["address", "author"], ["address", "node"], ["Commitment", "commitment"],
    ["bytes32", "tokenizer"], ["bytes32", "config"], ["bytes32", "source"], ["uint64", "at"],
  ],
};
for (const name in types) types[name] = types[name].map(([type, field]) => ({ type, name: field }));

const commitment = (byte) => ({ scheme: "salted-merkle-keccak256/1", root: bytes(byte, 32) });
const none = { scheme: "", root: bytes("00", 32) };
const order = { chainId: 8996, transaction: bytes("a1", 32), logIndex: 7 };
const wireOrder = { chain_id: 8996, transaction: order.transaction, log_index: 7 };
const usage = (t, p, g, s) => ({
  typed: { trainedTokens: t, promptTokens: p, generatedTokens: g, scoredTokens: s },
  wire: { trained_tokens: t, prompt_tokens: p, generated_tokens: g, scored_tokens: s },
});

// Every field of the typed data beside its name in the JSON that travels.
function receipt({ operation, commitmentIn, commitmentOut, parameters, seed, used, previous }) {
  const typed = {
    job: bytes("0b", 16), asset: "did:op:" + "2d".repeat(32), nft: bytes("c1", 20), operation, engine: "posthuman-lm/1",
    commitmentIn: commitmentIn ?? none, commitmentOut: commitmentOut ?? none, tokenizer: bytes("d1", 32),
    input: bytes("d2", 32), parameters, seed, output: bytes("d3", 32), usage: used.typed, order,
    consumer: bytes("e1", 20), datatoken: bytes("e2", 20), feeToken: bytes("e3", 20), feeAmount: "1234567890123456789",
    node: bytes("e4", 20), request: bytes("f1", 32), previous, startedAt: 1767225600, finishedAt: 1767225661,
  };
  const wire = {
    job: "0b".repeat(16), asset: typed.asset, nft: typed.nft, operation, engine: typed.engine,
    commitment_in: commitmentIn ?? null, commitment_out: commitmentOut ?? null, tokenizer: typed.tokenizer,
    input: typed.input, parameters, seed, output: typed.output, usage: used.wire, order: wireOrder,
    consumer: typed.consumer, datatoken: typed.datatoken, fee_token: typed.feeToken, fee_amount: typed.feeAmount,
    node: typed.node, request: typed.request, previous, started_at: typed.startedAt, finished_at: typed.finishedAt,
  };
  return [typed, wire];
}

async function signed(primary, [typed, wire], key) {
  const domain = { name: "Posthuman", version: "1", chainId: 8996 };
  const used = { Commitment: types.Commitment, Usage: types.Usage, Order: types.Order };
  const needed = JSON.stringify(types[primary]);
  for (const name in used) if (!needed.includes(`"${name}"`)) delete used[name];
  const all = { ...used, [primary]: types[primary] };
  return {
    [key]: wire,
    digest: TypedDataEncoder.hash(domain, all, typed),
    signature: await wallet.signTypedData(domain, all, typed),
  };
}

const refusal = [
  { order, consumer: bytes("e1", 20), node: bytes("e4", 20), request: bytes("f1", 32), code: "text_empty", reason: "The text is empty – send one.", at: 1767225600 },
  { order: wireOrder, consumer: bytes("e1", 20), node: bytes("e4", 20), request: bytes("f1", 32), code: "text_empty", reason: "The text is empty – send one.", at: 1767225600 },
];
const publication = [
  { chainId: 8996, nft: bytes("c1", 20), author: bytes("e1", 20), node: bytes("e4", 20), commitment: commitment("b2"), tokenizer: bytes("d1", 32), config: bytes("d4", 32), source: bytes("d5", 32), at: 1767225600 },
  { chain_id: 8996, nft: bytes("c1", 20), author: bytes("e1", 20), node: bytes("e4", 20), commitment: commitment("b2"), tokenizer: bytes("d1", 32), config: bytes("d4", 32), source: bytes("d5", 32), at: 1767225600 },
];

console.log(JSON.stringify({
  signer: wallet.address,
  receipts: [
    await signed("Receipt", receipt({
      operation: "train", commitmentIn: commitment("b1"), commitmentOut: commitment("b2"),
      parameters: '{"train":{"steps":3}}', seed: 42, used: usage(4096, 0, 0, 0), previous: bytes("00", 32),
    }), "receipt"),
    await signed("Receipt", receipt({
      operation: "train", commitmentOut: commitment("b2"), parameters: '{"train":{"steps":3}}', seed: 42,
      used: usage(4096, 0, 0, 17), previous: bytes("00", 32),
    }), "receipt"),
    await signed("Receipt", receipt({
      operation: "infer", commitmentIn: commitment("b2"), parameters: '{"infer":{"stop":["é"]}}', seed: 0,
      used: usage(0, 12, 34, 0), previous: bytes("99", 32),
    }), "receipt"),
  ],
  refusal: await signed("Refusal", refusal, "refusal"),
  publication: await signed("Publication", publication, "statement"),
}, null, 2));
