import {
  type Digest,
  keyPairFromSeed,
  millis,
  NO_GATES,
  type NodeId,
  nodeIdOf,
  PLAN,
  type Plan,
  type Statement,
  sha256,
  sign,
} from '../../../protocol/index.ts'
import { fleet } from '../../protocol/fleet.ts'

export const NODES: readonly NodeId[] = Array.from({ length: 7 }, (_, index) =>
  nodeIdOf(keyPairFromSeed(new Uint8Array(32).fill(40 + index)).publicKey),
).sort()
export const image = (name: string): Digest => sha256(Buffer.from(name))
export const NOW = millis(1_900_000_000_000)
export const later = (ms: number) => millis(NOW + ms)
export const FLEET = fleet(keyPairFromSeed(new Uint8Array(32).fill(9)))

export function plan(rest: Partial<Plan> = {}): Statement<Plan> {
  const body: Plan = {
    ...NO_GATES,
    group: 'web',
    generation: 1,
    layer: 'app',
    image: image('v2'),
    version: 'shop:v2',
    previous: null,
    roster: NODES.slice(0, 5),
    strategy: (rest.canary ?? 0) > 0 ? 'canary' : 'rolling',
    canary: 0,
    maxUnavailable: 2,
    minHealthy: 1_000,
    deadline: 10_000,
    maxFailed: 1,
    notAfter: later(86_400_000),
    force: false,
    reason: 'a release',
    ...rest,
  }
  return sign(PLAN, FLEET.id, NOW, body, [FLEET.operator])
}
