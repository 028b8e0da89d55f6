import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Waits for `work` while garbage is collected all the time, as a daemon that has much of it does. */
export async function amongCollections<T>(work: Promise<T>): Promise<T> {
  const timer = setInterval(collect, 20)
  try {
    return await work
  } finally {
    clearInterval(timer)
  }
}
