import * as z from 'zod'
import { FleetError } from '../../../protocol/index.ts'
import { flag, text, textMap, texts } from '../codec.ts'
import { filterOf, recordsOf } from '../members.ts'
import { bare, type Command, command } from './command.ts'

export const members: Command = bare(
  async ({ backend }) => ({ body: { Members: await recordsOf(backend.members()) } }),
  { Members: [] },
)

export const membersFiltered: Command = command(
  z.object({ Tags: textMap, Status: text, Name: text }),
  async ({ Tags, Status, Name }, { backend }) => ({
    body: { Members: await recordsOf(backend.members(), filterOf({ tags: Tags, status: Status, name: Name })) },
  }),
  { Members: [] },
)

/** `Replay` is read past: who joins always learns all that the fleet still keeps, and a handler is told of an event once. */
export const join: Command = command(
  z.object({ Existing: texts }),
  async ({ Existing }, { backend, signal }) => ({ body: { Num: await backend.join(Existing, signal) } }),
  { Num: 0 },
)

export const leave: Command = bare(async ({ backend }) => {
  await backend.leave()
  return { after: () => backend.stop() }
})

export const forceLeave: Command = command(
  z.object({ Node: text, Prune: flag }),
  async ({ Node, Prune }, { backend }) => {
    await backend.forceLeave(Node, Prune)
    return {}
  },
)

export const tags: Command = command(
  z.object({ Tags: textMap, DeleteTags: texts }),
  async ({ Tags, DeleteTags }, { backend }) => {
    await backend.changeTags(Tags, DeleteTags)
    return {}
  },
)

export const stats: Command = bare(({ backend }) => ({ body: backend.stats() }), {})

export const getCoordinate: Command = command(
  z.object({ Node: text }),
  ({ Node }, { backend }) => {
    const found = backend.coordinate(Node)
    if (found === undefined) return { body: NOWHERE }
    const { vector, error, adjustment, height } = found
    return { body: { Coord: { Vec: vector, Error: error, Adjustment: adjustment, Height: height }, Ok: true } }
  },
  { Coord: { Vec: null, Error: 0, Adjustment: 0, Height: 0 }, Ok: false },
)
const NOWHERE = getCoordinate.empty

const NO_KEYS = { Messages: {}, Keys: {}, NumNodes: 0, NumErr: 0, NumResp: 0 }
const refuseKeys = (): never => {
  throw new FleetError(
    'refused',
    'this fleet has no symmetric keys: each connection is encrypted with keys of its own (noise), and who may connect is decided by certificates; see "fleetctl invite" and "fleetctl revoke"',
  )
}

/** install-key, use-key and remove-key. */
export const key: Command = command(z.object({ Key: text }), refuseKeys, NO_KEYS)
export const listKeys: Command = bare(refuseKeys, NO_KEYS)
