import type { Membership, MemberView } from '../../../membership/index.ts'
import type { Host, World } from './types.ts'

/** Whether all are of one mind: M1. `loss`: the share that is lost now. */
export function createAgreement(
  hosts: readonly Host[],
  loss: () => number,
): Pick<World, 'agreed' | 'disagreements' | 'running' | 'view'> {
  const running = (): Host[] => hosts.filter(host => host.process !== undefined)
  const view = (host: Host, of: Host): MemberView | undefined => host.process?.machine.member(of.id)
  /** Where they differed last: most likely they still do. */
  let differed: Host | undefined
  const describe = (view: MemberView | undefined): string => {
    if (view === undefined) return 'unknown'
    const { status, epoch, addresses, tags } = view
    // While much is lost somebody is always in question somewhere, and refutes it.
    const settled = loss() > 0 && status === 'suspect' ? 'alive' : status
    return `${settled} ${epoch} ${addresses.join()} ${JSON.stringify(tags)}`
  }
  const differs = (other: Host, a: Membership, b: Membership): boolean => {
    if (a.status(other.id) === b.status(other.id) && a.record(other.id) === b.record(other.id)) return false
    return describe(a.member(other.id)) !== describe(b.member(other.id))
  }

  const untrue = (host: Host, other: Host): string | undefined => {
    const seen = describe(view(host, other))
    if (other.process !== undefined) {
      const own = describe(view(other, other))
      return seen === own ? undefined : `${host.index} has ${other.index} as ${seen}, which says ${own} of itself`
    }
    const taken = (seen.startsWith('alive') || seen.startsWith('suspect')) && other.class !== 'intermittent'
    return taken ? `${host.index} has ${other.index} as ${seen}, which does not run` : undefined
  }

  return {
    running,
    view,
    agreed() {
      const judged = running().filter(host => !host.revoked)
      const first = judged[0]?.process?.machine
      if (first === undefined) return true
      const others = hosts.filter(host => !host.revoked)
      if (differed?.process !== undefined && !differed.revoked) {
        const { machine } = differed.process
        if (others.some(other => differs(other, first, machine))) return false
      }
      for (const { process } of judged) {
        differed = process!.host
        if (others.some(other => differs(other, first, process!.machine))) return false
      }
      // All see as the first does; what it sees has to be so.
      return others.every(other => untrue(judged[0]!, other) === undefined)
    },
    disagreements(most = Number.POSITIVE_INFINITY) {
      const found: string[] = []
      const judged = running().filter(host => !host.revoked)
      const first = judged[0]!
      const others = hosts.filter(host => !host.revoked)
      for (const other of others) {
        const seen = describe(view(first, other))
        const wrong = untrue(first, other)
        if (wrong !== undefined) found.push(wrong)
        for (const host of judged) {
          if (found.length >= most) return found
          if (!differs(other, first.process!.machine, host.process!.machine)) continue
          const theirs = describe(view(host, other))
          found.push(`${host.index} has ${other.index} as ${theirs}, ${first.index} as ${seen}`)
        }
      }
      return found
    },
  }
}
