import { type Digest, type Health, LIMITS } from '../../protocol/index.ts'
import type { Images } from '../images/index.ts'
import type { Keeping } from '../keep/index.ts'
import type { Layer } from '../rollout/index.ts'
import type { Services } from '../services/index.ts'
import type { Roster } from './roster.ts'

/** Whom this node's vitals are read from. */
export interface VitalParts {
  readonly layers: readonly Layer[]
  readonly images: Pick<Images, 'get' | 'holdings'>
  readonly services: Pick<Services, 'states'>
  readonly keeping: Pick<Keeping, 'taints'>
}

/** Tells the fleet how this node is. */
export interface Vitals {
  /** Something of it has changed: it is told once for all changes of one turn. */
  changed(): void
  /** The parts are there: before that there is nothing to tell. */
  from(parts: VitalParts): void
}

export function createVitals(roster: Roster): Vitals {
  let parts: VitalParts | undefined
  let telling = false
  return {
    changed() {
      if (telling) return
      telling = true
      setImmediate(() => {
        telling = false
        if (parts !== undefined) tell(roster, parts)
      })
    },
    from(given) {
      parts = given
    },
  }
}

function tell(roster: Roster, { layers, images, services, keeping }: VitalParts): void {
  const states = layers.map(layer => layer.health())
  const failing = states.find(state => state.health === 'failing')
  const allPass = states.length > 0 && states.every(state => state.health === 'passing')
  const health: Health = failing !== undefined ? 'failing' : allPass ? 'passing' : 'unknown'
  const reason = (failing ?? states.find(state => state.health !== 'passing'))?.reason ?? ''
  // What is to run here comes first: it is what others fetch when there are more images than can be told.
  const wanted = layers.flatMap(layer => layer.wanted() ?? []).filter(image => images.get(image) !== undefined)
  const held = [...new Set<Digest>([...wanted, ...images.holdings().toReversed()])].slice(0, LIMITS.images)
  const serviceStates = services.states()
  roster.members()?.setVitals({
    ...(serviceStates === undefined ? {} : { services: serviceStates }),
    health,
    reason: reason.slice(0, 512),
    layers: layers.map(layer => layer.status()),
    images: held,
    taint: keeping.taints(),
  })
}
