import { access, constants, mkdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetError } from '../../protocol/index.ts'
import { syncDirectory, writeDurably } from '../state/index.ts'

// What fleetd shares with fleetd-launcher (daemon/launcher): files in the layer's directory `launch`, as described there. The launcher is older
// than any fleetd that reads this, so neither names nor meanings can change.

/** A fleetd that has not proved itself yet. */
export interface Trial {
  /** How long it has. */
  readonly seconds: number
  /** The slot to go back to; null: what the launcher began with. */
  readonly back: string | null
}

/** A slot whose fleetd the launcher has gone back from. */
export interface Refused {
  readonly slot: string
  readonly reason: string
}

export interface Launch {
  /** The slot that is started; null: what the launcher began with. */
  current(): Promise<string | null>
  trial(): Promise<Trial | undefined>
  refused(): Promise<Refused | undefined>
  /** Before `point`: what is started next has to prove itself. */
  begin(trial: Trial): Promise<void>
  /** From the next start on this slot's program is started. Throws `refused` when it has none that can be run. */
  point(slot: string): Promise<void>
  /** What runs has proved itself. */
  settle(): Promise<void>
  /** What was refused may be tried again. */
  forgive(): Promise<void>
}

const NONE = '-'

/** `directory`: of the layer. `program`: fleetd within a slot. */
export function createLaunch(directory: string, program: string): Launch {
  const folder = join(directory, 'launch')
  const file = (name: string): string => join(folder, name)
  const targetOf = (slot: string | null): string => (slot === null ? NONE : `../slots/${slot}/${program}`)
  const remove = async (name: string): Promise<void> => {
    await rm(file(name), { force: true })
    await syncDirectory(folder)
  }

  return {
    async current() {
      await mkdir(folder, { recursive: true, mode: 0o755 })
      return slotOf(await orUndefined(readlink(file('current'))))
    },
    trial: async () => parseTrial(await orUndefined(readFile(file('trial'), 'utf8'))),
    refused: async () => parseRefused(await orUndefined(readFile(file('refused'), 'utf8'))),
    begin: ({ seconds, back }) => writeDurably(file('trial'), `${seconds} ${targetOf(back)}\n`),
    async point(slot) {
      await access(join(folder, targetOf(slot)), constants.X_OK).catch(error => {
        throw new FleetError(
          'refused',
          `the image has no program ${program} that can be run; see "program" of the layer`,
          {
            cause: error,
          },
        )
      })
      const next = file('current.new')
      await rm(next, { force: true })
      await symlink(targetOf(slot), next)
      await rename(next, file('current'))
      await syncDirectory(folder)
    },
    settle: () => remove('trial'),
    forgive: () => remove('refused'),
  }
}

export function parseTrial(text: string | undefined): Trial | undefined {
  const [, seconds, target] = /^(\d{1,9}) (\S+)\n/.exec(text ?? '') ?? []
  return target === undefined ? undefined : { seconds: Number(seconds), back: slotOf(target) }
}

export function parseRefused(text: string | undefined): Refused | undefined {
  const [, target, reason = ''] = /^(\S+) (.*)\n/.exec(text ?? '') ?? []
  const slot = slotOf(target)
  return slot === null ? undefined : { slot, reason }
}

/** The slot that a link's target is in. */
function slotOf(target: string | undefined): string | null {
  return /^\.\.\/slots\/([a-i])\//.exec(target ?? '')?.[1] ?? null
}

async function orUndefined<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
