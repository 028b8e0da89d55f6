import { pushable } from 'it-pushable'
import { FleetError, LIMITS, type NodeId } from '../../protocol/index.ts'
import type { Channel } from './network.ts'

/** Frames that may wait at a receiver before its sender has to: back-pressure, as a transport's window makes it. */
const WINDOW = 4

type Deliver = (from: NodeId, to: NodeId, action: () => void) => void

/** The two ends of one channel: the first is that of `a`. */
export function memoryChannel(a: NodeId, b: NodeId, deliver: Deliver): readonly [Channel, Channel] {
  const first = createEnd(a, b, deliver)
  const second = createEnd(b, a, deliver)
  first.join(second)
  second.join(first)
  return [first.channel, second.channel]
}

interface End {
  readonly channel: Channel
  join(other: End): void
  receive(frame: Uint8Array, consumed: () => void): void
  ended(): void
}

function createEnd(self: NodeId, peer: NodeId, deliver: Deliver): End {
  const inbox = pushable<{ frame: Uint8Array; consumed: () => void }>({ objectMode: true })
  const blocked: (() => void)[] = []
  let other: End
  let underway = 0
  let closed = false
  let receivedBytes = 0

  const close = () => {
    if (closed) return
    finish()
    deliver(self, peer, () => other.ended())
  }
  const finish = () => {
    closed = true
    inbox.end()
    for (const wake of blocked.splice(0)) wake()
  }
  async function* frames(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const { frame, consumed } of inbox) {
        consumed()
        yield frame
      }
    } finally {
      close()
    }
  }

  return {
    join(given) {
      other = given
    },
    receive(frame, consumed) {
      receivedBytes += frame.byteLength
      if (!closed) inbox.push({ frame, consumed: () => deliver(self, peer, consumed) })
    },
    ended() {
      if (!closed) finish()
    },
    channel: {
      peer,
      get receivedBytes() {
        return receivedBytes
      },
      frames: frames(),
      async send(frame) {
        if (frame.byteLength > LIMITS.channelFrame)
          throw new FleetError(
            'too-large',
            `a channel frame has at most ${LIMITS.channelFrame} bytes, not ${frame.byteLength}`,
          )
        while (underway >= WINDOW && !closed) await new Promise<void>(resolve => blocked.push(resolve))
        if (closed) throw new FleetError('unavailable', `the channel to ${peer} is closed`)
        underway++
        const copy = Uint8Array.from(frame)
        const consumed = () => {
          underway--
          blocked.shift()?.()
        }
        deliver(self, peer, () => other.receive(copy, consumed))
      },
      close,
    },
  }
}
