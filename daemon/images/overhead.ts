/*
 * What bytes of chunks take on the network: whoever sets a limit counts what passes his interface. Ethernet, IPv4 or IPv6 and TCP with time
 * stamps around each segment (RFC 7323, appendix A), TLS 1.3 around each record (RFC 8446, section 5.2), and the message that a part is.
 * Acknowledgements go the other way, and are not counted.
 */
const PACKET = { head: 14 + 20 + 32, payload: 1_448 }
const RECORD = { head: 5 + 1 + 16, payload: 16_384 }
/** The length of a frame, and a part beside its bytes. */
const MESSAGE = 20

/** What a part with so many bytes takes. */
export function onTheWire(bytes: number): number {
  const message = bytes + MESSAGE
  const records = message + RECORD.head * Math.ceil(message / RECORD.payload)
  return records + PACKET.head * Math.ceil(records / PACKET.payload)
}

/** A part that takes no more than this: the longest, or, of up to 128 KiB, one by the head of a record shorter. */
export function payloadOf(wire: number): number {
  const packets = Math.ceil(wire / (PACKET.head + PACKET.payload))
  return wire - PACKET.head * packets - RECORD.head * Math.ceil(wire / RECORD.payload) - MESSAGE
}
