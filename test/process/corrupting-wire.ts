import {
  encodeChunkBefore as encodeBeforeHonestly,
  encodeMessage as encodeHonestly,
  type Message,
} from '../../daemon/images/wire.ts'

// What is exported here by name goes before what comes along with the rest.
export * from '../../daemon/images/wire.ts'

/** Takes the place of daemon/images/wire.ts in a daemon that flips a bit in every hundredth chunk that it sends. */
export const encodeMessage = (message: Message): Uint8Array =>
  encodeHonestly(message.type === 'chunk' ? { ...message, bytes: flipped(message.index, message.bytes) } : message)

/** The same, for those that are sent from where they were read. */
export function encodeChunkBefore(index: number, bytes: Uint8Array): Uint8Array {
  bytes.set(flipped(index, bytes))
  return encodeBeforeHonestly(index, bytes)
}

function flipped(index: number, bytes: Uint8Array): Uint8Array {
  if (index % 100 !== 0) return bytes
  const wrong = Uint8Array.from(bytes)
  const at = index % bytes.length
  wrong[at] = wrong[at]! ^ 0x10
  process.stdout.write(`a bit is flipped in chunk ${index}\n`)
  return wrong
}
