// Four networks with mDNS in one process, for a network namespace of their own: two of one fleet, one of another, and
// one that joins the first fleet later. Prints who found whom as one line of JSON.
import { createLibp2pNetwork } from '../../../daemon/network/index.ts'
import { generateKeyPair } from '../../../protocol/index.ts'
import { eventually } from '../../support/wait.ts'
import { admissionOf, quiet, recorder } from './support.ts'

async function create(fleet: string | undefined) {
  const key = generateKeyPair()
  const admission = admissionOf(key, fleet)
  const options = { listen: ['127.0.0.1:0'], advertise: [], mdns: true, lanOnly: false, relay: false, log: quiet }
  const network = createLibp2pNetwork({ key, admission, ...options })
  const events = recorder()
  await network.start(events)
  const found = () => [...new Set(events.found.map(({ peer, addresses }) => `${peer} ${addresses.join()}`))]
  return { network, admission, found, name: `${network.self} ${network.addresses().join()}` }
}

const [a, b, other, late] = [await create('one'), await create('one'), await create('two'), await create(undefined)]
const all = [a, b, other, late]
await eventually('the two to find each other', () => a.found().length > 0 && b.found().length > 0)
const early = late.found()
late.admission.fleet = 'one'
late.network.reconsider()
await eventually('the late one to find both', () => late.found().length === 2)
console.log(JSON.stringify({ names: all.map(({ name }) => name), found: all.map(({ found }) => found()), early }))
await Promise.all(all.map(({ network }) => network.stop()))
