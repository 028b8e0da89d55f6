import { run as imageExport } from '../actions/image-export.ts'
import { run as imageFetch } from '../actions/image-fetch.ts'
import { run as imageGc } from '../actions/image-gc.ts'
import { run as imageImport } from '../actions/image-import.ts'
import { run as imageInspect } from '../actions/image-inspect.ts'
import { run as imageList } from '../actions/image-list.ts'
import { run as imagePeers } from '../actions/image-peers.ts'
import { pinned } from '../actions/image-pin.ts'
import { run as imageRemove } from '../actions/image-rm.ts'
import { run as imageVerify } from '../actions/image-verify.ts'
import type { Group } from '../spec.ts'
import { oneOf, pair } from '../values.ts'

export const IMAGE: Group = {
  name: 'image',
  summary: 'build images and see where they are; IMAGE is name:version, a digest or the beginning of one',
  commands: [
    {
      usage: 'build <path>',
      summary: 'make an image of a directory or file on this host, and sign it',
      flags: [
        { flags: '--name <name>', help: 'name of the image', required: true },
        { flags: '--version <version>', help: 'version of the image', required: true },
        {
          flags: '--kind <kind>',
          help: 'tree or file (default: tree for a directory)',
          parse: oneOf('tree', 'file'),
        },
        { flags: '--label <key=value>', help: 'kept in the image (repeatable)', parse: pair },
        { flags: '--provenance <file>', help: 'JSON: configRevision, appRevision, dependencies, builder, source' },
        {
          flags: '--requires <layer=image>',
          help: 'what another layer of the host has to run before this (repeatable)',
          parse: pair,
        },
        { flags: '--barrier', help: 'may not be skipped on the way from an older image to a newer one' },
        { flags: '--irreversible', help: 'there is no way back past it: a rollout of it is never undone' },
      ],
      example: `fleetctl image build ./shop --name shop --version v1
    prints the digest; the same directory gives the same digest on any host`,
      load: async () => (await import('../signing/index.ts')).imageBuild,
    },
    {
      usage: 'list',
      summary: 'the images that this daemon has or is fetching',
      example: 'fleetctl image list',
      load: async () => imageList,
    },
    {
      usage: 'inspect <image>',
      summary: 'manifest, provenance and signatures of an image',
      example: 'fleetctl image inspect shop:v1',
      load: async () => imageInspect,
    },
    {
      usage: 'fetch <image>',
      summary: 'get an image from the peers that have it',
      example: `fleetctl image fetch shop:v1
    stopped half-way, it goes on where it was the next time`,
      load: async () => imageFetch,
    },
    {
      usage: 'verify <image>',
      summary: 'read every chunk of an image and compare it with its digest',
      flags: [{ flags: '--repair', help: 'get exactly the chunks that are damaged or missing from other members' }],
      example: `fleetctl image verify --repair shop:v1
    exits with 1 when a chunk is damaged or missing, and could not be mended`,
      load: async () => imageVerify,
    },
    {
      usage: 'export <image>',
      summary: 'write an image to one file, signed as it is, for a host that no network reaches',
      flags: [
        { flags: '-o, --output <file>', help: 'where to; - is standard output', required: true },
        { flags: '--since <image>', help: 'leave out what this image has too: whoever imports has it' },
        { flags: '--with-plan', help: 'take along the newest signed plans that bring the image' },
      ],
      example: `fleetctl image export shop:v2 --since shop:v1 --with-plan -o /media/stick/shop-v2.bundle
    the policies of the fleet come along; the host needs a certificate of the same fleet`,
      load: async () => imageExport,
    },
    {
      usage: 'import <file>',
      summary: "bring in the image of a bundle at a path on the daemon's host, and give it to the peers there",
      example: `fleetctl image import /media/stick/shop-v2.bundle
    cut off, it goes on where it was the next time; a plan that came along is begun when it is for this group`,
      load: async () => imageImport,
    },
    {
      usage: 'pin <image>',
      summary: 'keep an image on this host, whatever happens, until it is unpinned',
      example: 'fleetctl image pin shop:v1',
      load: async () => pinned(true),
    },
    {
      usage: 'unpin <image>',
      summary: 'let an image go when its space is needed',
      example: 'fleetctl image unpin shop:v1',
      load: async () => pinned(false),
    },
    {
      usage: 'rm <image>',
      summary: 'remove an image from this host; what is running, previous, staged, pinned or on its way is refused',
      example: `fleetctl image rm shop:v1
    other hosts keep theirs; chunks that other images here have too stay`,
      load: async () => imageRemove,
    },
    {
      usage: 'gc',
      summary: 'remove what is of no use here: chunks of no image, and the least used images when space is short',
      flags: [
        { flags: '--all', help: 'every image that is not needed here goes, whether or not space is short' },
        { flags: '--dry-run', help: 'only say what would go' },
      ],
      example: `fleetctl image gc --all --dry-run
    goes on by itself too: when --quota or --min-free is reached, and every ten minutes`,
      load: async () => imageGc,
    },
    {
      usage: 'peers <image>',
      summary: 'whom an image came from and went to, in bytes',
      example: 'fleetctl image peers shop:v1',
      load: async () => imagePeers,
    },
  ],
}
