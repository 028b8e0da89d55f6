import { conforms } from './conformance.ts'
import { libp2pNetwork } from './fixtures.ts'

conforms({ name: 'libp2p', create: libp2pNetwork })
