import pLimit from 'p-limit'
import type { Logger } from 'pino'
import {
  type Evidence,
  FleetError,
  type Kept,
  type KeptLayer,
  type MarkOrder,
  type Millis,
  millis,
  type NodeId,
  type Random,
  type Statement,
  toFleetError,
} from '../../protocol/index.ts'
import { driftOf, type ImageStore, type SlotMark, taintsOf, tooOldAt, withMark } from '../../rollout/index.ts'
import type { Driver } from '../drivers/index.ts'
import { fitted, LOG_TAIL, withContent } from '../evidence/index.ts'
import type { Noting } from '../rollout/index.ts'
import { createReadPace } from './pace.ts'

/** Bytes a second that a comparison reads: of the disk's time and of one core it takes about a hundredth. */
const RATE = 8 * 1024 * 1024
/** The longest that one timer sleeps: longer ones overflow, and clocks are set. */
const LOOK_AGAIN = 60 * 60_000
/** How long a hotfix may last. */
const LONGEST_HOTFIX = 7 * 86_400_000

/** One layer of this host, as far as its slot is looked after. */
export interface KeptSlot {
  readonly name: string
  readonly driver: Driver
  readonly drift: { readonly every: number; readonly ignore: readonly string[] }
  readonly maxAge: number | undefined
  labelOf(): string | null
  /** The marks of its slot have changed. */
  marked(): void
}

/** Looks after what runs: compares slots with their images, ages them, and marks them when an operator says so. It replaces nothing itself. */
export interface Keeping {
  start(): void
  /** Carries out an operator's order, which was found to be one and to be for this node. Throws `refused` or `not-found`. */
  order(order: Statement<MarkOrder>): Promise<Kept>
  report(): Kept
  /** Compares all layers now. */
  scan(signal: AbortSignal): Promise<Kept>
  /** What is there of a layer before its slot is given up; with a comparison where it is marked. Undefined where there is nothing. */
  evidence(layer: string, cause: Evidence['cause'], reason: string, signal: AbortSignal): Promise<Evidence | undefined>
  /** The kinds of marks that this node has. */
  taints(): string[]
  stop(): Promise<void>
}

