// A process with one libp2p network of the fleet named on its command line: for tests that kill or measure one. It prints
// its id and addresses as a line of JSON, connects to the addresses it is given, and lives until it is killed.
import { createLibp2pNetwork } from '../../../daemon/network/index.ts'
import { type Address, generateKeyPair } from '../../../protocol/index.ts'
import { admissionOf, quiet, recorder } from './support.ts'

const [fleet, ...addresses] = process.argv.slice(2)
const key = generateKeyPair()
const network = createLibp2pNetwork({
  key,
  admission: admissionOf(key, fleet),
  listen: ['127.0.0.1:0'],
  advertise: [],
  mdns: false,
  lanOnly: false,
  relay: false,
  log: quiet,
})
network.acceptChannels('sink', async channel => {
  for await (const _frame of channel.frames);
})
await network.start(recorder())
for (const address of addresses) await network.connect(undefined, [address as Address], AbortSignal.timeout(10_000))
console.log(JSON.stringify({ id: network.self, addresses: network.addresses(), links: network.links() }))
