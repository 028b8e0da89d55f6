import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import type { SerfAnswer } from '../backend.ts'
import { counter, flag, payload, type Seq, text, textMap, texts } from '../codec.ts'
import { INTERNAL_PREFIX } from '../happenings.ts'
import { SERF_LIMITS } from '../limits.ts'
import type { Client } from '../session.ts'
import { TEXTS } from '../texts.ts'
import { type Command, command } from './command.ts'

const NANOSECONDS = 1_000_000

/** `RelayFactor` is read past: an answer comes back by a connection, over other members where there is no direct one. */
export const query: Command = command(
  z.object({
    FilterNodes: texts,
    FilterTags: textMap,
    RequestAck: flag,
    Timeout: counter.nullish(),
    Name: text,
    Payload: payload,
  }),
  async (body, client, seq) => {
    // What agents ask each other is not for clients, but for the one question that `serf reachability` asks.
    const ping = body.Name === `${INTERNAL_PREFIX}ping` && body.Payload.byteLength === 0
    if (body.Name.startsWith(INTERNAL_PREFIX) && !ping) return { error: TEXTS.internalPrefix }
    if (client.queries >= SERF_LIMITS.queries)
      return { error: `a client may have ${SERF_LIMITS.queries} queries under way; wait for one to end` }
    const answers = inOrder(client, seq)
    client.queries += 1
    const over = client.backend
      .query(
        {
          name: body.Name,
          payload: body.Payload,
          nodes: body.FilterNodes,
          tags: Object.fromEntries(Object.entries(body.FilterTags).map(([tag, found]) => [tag, somewhere(found)])),
          ack: body.RequestAck,
          timeoutMs: Math.ceil(Number(body.Timeout ?? 0) / NANOSECONDS),
        },
        answers.on,
        client.signal,
      )
      .finally(() => {
        client.queries -= 1
      })
    await notRefused(over)
    return {
      after() {
        answers.begin()
        over
          .catch(error => client.log.debug({ err: error }, `query ${JSON.stringify(body.Name)} ended early`))
          .then(() => sleep(SERF_LIMITS.lastWord))
          .then(() => client.send(seq, { Type: 'done', From: '', Payload: null }))
      },
    }
  },
)

/** In a query, unlike in `members`, Serf looks for the expression anywhere in the value. */
const somewhere = (expression: string): string => `[\\s\\S]*(?:${expression})[\\s\\S]*`

/** Answers may be there before the reply to the command is: they wait for it. */
function inOrder(client: Client, seq: Seq): { on(answer: SerfAnswer): void; begin(): void } {
  const send = ({ type, name, payload }: SerfAnswer): void =>
    client.send(seq, { Type: type, From: name, Payload: type === 'ack' ? null : payload })
  let waiting: SerfAnswer[] | undefined = []
  return {
    on(answer) {
      if (waiting === undefined) send(answer)
      else waiting.push(answer)
    },
    begin() {
      for (const answer of waiting ?? []) send(answer)
      waiting = undefined
    },
  }
}

/** Throws what `work` is refused with in this turn of the event loop. */
async function notRefused(work: Promise<void>): Promise<void> {
  let turn: NodeJS.Immediate | undefined
  const next = new Promise<void>(done => {
    turn = setImmediate(done)
  })
  try {
    await Promise.race([work, next])
  } finally {
    clearImmediate(turn)
  }
}

export const respond: Command = command(
  z.object({ ID: counter, Payload: payload }),
  async ({ ID, Payload }, { pending, backend }) => {
    const asked = pending.find(Number(ID), backend.now())
    if (asked === undefined) return { error: TEXTS.invalidQuery }
    await asked.respond(Payload)
    return {}
  },
)
