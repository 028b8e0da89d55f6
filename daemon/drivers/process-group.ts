import { readdir, readFile } from 'node:fs/promises'
import { identify, type ProcessIdentity } from '../state/index.ts'

/** Bound on one process's environment that is looked through, in bytes; execve(2) itself allows about 2 MiB. */
const MAX_ENVIRONMENT = 4 * 1024 * 1024

/**
 * Signals every process of the group that `leader` leads or led. The number of a group that still has members is given to no
 * new process (POSIX fork): where it now belongs to somebody else, the group is empty and nothing is signalled.
 */
export async function signalGroup(leader: ProcessIdentity, signal: NodeJS.Signals): Promise<void> {
  const holder = await identify(leader.pid)
  if (holder !== undefined && holder.startTime !== leader.startTime) return
  send(leader.pid, signal)
}

/** Whether a process of the group still runs. Zombies do not count: in a container without an init nobody may ever collect them. */
export async function isGroupAlive(leader: ProcessIdentity): Promise<boolean> {
  const holder = await identify(leader.pid)
  if (holder !== undefined) return holder.startTime === leader.startTime
  if (!send(leader.pid, 0)) return false
  for (const pid of await processes()) {
    const stat = await statOf(pid)
    if (stat !== undefined && stat.group === leader.pid && stat.state !== 'Z' && stat.state !== 'X') return true
  }
  return false
}

/** The group leader in whose environment `name` is `value`, the oldest where there are several. */
export async function findByEnvironment(name: string, value: string): Promise<ProcessIdentity | undefined> {
  const wanted = `${name}=${value}`
  let oldest: ProcessIdentity | undefined
  for (const pid of await processes()) {
    const stat = await statOf(pid)
    if (stat === undefined || stat.group !== pid) continue
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '') // gone, or another user's
    if (environment.length > MAX_ENVIRONMENT || !environment.split('\0').includes(wanted)) continue
    const found = await identify(pid)
    if (found === undefined) continue
    if (oldest === undefined || Number(found.startTime) < Number(oldest.startTime)) oldest = found
  }
  return oldest
}

function send(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-group, signal)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // there is one, but not ours to signal
  }
}

async function processes(): Promise<number[]> {
  return (await readdir('/proc')).map(Number).filter(Number.isInteger)
}

/** State and process group: fields 3 and 5 of /proc/PID/stat, proc(5). */
async function statOf(pid: number): Promise<{ state: string; group: number } | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined)
  if (stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0]!, group: Number(fields[2]) }
}
