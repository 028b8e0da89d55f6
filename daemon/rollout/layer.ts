import type { Logger } from 'pino'
import {
  type Digest,
  type Health,
  type LayerStatus,
  type Millis,
  type NodeId,
  type Plan,
  type Random,
  type Statement,
  toFleetError,
} from '../../protocol/index.ts'
import {
  type Action,
  type Conditions,
  createReplacement,
  type Down,
  type Intent,
  type LedgerValue,
  markOf,
  nextDue,
  type Permit,
  type Replacement,
  type ReplacementEffect,
  type ReplacementInput,
} from '../../rollout/index.ts'
import { type Driver, flipFailure } from '../drivers/index.ts'
import { timeLimit } from '../time-limit.ts'
import type { LedgerAccess } from './access.ts'
import type { Noting } from './notes.ts'
import type { Turns } from './turns.ts'

/** How long a node that goes back may take to keep what it leaves behind. Milliseconds. */
const WITNESS = 2_000
/** The longest that one timer sleeps: longer ones overflow, and clocks are set. */
const LOOK_AGAIN = 60 * 60_000

export interface LayerInit {
  readonly layer: string
  readonly node: NodeId
  readonly zone: string
  readonly driver: Driver
  readonly ledger: LedgerAccess
  readonly intent: Intent | null
  /** Which of the host's layers may ask for its permit. */
  readonly turns: Turns
  persistIntent(intent: Intent | null): Promise<void>
  /** Brings all of the image to this host, verified. */
  fetch(image: Digest, signal: AbortSignal, progress: (fraction: number) => void): Promise<void>
  /** Unpacks an image that is here into the directory. */
  unpack(image: Digest, directory: string, signal: AbortSignal): Promise<void>
  /** Members of the group that this node believes to be down: they count against the budget. */
  unavailable(): readonly Down[]
  /** Asks peers whether they see this node alive and passing. */
  confirm(image: Digest, signal: AbortSignal): Promise<{ enough: boolean; reason: string }>
  /** Resolves when nobody is sent to what the layer offers any more. */
  quiesce(signal: AbortSignal): Promise<void>
  labelOf(image: Digest): string | null
  /** What an image that is here says of itself. */
  conditionsOf(image: Digest): Conditions | undefined
  /** What the other layers of this host run. */
  beside(): Readonly<Record<string, Digest | null>>
  /** Something else is current: other layers may have waited for it. */
  onFlip(): void
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
  readonly note: Noting
  /** Keeps what is there before it is given up. Never rejects, and takes no longer than its signal lets it. */
  witness(cause: 'marked' | 'failed', reason: string, signal: AbortSignal): Promise<void>
  /** Resolves when what was kept has its copies elsewhere, or a while has passed. */
  witnessed(): Promise<void>
  onChange(): void
}

/** One layer of this host: its driver, and the replacement machine that says what the driver does when. */
export interface Layer {
  readonly name: string
  start(): void
  stop(): Promise<void>
  /** What the ledger is known to say; starts things and never grants. */
  observe(value: LedgerValue, plan: Statement<Plan> | undefined): void
  status(): LayerStatus
  health(): { health: Health; reason: string }
  explain(): string
  /** The marks of its slot have changed, or the time of one has come. */
  marked(): void
  /** Another layer of the host runs something else now. */
  besideChanged(): void
  /** Nothing is under way, and so no permit can be its. */
  idle(): boolean
  /** Gives back a permit that no layer of this host knows of. Only while it is idle. */
  giveBack(permit: Permit): void
  /** Images that must not be collected: running, previous, and on the way. */
  wanted(): Digest | null
}

