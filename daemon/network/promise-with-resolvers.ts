// Dependencies of libp2p 2.10 (among them it-queue and race-signal's users) call Promise.withResolvers, which is ES2024 and
// first in Node 22; this project runs on Node 20.19. Imported before anything of libp2p, because they call it while loading.
interface Deferred<T> {
  promise: Promise<T>
  resolve: (value: T | PromiseLike<T>) => void
  reject: (reason?: unknown) => void
}

function withResolvers<T>(): Deferred<T> {
  const deferred = {} as Deferred<T>
  deferred.promise = new Promise<T>((resolve, reject) => Object.assign(deferred, { resolve, reject }))
  return deferred
}

if (!('withResolvers' in Promise)) Object.defineProperty(Promise, 'withResolvers', { value: withResolvers })
