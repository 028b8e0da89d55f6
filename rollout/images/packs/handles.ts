import type { Disk, DiskFile } from './disk.ts'

/** Files that stay open although nobody reads them. */
const MAX_OPEN = 64

/** Open files by name: few at a time, and none closed under whoever uses it. */
export interface Handles {
  use<T>(name: string, work: (file: DiskFile) => Promise<T>): Promise<T>
  /** A file that is open already is among them from now on. */
  add(name: string, file: DiskFile): void
  /** The file is removed, or not to be used again: it is closed once nobody uses it. */
  forget(name: string): void
  /** Closes all. */
  close(): Promise<void>
}

interface Handle {
  readonly file: Promise<DiskFile>
  users: number
}

export function createHandles(disk: Pick<Disk, 'open'>): Handles {
  /** The one that was used longest ago is first. */
  const handles = new Map<string, Handle>()
  const shut = (handle: Handle): Promise<void> => handle.file.then(file => file.close()).catch(() => undefined)
  const shrink = (): void => {
    for (const [name, handle] of handles) {
      if (handles.size <= MAX_OPEN) return
      if (handle.users > 0) continue
      handles.delete(name)
      void shut(handle)
    }
  }
  return {
    async use(name, work) {
      let handle = handles.get(name)
      if (handle === undefined) handle = { file: disk.open(name), users: 0 }
      else handles.delete(name)
      handles.set(name, handle)
      handle.users += 1
      try {
        shrink()
        return await work(await handle.file)
      } catch (error) {
        // What could not be opened may be there another time.
        await handle.file.catch(() => handles.get(name) === handle && handles.delete(name))
        throw error
      } finally {
        handle.users -= 1
        if (handle.users === 0 && handles.get(name) !== handle) void shut(handle)
      }
    },
    add(name, file) {
      handles.set(name, { file: Promise.resolve(file), users: 0 })
      shrink()
    },
    forget(name) {
      const handle = handles.get(name)
      handles.delete(name)
      if (handle?.users === 0) void shut(handle)
    },
    async close() {
      const all = [...handles.values()]
      handles.clear()
      await Promise.all(all.filter(({ users }) => users === 0).map(shut))
    },
  }
}
