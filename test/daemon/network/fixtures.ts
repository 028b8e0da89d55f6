import { createLibp2pNetwork, type Network } from '../../../daemon/network/index.ts'
import { type Address, generateKeyPair, type KeyPair, type NodeId, nodeIdOf } from '../../../protocol/index.ts'
import { admissionOf, quiet, type Recorder, recorder, type TestAdmission } from './support.ts'

export interface Libp2pMember {
  readonly id: NodeId
  readonly network: Network
  readonly events: Recorder
  readonly admission: TestAdmission
  readonly addresses: readonly Address[]
}

/** A started libp2p network on loopback. The caller stops it. */
export async function libp2pMember(
  fleet: string | undefined,
  {
    key = generateKeyPair(),
    prepare = () => {},
    ...options
  }: { key?: KeyPair; prepare?: (network: Network) => void; advertise?: readonly string[]; relay?: boolean } = {},
): Promise<Libp2pMember> {
  const admission = admissionOf(key, fleet)
  const network = libp2pNetwork(key, admission, options)
  const events = recorder()
  prepare(network)
  await network.start(events)
  return { id: nodeIdOf(key.publicKey), network, events, admission, addresses: network.addresses() }
}

export function libp2pNetwork(
  key: KeyPair,
  admission: TestAdmission,
  options: { listen?: readonly string[]; advertise?: readonly string[]; lanOnly?: boolean; relay?: boolean } = {},
): Network {
  return createLibp2pNetwork({
    key,
    admission,
    listen: ['127.0.0.1:0'],
    advertise: [],
    mdns: false,
    lanOnly: false,
    relay: false,
    log: quiet,
    ...options,
  })
}
