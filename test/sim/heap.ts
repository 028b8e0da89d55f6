/** A queue of events by virtual time; those of one moment come in the order in which they were added. */
export interface Agenda {
  add(at: number, run: () => void): void
  /** When the next event is. */
  peek(): number | undefined
  /** The next event, taken out. */
  next(): { readonly at: number; readonly run: () => void } | undefined
}

interface Entry {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

/** A binary heap. */
export function createAgenda(): Agenda {
  const heap: Entry[] = []
  let order = 0
  const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

  return {
    add(at, run) {
      const entry: Entry = { at, order: order++, run }
      let index = heap.push(entry) - 1
      while (index > 0) {
        const parent = (index - 1) >> 1
        if (!before(entry, heap[parent]!)) break
        heap[index] = heap[parent]!
        index = parent
      }
      heap[index] = entry
    },
    peek: () => heap[0]?.at,
    next() {
      const first = heap[0]
      const last = heap.pop()
      if (first === undefined || last === undefined || heap.length === 0) return first
      let index = 0
      for (;;) {
        let child = 2 * index + 1
        if (child >= heap.length) break
        if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1
        if (!before(heap[child]!, last)) break
        heap[index] = heap[child]!
        index = child
      }
      heap[index] = last
      return first
    },
  }
}
