import { createProgram, TREE } from '../cli/program.ts'
import type { Spec } from '../cli/spec.ts'

/** One command of fleetctl with its whole name. */
export interface Documented extends Spec {
  /** `image build <path>`. */
  readonly whole: string
}

/** Every command of fleetctl, under the headings of the man page and of docs/reference.md. Made of what --help is made of. */
export function commands(): { readonly heading: string; readonly commands: readonly Documented[] }[] {
  return [
    { heading: 'The fleet', commands: TREE.commands.map(spec => ({ ...spec, whole: spec.usage })) },
    ...TREE.groups.map(({ name, summary, commands }) => ({
      heading: `${name}: ${summary}`,
      commands: commands.map(spec => ({ ...spec, whole: `${name} ${spec.usage}` })),
    })),
  ]
}

/** What every command of fleetctl takes. */
export const globalFlags = (): { flags: string; help: string }[] =>
  createProgram('', [], async () => undefined).options.map(({ flags, description }) => ({ flags, help: description }))
