import packet from 'dns-packet'

/** RFC 6762, section 17: no mDNS message is larger, headers of IP and UDP included. Bytes. */
const MAX_BYTES = 9_000
/** RFC 1035, section 4.1: the header; the least that a question takes (name, type, class); and a record (with time to live and length). Bytes. */
const [HEADER, QUESTION, RECORD] = [12, 5, 11]

const decode = packet.decode

/**
 * Refuses a packet that is larger than mDNS has them, or cannot hold as much as its header says. multicast-dns decodes what anybody on the LAN
 * sends with dns-packet, which believes the header: 107 bytes that claimed 50 431 records, all of them made of the same few bytes, took 100 ms. There is no
 * hook before that, so the decoder itself is replaced. What it throws is a warning to multicast-dns.
 */
const guarded = (bytes: Buffer, offset?: number): packet.DecodedPacket => {
  if (bytes.byteLength > MAX_BYTES) throw new Error(`${bytes.byteLength} bytes are no mDNS message`)
  const [questions, ...records] = [4, 6, 8, 10].map(at => bytes.readUInt16BE(at)) as [number, number, number, number]
  const least = HEADER + QUESTION * questions + RECORD * records.reduce((sum, count) => sum + count, 0)
  if (least > bytes.byteLength) throw new Error(`${bytes.byteLength} bytes cannot hold what the header says`)
  return decode(bytes, offset)
}
packet.decode = Object.assign(guarded, { bytes: 0 })
