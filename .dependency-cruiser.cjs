// The dependency rule of the design: protocol <- membership, rollout <- daemon, and protocol <- cli.
const arrow = (from, allowed) => ({
  name: `${from}-may-import-only-${allowed.join('-') || 'itself'}`,
  comment: `${from}/ may import ${allowed.join(', ') || 'nothing of ours'}; see docs/map.md`,
  severity: 'error',
  from: { path: `^${from}/` },
  to: { path: '^(protocol|membership|rollout|daemon|cli|test|bench)/', pathNot: `^(${[from, ...allowed].join('|')})/` },
})

// A folder's index.ts is its public surface. Tests reach further in: they examine parts.
const surface = folder => ({
  name: `${folder}-only-through-its-index`,
  comment: `nothing outside ${folder}/ imports past ${folder}/index.ts`,
  severity: 'error',
  from: { path: '^(protocol|membership|rollout|daemon|cli)/', pathNot: `^${folder}/` },
  to: { path: `^${folder}/`, pathNot: `^${folder}/index\\.ts$` },
})

module.exports = {
  forbidden: [
    arrow('protocol', []),
    arrow('membership', ['protocol']),
    arrow('rollout', ['protocol']),
    arrow('daemon', ['protocol', 'membership', 'rollout']),
    arrow('cli', ['protocol']),
    surface('membership'),
    surface('rollout'),
    {
      name: 'decisions-hold-no-io',
      comment:
        'protocol/, membership/ and the machines of rollout/ take (now, input) and return effects: no clock, socket or file',
      severity: 'error',
      from: { path: '^(protocol|membership|rollout/(audit|keep|ledger|replacement|swarm))/' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|assert|util|buffer)$' },
    },
    {
      name: 'one-folder-knows-libp2p',
      comment: 'only daemon/network speaks to libp2p; everything else sees the Network interface',
      severity: 'error',
      from: { path: '^(protocol|membership|rollout|daemon|cli)/', pathNot: '^daemon/network/' },
      to: { path: 'node_modules/(libp2p|@libp2p|@chainsafe)/' },
    },
    {
      name: 'cli-starts-fast',
      comment: 'fleetctl loads no libp2p, no level and no server',
      severity: 'error',
      from: { path: '^cli/' },
      to: { path: 'node_modules/(libp2p|@libp2p|@chainsafe|level|classic-level|fastify)/' },
    },
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
}
