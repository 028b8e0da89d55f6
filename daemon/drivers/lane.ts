/** Runs steps one after another, in the order given. */
export type Lane = <T>(step: () => Promise<T>) => Promise<T>

export function createLane(): Lane {
  let last: Promise<unknown> = Promise.resolve()
  return step => {
    const mine = last.then(step)
    last = mine.catch(() => undefined) // the caller of that step has its error
    return mine
  }
}