export function createLayer(init: LayerInit): Layer {
  const { layer, node, driver, ledger, now, log } = init
  const machine: Replacement = createReplacement({
    node,
    layer,
    current: driver.current().digest ?? null,
    intent: init.intent,
    mark: markOf(driver.current().marks, now()),
    random: init.random,
  })
  const stopping = new AbortController()
  const { signal } = stopping
  const running = new Set<Promise<void>>()
  let timer: NodeJS.Timeout | undefined
  let due: NodeJS.Timeout | undefined
  let state: LayerStatus['state'] = driver.current().digest === undefined ? 'empty' : 'running'
  let reason = ''
  let progress = 1
  let staging: { image: Digest; abort: AbortController } | undefined
  let proposing = false
  /** Whose permit it is under that nobody is sent here any more. */
  let quiet: number | null | undefined
  /** The permit that was last said to go back. */
  let said: number | undefined
  /** What this layer is bound to, and the permit and the staging that the audit log knows of. */
  let bound: Intent | null = init.intent
  let notedToken = init.intent?.token ?? 0
  let notedStaging: Digest | undefined
  let observed: { value: LedgerValue; plan: Statement<Plan> | undefined } | undefined

  /** The ledger was asked for a permit, and what it said is not known here yet. */
  let asking = false
  if (init.intent !== null) init.turns.resume(layer)

  const input = (next: ReplacementInput): void => {
    if (signal.aborted) return
    if (next.type === 'granted' || next.type === 'not-granted') asking = false
    for (const effect of machine.step(now(), next)) perform(effect)
    if (!asking && machine.view().token === null) init.turns.end(layer)
  }

  /** Tells the machine of the marks of the slot that runs, and again when the time of one has come. */
  const look = (): void => {
    if (signal.aborted) return
    const { marks } = driver.current()
    clearTimeout(due)
    const next = nextDue(marks, now())
    if (next !== undefined) due = setTimeout(look, Math.min(LOOK_AGAIN, next - now())).unref()
    input({ type: 'marked', mark: markOf(marks, now()) })
    init.onChange()
  }

  const name = (image: Digest | null): string =>
    image === null ? 'nothing' : (init.labelOf(image) ?? image.slice(0, 12))
  /** Tells the audit log of a step of a replacement; what it has in common with others is the permit and the plan. */
  const note = (kind: Parameters<Noting>[0]['kind'], text: string, detail: Record<string, string> = {}): void => {
    const plan = bound?.act === 'replace' ? bound.plan : observed?.plan?.id
    const generation =
      observed?.plan !== undefined && observed.plan.id === plan ? observed.plan.body.generation : undefined
    init.note({
      kind,
      subject: layer,
      text,
      detail: {
        layer,
        ...(plan === undefined ? {} : { plan }),
        ...(generation === undefined ? {} : { generation: `${generation}` }),
        ...(bound === null ? {} : { token: `${bound.token}` }),
        ...detail,
      },
    })
  }

  /** Carries one effect out and owns the promise until it has ended. */
  const own = (work: () => Promise<ReplacementInput | undefined>): void => {
    const task = work().then(
      result => {
        if (result !== undefined) input(result)
      },
      error => {
        if (!signal.aborted)
          log.error({ layer, err: error }, 'a step of the replacement failed in a way that it should not')
      },
    )
    const owned = task.finally(() => running.delete(owned))
    running.add(owned)
  }

  const perform = (effect: ReplacementEffect): void => {
    switch (effect.type) {
      case 'wakeAt':
        clearTimeout(timer)
        timer = setTimeout(() => input({ type: 'wake' }), Math.max(0, effect.at - now()))
        return
      case 'state':
        state = effect.state
        reason = effect.reason
        log.info({ layer, state, token: machine.view().token ?? undefined, reason }, `layer ${layer}: ${reason}`)
        init.onChange()
        return
      case 'stage':
        return own(() => stage(effect.image))
      case 'ask-ready':
        return own(async () => {
          const result = await driver.ready(effect.image, signal)
          return { type: 'ready', answer: result.answer, reason: result.reason }
        })
      case 'ask-permit':
        return own(() => askPermit(effect.renew))
      case 'persist-intent':
        return own(() => persist(effect.intent))
      case 'drain':
        return own(async () => {
          log.info(
            { layer, token: machine.view().token, event: 'disrupt-begin' },
            `layer ${layer}: out of service from here on`,
          )
          const { token } = machine.view()
          if (token !== quiet && driver.current().digest !== undefined) await init.quiesce(signal)
          // A hook that was busy is asked again, and nobody has come in the meantime.
          quiet = token
          const result = await driver.drain(effect.image, signal)
          return { type: 'drained', answer: result.answer, reason: result.reason }
        })
      case 'undrain':
        return own(async () => {
          try {
            await driver.undrain(signal)
            return { type: 'undrained' }
          } catch (error) {
            return { type: 'undrain-failed', reason: toFleetError(error).message }
          }
        })
      case 'reread':
        return own(async () => ({ type: 'reread', asked: effect.asked, value: await ledger.read(signal) }))
      case 'flip':
        return own(() => flip(effect.image, effect.actBy))
      case 'confirm':
        return own(async () => ({ type: 'confirmed', ...(await init.confirm(machine.view().current!, signal)) }))
      case 'release':
        return own(() => release(effect))
      case 'already':
        return own(() =>
          tell({ type: 'already', node, generation: effect.generation, image: effect.image, now: now() }),
        )
      case 'unwell':
        log.warn({ layer, reason: effect.reason }, `layer ${layer}: not well since its replacement: ${effect.reason}`)
        return own(() =>
          tell({
            type: 'unwell',
            node,
            generation: effect.generation,
            reason: effect.reason.slice(0, 512),
            now: now(),
          }),
        )
      default:
        return effect satisfies never
    }
  }

  const persist = async (intent: Intent | null): Promise<ReplacementInput | undefined> => {
    try {
      if (intent === null) await driver.settle()
      await init.persistIntent(intent)
      bound = intent
      return intent === null ? undefined : { type: 'intent-persisted' }
    } catch (error) {
      log.error({ layer, err: error }, "the layer's intent could not be written")
      return intent === null ? undefined : { type: 'intent-not-persisted', reason: toFleetError(error).message }
    }
  }

  const stage = async (image: Digest): Promise<ReplacementInput | undefined> => {
    if (staging !== undefined) {
      if (staging.image === image) return undefined
      staging.abort.abort()
    }
    const abort = new AbortController()
    const mine = { image, abort }
    staging = mine
    const either = AbortSignal.any([signal, abort.signal])
    try {
      progress = 0
      // A slot is only given up once what takes its place is here.
      await init.fetch(image, either, fraction => {
        progress = fraction
        init.onChange()
      })
      const marks = markOf(driver.current().marks, now())
      if (marks !== null) await init.witness('marked', marks.reason, either)
      await init.witnessed()
      await driver.stage({ digest: image }, (directory, until) => init.unpack(image, directory, until), either)
      if (notedStaging !== image) note('staged', `${name(image)} is fetched, verified and unpacked`, { image })
      notedStaging = image
      const conditions = init.conditionsOf(image)
      input({ type: 'beside', layers: init.beside() })
      return { type: 'staged', image, ...(conditions === undefined ? {} : { conditions }) }
    } catch (error) {
      return either.aborted ? undefined : { type: 'stage-failed', image, reason: toFleetError(error).message }
    } finally {
      progress = 1
      if (staging === mine) staging = undefined
      init.onChange()
    }
  }

  const askPermit = async (renewing: boolean): Promise<ReplacementInput> => {
    const other = init.turns.take(layer)
    if (other !== undefined) {
      const reason = `layer ${other} of this host is replaced first`
      return { type: 'not-granted', refusal: { refused: 'turn', reason }, reason }
    }
    asking = true
    const unavailable = init.unavailable()
    const renew = renewing ? ({ renew: true } as const) : {}
    const answer = await ledger.propose(
      { type: 'grant', node, zone: init.zone, unavailable, ...renew, now: now() },
      signal,
    )
    if (answer.type === 'no-quorum') return { type: 'not-granted', refusal: 'no-quorum', reason: answer.reason }
    const permit = answer.value.permits.find(held => held.node === node && held.kind !== 'reboot')
    // What a refusal is measured against is committed too: a permit in it was granted to an earlier try, or an earlier life.
    if (permit !== undefined) {
      if (permit.token !== notedToken) {
        const text = `permit ${permit.token} of group ${answer.value.group} (${permit.kind})`
        log.info({ layer, token: permit.token, event: 'permit-taken' }, `layer ${layer}: ${text}`)
        note('permit-taken', text, { token: `${permit.token}` })
      }
      notedToken = permit.token
      return { type: 'granted', permit }
    }
    const refusal =
      answer.type === 'refused' ? answer.refusal : { refused: 'budget' as const, reason: 'no permit was granted' }
    return { type: 'not-granted', refusal, reason: refusal.reason }
  }

  const flip = async (image: Digest, actBy: Millis | null): Promise<ReplacementInput> => {
    // The process may have been stopped between the re-read and here: an old word of the register is no word.
    if (actBy !== null && now() > actBy)
      return { type: 'flip-failed', image, why: 'late', reason: 'the permit has to be read again' }
    try {
      const { digest: from = null, marks, slot } = driver.current()
      // What is not well is seen for the last time: its slot is given up, and with it how its program ended.
      if (bound?.act === 'replace' && bound.failure !== null)
        await init.witness('failed', bound.failure, timeLimit(WITNESS))
      await driver.flip(image, signal, bound?.act === 'replace' ? bound.deadline : 0)
      const detail = { image, from: from ?? '' }
      if (bound?.act === 'replace' && bound.failure !== null)
        note('rolled-back', `back from ${name(from)} to ${name(image)}: ${bound.failure}`, detail)
      else note('activated', `${name(image)} runs in the place of ${name(from)}`, detail)
      if (driver.current().slot !== slot) {
        for (const { why } of marks)
          note(why === 'drift' || why === 'hotfix' ? why : 'taint', `the slot that was marked (${why}) is replaced`, {
            why,
            state: 'over',
          })
        look()
        init.onFlip()
      }
      return { type: 'flipped', image }
    } catch (error) {
      return { type: 'flip-failed', image, ...flipFailure(error) }
    }
  }

  const release = async (effect: Extract<ReplacementEffect, { type: 'release' }>): Promise<ReplacementInput> => {
    const { token, outcome } = effect
    // Without the permit nothing may go back by itself any more.
    try {
      await driver.settle()
    } catch (error) {
      return { type: 'not-released', gone: false, reason: toFleetError(error).message }
    }
    // Said before the ledger knows: whoever gets the place that becomes free is down only after this one is not.
    if (said !== token)
      log.info(
        { layer, token, outcome, event: 'disrupt-end' },
        `layer ${layer}: in service again, permit ${token} goes back: ${effect.reason}`,
      )
    said = token
    const answer = await ledger.propose(
      { type: 'release', node, token, outcome, reason: effect.reason, now: now() },
      signal,
    )
    if (answer.type === 'no-quorum') return { type: 'not-released', gone: false, reason: answer.reason }
    const gone = !answer.value.permits.some(permit => permit.node === node && permit.token === effect.token)
    // An earlier try may have been written although nobody said so.
    if (gone) {
      if (effect.outcome === 'ok')
        note('healthy', `${name(driver.current().digest ?? null)} is healthy, and peers confirm it`)
      log.info({ layer, token, outcome, event: 'permit-returned' }, `layer ${layer}: permit ${token} is given back`)
      note('permit-returned', `permit ${token} is given back (${outcome}): ${effect.reason}`, { outcome })
    }
    if (answer.type === 'refused') return { type: 'not-released', gone, reason: answer.refusal.reason }
    observed = { value: answer.value, plan: observed?.plan }
    return { type: 'released' }
  }

  /** Says something of this node to the ledger, once at a time: it is said again for as long as the ledger does not know. */
  const tell = async (action: Action): Promise<undefined> => {
    if (proposing) return
    proposing = true
    try {
      await ledger.propose(action, signal)
    } finally {
      proposing = false
    }
  }

  return {
    name: layer,
    start() {
      driver.onHealth(() => {
        const seen = driver.health()
        input({ type: 'health', health: seen.health, reason: seen.reason })
        init.onChange()
      })
      const { digest } = driver.current()
      // A fleetd that was put in the place of the one that noted everything else.
      if (bound?.act === 'replace' && bound.failure === null && bound.to === digest && bound.from !== digest)
        note(
          'activated',
          `${name(bound.to)} runs in the place of ${name(bound.from)}, as this daemon finds when it starts`,
          {
            image: bound.to,
            from: bound.from ?? '',
          },
        )
      input({ type: 'wake' })
      look()
    },
    async stop() {
      stopping.abort()
      clearTimeout(timer)
      clearTimeout(due)
      await Promise.allSettled(running)
    },
    observe(value, plan) {
      observed = { value, plan }
      input({ type: 'ledger', value, plan })
    },
    status() {
      const digest = driver.current().digest ?? null
      return { layer, digest, version: digest === null ? null : init.labelOf(digest), state, progress }
    },
    health: () => driver.health(),
    marked: look,
    besideChanged: () => input({ type: 'beside', layers: init.beside() }),
    idle: () => machine.view().stage === 'idle',
    giveBack(permit) {
      if (init.turns.take(layer) === undefined) input({ type: 'forgotten', permit })
    },
    explain: () => machine.view().waitingFor || reason,
    wanted: () => machine.view().wanted,
  }
}
