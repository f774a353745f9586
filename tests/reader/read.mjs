// What a chain says of a market, read with viem and Ocean's own ABIs, without the node and without any code of ours.
//
//   node read.mjs RPC ADDRESS_FILE ARTIFACTS
//
// Starts from the factory that the address file names and prints one JSON object: every data NFT that it made, with its
// store, its datatokens, their births, balances, orders, executions and collectors, and every move of OCEAN.
import { readFileSync } from 'node:fs'
import { createPublicClient, getAddress, hexToString, http, keccak256, parseEventLogs, sha256, toHex, zeroAddress } from 'viem'

const [rpc, addressFile, artifacts] = process.argv.slice(2)
const book = JSON.parse(readFileSync(addressFile, 'utf8')).development
const abi = (path) => JSON.parse(readFileSync(`${artifacts}/${path}`, 'utf8')).abi
const FACTORY = abi('ERC721Factory.sol/ERC721Factory.json')
const NFT = abi('templates/ERC721Template.sol/ERC721Template.json')
const DATATOKEN = abi('templates/ERC20Template.sol/ERC20Template.json')
const SPLITTER = abi('df/Splitter.sol/Splitter.json')
const NAMES = ['posthuman.lineage', 'posthuman.commitment', 'posthuman.node', 'posthuman.receipt_signer']

const client = createPublicClient({ transport: http(rpc) })
const read = (address, abi, functionName, ...args) => client.readContract({ address, abi, functionName, args })
const chainId = await client.getChainId()
const everything = await client.getLogs({ fromBlock: 0n, toBlock: 'latest' })
const logsOf = (address, abi, eventName) =>
  parseEventLogs({ abi, eventName, logs: everything.filter((log) => getAddress(log.address) === getAddress(address)) })

async function splitter(address) {
  if ((await client.getCode({ address })) === undefined) return null
  const payees = await read(address, SPLITTER, 'getPayees')
  const shares = await Promise.all(payees.map((payee) => read(address, SPLITTER, 'shares', payee)))
  return {
    owner: await read(address, SPLITTER, 'owner'),
    total: await read(address, SPLITTER, 'totalShares'),
    shares: Object.fromEntries(payees.map((payee, index) => [payee, shares[index]])),
  }
}

// Who may mint follows from the log alone: each account's last word.
function minters(address) {
  const may = new Map()
  const names = ['AddedMinter', 'RemovedMinter']
  for (const log of parseEventLogs({ abi: DATATOKEN, eventName: names, logs: everything })) {
    if (getAddress(log.address) === getAddress(address)) may.set(log.args.user, log.eventName === 'AddedMinter')
  }
  return [...may].filter(([, mint]) => mint).map(([account]) => account)
}

function order(address, log) {
  const inTransaction = (entry) => entry.transactionHash === log.transactionHash
  const fee = logsOf(address, DATATOKEN, 'ProviderFee').filter(inTransaction)[0]?.args
  return {
    tx: log.transactionHash,
    log_index: log.logIndex,
    consumer: log.args.consumer,
    payer: log.args.payer,
    amount: log.args.amount,
    service_index: log.args.serviceIndex,
    fee: fee && { to: fee.providerFeeAddress, token: fee.providerFeeToken, amount: fee.providerFeeAmount },
  }
}

async function execution(log) {
  const { from } = await client.getTransaction({ hash: log.transactionHash })
  const { providerAddress, consumerAddress, orderTxId, providerData, consumerData } = log.args
  return {
    tx: log.transactionHash,
    sender: getAddress(from),
    provider: providerAddress,
    consumer: consumerAddress,
    order_tx: orderTxId,
    provider_data: providerData,
    consumer_data: consumerData,
  }
}

async function datatoken(address) {
  const moves = logsOf(address, DATATOKEN, 'Transfer').map((log) => log.args)
  const births = moves.filter((move) => move.from === zeroAddress)
  const holders = [...new Set(moves.flatMap((move) => [move.from, move.to]))].filter((who) => who !== zeroAddress)
  const balances = await Promise.all(holders.map((who) => read(address, DATATOKEN, 'balanceOf', who)))
  const collector = await read(address, DATATOKEN, 'getPaymentCollector')
  return {
    address,
    supply: await read(address, DATATOKEN, 'totalSupply'),
    births: births.map(({ to, value }) => ({ to, value })),
    moves: moves.map(({ from, to, value }) => ({ from, to, value })),
    balances: Object.fromEntries(holders.map((who, index) => [who, balances[index]])),
    minters: minters(address),
    collector,
    collectors: logsOf(address, DATATOKEN, 'NewPaymentCollector').map((log) => log.args._newPaymentCollector),
    splitter: await splitter(collector),
    orders: logsOf(address, DATATOKEN, 'OrderStarted').map((log) => order(address, log)),
    executions: await Promise.all(logsOf(address, DATATOKEN, 'OrderExecuted').map(execution)),
  }
}

async function nft(address) {
  const value = async (name) => {
    const bytes = await read(address, NFT, 'getData', keccak256(toHex(name)))
    return [name, bytes === '0x' ? null : hexToString(bytes)]
  }
  const tokens = await read(address, NFT, 'getTokensList')
  const metadata = logsOf(address, NFT, 'MetadataCreated')
  return {
    address,
    did: `did:op:${sha256(toHex(getAddress(address) + chainId)).slice(2)}`,
    owner: await read(address, NFT, 'ownerOf', 1n),
    owners: logsOf(address, NFT, 'Transfer').map((log) => log.args.to),
    store: Object.fromEntries(await Promise.all(NAMES.map(value))),
    metadata: metadata.map((log) => ({ flags: log.args.flags, text: hexToString(log.args.data) })),
    datatokens: await Promise.all(tokens.map(datatoken)),
  }
}

const made = logsOf(book.ERC721Factory, FACTORY, 'NFTCreated').map((log) => log.args.newTokenAddress)
const ocean = logsOf(book.Ocean, DATATOKEN, 'Transfer')
const result = {
  chain_id: chainId,
  nfts: await Promise.all(made.map(nft)),
  ocean: ocean.map((log) => ({ tx: log.transactionHash, from: log.args.from, to: log.args.to, value: log.args.value })),
}
const asText = (_, value) => (typeof value === 'bigint' ? value.toString() : value)
process.stdout.write(`${JSON.stringify(result, asText)}\n`)