export function createKeeping(init: {
  readonly node: NodeId
  readonly name: string
  readonly slots: readonly KeptSlot[]
  readonly store: ImageStore
  readonly note: Noting
  /** Keeps an image from being collected while the work goes on. */
  readonly during: <T>(image: NonNullable<KeptLayer['image']>, work: () => Promise<T>) => Promise<T>
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
}): Keeping {
  const { node, slots, note, now, log } = init
  const stopping = new AbortController()
  const one = pLimit(1)
  const compared = new Map<string, NonNullable<KeptLayer['compared']>>()
  const timers = new Map<string, NodeJS.Timeout>()
  const nextScan = new Map<string, number>()

  const mark = async (slot: KeptSlot, added: Omit<SlotMark, 'at'>): Promise<void> => {
    const before = slot.driver.current().marks.find(({ why }) => why === added.why)
    if (before?.reason === added.reason && before.due === added.due) return
    await slot.driver.mark(marks => withMark(marks, { ...added, at: now() }))
    log.warn({ layer: slot.name, why: added.why }, `layer ${slot.name} is marked: ${added.reason}`)
    note({
      kind: added.why === 'drift' || added.why === 'hotfix' ? added.why : 'taint',
      subject: slot.name,
      by: added.by,
      text: added.reason,
      detail: { layer: slot.name, why: added.why, state: 'on', image: slot.driver.current().digest ?? '' },
    })
    slot.marked()
  }

  const compare = (slot: KeptSlot, signal: AbortSignal): Promise<void> =>
    one(async () => {
      signal.throwIfAborted()
      const { digest, directory, slot: name, marks } = slot.driver.current()
      if (digest === undefined || directory === undefined) return
      // It was opened so that it would differ.
      if (marks.some(({ why }) => why === 'hotfix')) return
      try {
        const drift = await init.during(digest, () =>
          driftOf(init.store, digest, directory, {
            signal,
            ignore: slot.drift.ignore,
            pace: createReadPace(RATE, signal),
          }),
        )
        // What was compared may have been replaced, or opened, meanwhile.
        const after = slot.driver.current()
        if (after.slot !== name || after.marks.some(({ why }) => why === 'hotfix')) return
        compared.set(slot.name, { at: now(), ...drift, differences: [...drift.differences], error: null })
        if (drift.total === 0) return
        const some = drift.differences.slice(0, 4).map(({ path, what }) => `${path} (${what})`)
        const more = drift.total > some.length ? ` and ${drift.total - some.length} more` : ''
        await mark(slot, {
          why: 'drift',
          reason: `slot ${name} differs from its image: ${some.join(', ')}${more}`.slice(0, 1024),
          by: '',
          due: millis(0),
        })
      } catch (error) {
        if (signal.aborted) return
        const { message } = toFleetError(error)
        log.warn({ layer: slot.name, reason: message }, `layer ${slot.name} could not be compared with its image`)
        const none = { files: 0, bytes: 0, differences: [], total: 0 }
        compared.set(slot.name, { at: now(), ...none, error: message.slice(0, 1024) })
      }
    })

  const until = (slot: KeptSlot): Millis | null => {
    const { since, digest } = slot.driver.current()
    if (slot.maxAge === undefined || since === undefined || digest === undefined) return null
    return tooOldAt(since, slot.maxAge, node, slot.name)
  }

  const ageOf = async (slot: KeptSlot): Promise<void> => {
    const end = until(slot)
    if (end === null || now() < end) return
    await mark(slot, {
      why: 'age',
      reason: `it runs since ${new Date(slot.driver.current().since!).toISOString()}, and its maximum age is over`,
      by: '',
      due: millis(0),
    })
  }

  /** What is to be done for this slot next, and when. */
  const look = async (slot: KeptSlot): Promise<void> => {
    await ageOf(slot)
    if (now() >= nextScan.get(slot.name)!) {
      await compare(slot, stopping.signal)
      nextScan.set(slot.name, now() + slot.drift.every)
    }
  }
  const schedule = (slot: KeptSlot): void => {
    if (stopping.signal.aborted) return
    const end = until(slot) ?? Number.POSITIVE_INFINITY
    const aged = slot.driver.current().marks.some(({ why }) => why === 'age')
    const next = Math.min(nextScan.get(slot.name)!, aged ? Number.POSITIVE_INFINITY : end)
    const timer = setTimeout(
      () =>
        look(slot)
          .catch(error => log.error({ err: error, layer: slot.name }, 'a slot could not be looked after'))
          .finally(() => schedule(slot)),
      Math.min(LOOK_AGAIN, Math.max(1_000, next - now())),
    )
    timers.set(slot.name, timer.unref())
  }

  const report = (): Kept => ({
    layers: slots.map(slot => {
      const { digest, since, marks } = slot.driver.current()
      return {
        layer: slot.name,
        image: digest ?? null,
        version: digest === undefined ? null : slot.labelOf(),
        since: since ?? null,
        until: until(slot),
        marks: [...marks],
        compared: compared.get(slot.name) ?? null,
      }
    }),
  })

  const slotOf = (layer: string | null): KeptSlot => {
    const slot = slots.find(({ name }) => name === layer)
    if (slot === undefined) throw new FleetError('not-found', `this node has no layer ${layer ?? ''}`)
    if (slot.driver.current().digest === undefined)
      throw new FleetError('not-found', `nothing is installed in layer ${layer ?? ''} yet`)
    return slot
  }

  return {
    start() {
      for (const slot of slots) {
        // Nodes that were started together do not read all their disks together.
        nextScan.set(slot.name, now() + init.random.int(slot.drift.every))
        schedule(slot)
      }
    },
    async order({ body, signers }) {
      const by = signers.join(' ')
      const chosen =
        body.layer === null ? slots.filter(({ driver }) => driver.current().digest !== undefined) : [slotOf(body.layer)]
      if (chosen.length === 0) throw new FleetError('refused', 'this node runs nothing that could be replaced')
      const [slot] = chosen as [KeptSlot]
      switch (body.act) {
        case 'taint':
          for (const each of chosen) await mark(each, { why: 'manual', reason: body.reason, by, due: millis(0) })
          break
        case 'hotfix':
          assertHotfixTime(body.until, now())
          // Marked first: whatever happens behind it, the slot is known to be open.
          await mark(slot, { why: 'hotfix', reason: body.reason, by, due: body.until })
          await slot.driver.open()
          break
        case 'extend':
        case 'clear': {
          const open = slot.driver.current().marks.find(({ why }) => why === 'hotfix')
          if (open === undefined) throw new FleetError('not-found', `layer ${slot.name} has no hotfix`)
          if (body.act === 'extend') assertHotfixTime(body.until, now())
          const due = body.act === 'clear' ? now() : body.until
          const why = body.reason === '' ? open.reason : body.reason
          await mark(slot, { why: 'hotfix', reason: why, by, due })
          break
        }
        default:
          return body.act satisfies never
      }
      return report()
    },
    report,
    async scan(signal) {
      const either = AbortSignal.any([signal, stopping.signal])
      for (const slot of slots) await compare(slot, either)
      return report()
    },
    async evidence(layer, cause, reason, signal) {
      const { driver, labelOf, drift: config } = slots.find(({ name }) => name === layer)!
      const { digest, directory, slot } = driver.current()
      if (digest === undefined || directory === undefined || slot === undefined) return undefined
      let drift: Evidence['drift'] = null
      if (cause === 'marked')
        drift = await init
          .during(digest, () =>
            driftOf(init.store, digest, directory, {
              signal,
              ignore: config.ignore,
              pace: createReadPace(RATE, signal),
            }),
          )
          .then(found => withContent(found, directory))
          .catch(error => {
            log.warn({ layer, reason: toFleetError(error).message }, 'evidence is kept without a comparison')
            return null
          })
      const { state, reason: why } = driver.state()
      return fitted({
        ...{
          format: 'fleetd/evidence/1',
          node,
          name: init.name,
          layer,
          image: digest,
          version: labelOf(),
          slot,
          at: now(),
        },
        ...{ cause, reason: reason.slice(0, 2048), program: { state, reason: why.slice(0, 2048) } },
        health: driver.health(),
        log: await driver.output(LOG_TAIL).catch(() => ''),
        drift,
      })
    },
    taints: () => taintsOf(slots.flatMap(({ driver }) => driver.current().marks)),
    async stop() {
      stopping.abort()
      for (const timer of timers.values()) clearTimeout(timer)
      await one(async () => undefined)
    },
  }
}

function assertHotfixTime(until: Millis, now: Millis): void {
  if (until <= now) throw new FleetError('refused', 'the time of the hotfix is over already')
  if (until - now > LONGEST_HOTFIX)
    throw new FleetError('refused', 'a hotfix lasts seven days at most; build an image for what has to stay longer')
}
