import { serve as serveHonestly } from '../../../daemon/images/upload.ts'
import { decodeMessage } from '../../../daemon/images/wire.ts'

// What is exported here by name goes before what comes along with the rest.
export * from '../../../daemon/images/upload.ts'

/** Takes the place of daemon/images/upload.ts in a daemon that takes every request for a chunk, and never answers one. */
export const serve: typeof serveHonestly = (channel, init) => {
  async function* withoutRequests(): AsyncGenerator<Uint8Array> {
    for await (const frame of channel.frames) if (decodeMessage(frame).type !== 'request') yield frame
  }
  return serveHonestly({ ...channel, frames: withoutRequests() }, init)
}
