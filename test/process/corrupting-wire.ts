import { encodeMessage as encodeHonestly, type Message } from '../../daemon/images/wire.ts'

// What is exported here by name goes before what comes along with the rest.
export * from '../../daemon/images/wire.ts'

/** Takes the place of daemon/images/wire.ts in a daemon that flips a bit in every hundredth chunk that it sends. */
export function encodeMessage(message: Message): Uint8Array {
  if (message.type !== 'chunk' || message.index % 100 !== 0) return encodeHonestly(message)
  const bytes = Uint8Array.from(message.bytes)
  const at = message.index % bytes.length
  bytes[at] = bytes[at]! ^ 0x10
  process.stdout.write(`a bit is flipped in chunk ${message.index}\n`)
  return encodeHonestly({ ...message, bytes })
}

/** The same, for those that are sent from where they were read. */
export const encodeChunkBefore = (index: number, bytes: Uint8Array): Uint8Array =>
  encodeMessage({ type: 'chunk', index, bytes })
